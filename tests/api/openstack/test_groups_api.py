"""Groups over Identity v3."""

import uuid
from typing import Any

import pytest

from apps.identity import builtin
from apps.identity.models import Group, Project, User
from tests.api.openstack.kit import Keystone, of, signed_in
from tests.support.identity import give, make_user

BASE = "http://127.0.0.1:8600/identity/v3"
DEFAULT = str(builtin.DEFAULT_DOMAIN_ID)


def make(client: Keystone, name: str = "ops", **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = client.post("groups", {"group": {"name": name, **more}}).ok(201)["group"]
    return made


def names(client: Keystone, query: str = "") -> list[str]:
    return sorted(each["name"] for each in client.get(f"groups{query}").ok()["groups"])


def test_a_group_is_made_shown_changed_and_deleted(root: Keystone) -> None:
    made = make(root, description="On call", colour="ignored")
    path = f"groups/{made['id']}"
    assert made == {
        "id": made["id"], "name": "ops", "domain_id": DEFAULT, "description": "On call", "links": {"self": f"{BASE}/{path}"},
    }
    assert root.get(path).ok() == {"group": made} and root.head(path).content == b""
    assert root.patch(path, {"group": {"name": "dev", "description": None, "domain_id": DEFAULT}}).ok()["group"] == {
        **made, "name": "dev", "description": "",
    }
    answer = root.delete(path)
    assert answer.status == 204 and answer.content == b""
    for method in ("GET", "DELETE"):
        assert root(method, path).refused(404) == f"Could not find group: {made['id']}."


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "group in request body"), ({"group": {}}, "'name' is a required property"), ({"group": {"name": "\t"}}, "group.name"),
        ({"group": {"name": "x" * 256}}, "group.name"), ({"group": {"name": ["x"]}}, "group.name"),
        ({"group": {"name": "x", "description": 1}}, "group.description"), ({"group": {"name": "x", "domain_id": 1}}, "group.domain_id"),
    ],
)
def test_what_is_no_group_is_refused(root: Keystone, body: dict[str, Any], said: str) -> None:
    assert said in root.post("groups", body).refused(400)
    assert not Group.objects.exists()


def test_a_name_is_there_once_in_a_domain(root: Keystone, blue: Project) -> None:
    make(root)
    assert root.post("groups", {"group": {"name": "ops"}}).refused(409).startswith("Conflict occurred attempting to store group - ")
    make(root, domain_id=str(blue.pk))
    other = make(root, "dev")
    root.patch(f"groups/{other['id']}", {"group": {"name": "ops"}}).refused(409)
    root.post("groups", {"group": {"name": "x", "domain_id": str(uuid.uuid4())}}).refused(404)


@pytest.mark.parametrize(
    ("change", "said"),
    [({}, "non-empty"), ({"id": "x"}, "Cannot change ID"), ({"domain_id": str(uuid.uuid4())}, "Cannot change Domain ID"), ({"name": ""}, "name")],
)
def test_what_may_not_change_does_not(root: Keystone, change: dict[str, Any], said: str) -> None:
    made = make(root)
    assert said in root.patch(f"groups/{made['id']}", {"group": change}).refused(400)
    assert root.get(f"groups/{made['id']}").ok() == {"group": made}


def test_groups_are_found_by_name_and_domain(root: Keystone, blue: Project) -> None:
    make(root)
    make(root, "dev", domain_id=str(blue.pk))
    found = {
        "": ["dev", "ops"], "?name=ops": ["ops"], "?name__contains=e": ["dev"], f"?domain_id={blue.pk}": ["dev"],
        "?domain_id=default": ["ops"], "?domain_id=nothing": [], "?name=nothing": [], "?limit=1": ["ops"],
    }
    assert {query: names(root, query) for query in found} == found


def test_users_come_and_go(root: Keystone, ann: User, blue: Project) -> None:
    path = f"groups/{make(root)['id']}/users"
    bob = make_user("bob", domain=blue)
    for user in (ann, bob, ann):
        answer = root.put(f"{path}/{user.pk}")
        assert answer.status == 204 and answer.content == b""
    assert root.get(f"{path}/{ann.pk}").status == root.head(f"{path}/{ann.pk}").status == 204
    shown = root.get(path).ok()
    assert sorted(each["name"] for each in shown["users"]) == ["ann", "bob"]
    assert shown["links"] == {"self": f"{BASE}/{path}", "next": None, "previous": None}
    for query, name in (("name=ann", "ann"), (f"domain_id={blue.pk}", "bob"), ("enabled=1&name=bob", "bob")):
        assert [each["name"] for each in root.get(f"{path}?{query}").ok()["users"]] == [name]
    assert root.get(f"{path}?password_expires_at=gt:2026-01-01T00:00:00Z").ok()["users"] == []
    assert root.delete(f"{path}/{ann.pk}").status == 204
    for method in ("GET", "DELETE"):
        message = root(method, f"{path}/{ann.pk}").refused(404)
        assert message == f"User '{ann.pk}' not found in group '{path.split('/')[1]}'."
    assert root.head(f"{path}/{ann.pk}").status == 404


def test_a_group_or_user_that_is_not_there_is_not_found(root: Keystone, ann: User) -> None:
    made, nobody = make(root), uuid.uuid4()
    assert root.put(f"groups/{made['id']}/users/{nobody}").refused(404) == f"Could not find user: {nobody}."
    for method in ("GET", "PUT", "DELETE"):
        assert root(method, f"groups/{nobody}/users/{ann.pk}").refused(404) == f"Could not find group: {nobody}."
    root.get(f"groups/{nobody}/users").refused(404)
    root.get("groups/ops").refused(404)


def test_whoever_leaves_a_group_loses_its_roles_at_once(root: Keystone, ann: User) -> None:
    group = Group.objects.get(pk=make(root)["id"])
    green = Project.objects.get(pk=root.post("projects", {"project": {"name": "green"}}).ok(201)["project"]["id"])
    give(group, "member", green)
    root.put(f"groups/{group.pk}/users/{ann.pk}").ok(204)
    client = signed_in(ann, of(green))
    client.get(f"projects/{green.pk}").ok()
    root.delete(f"groups/{group.pk}/users/{ann.pk}").ok(204)
    client.get(f"projects/{green.pk}").refused(401)
    Keystone().sign_in(ann, of(green)).refused(401)


def test_a_group_that_rules_over_the_system_is_staffed_by_those_who_do(root: Keystone, ruler: Keystone, blue: Project, ann: User) -> None:
    group = Group.objects.get(pk=make(root, domain_id=str(blue.pk))["id"])
    give(group, "admin")
    ruler.put(f"groups/{group.pk}/users/{ann.pk}").refused(403)
    ruler.delete(f"groups/{group.pk}").refused(403)


def test_the_admin_of_a_domain_rules_over_its_groups_and_sees_no_others(root: Keystone, ruler: Keystone, blue: Project, ann: User) -> None:
    theirs = make(root)
    made = make(ruler, "mine")
    assert made["domain_id"] == str(blue.pk) and names(ruler) == ["mine"]
    assert ruler.put(f"groups/{made['id']}/users/{ann.pk}").status == 204
    ruler.patch(f"groups/{made['id']}", {"group": {"name": "ours"}}).ok()
    assert ruler.delete(f"groups/{made['id']}").status == 204
    for method, path, body in (
        ("GET", "", None), ("PATCH", "", {"group": {"name": "x"}}), ("DELETE", "", None), ("GET", "/users", None),
        ("GET", f"/users/{ann.pk}", None), ("PUT", f"/users/{ann.pk}", None), ("DELETE", f"/users/{ann.pk}", None),
    ):
        ruler(method, f"groups/{theirs['id']}{path}", body).refused(404)


@pytest.mark.parametrize("who", ["member", "auditor"])
def test_members_see_no_groups_and_readers_of_the_system_change_none(request: pytest.FixtureRequest, root: Keystone, who: str) -> None:
    client: Keystone = request.getfixturevalue(who)
    user, group = make_user("bob"), make(root)
    for path in ("groups", f"groups/{group['id']}", f"groups/{group['id']}/users"):
        assert client.get(path).status == (403 if who == "member" else 200)
    for method, path, body in (
        ("POST", "groups", {"group": {"name": "x"}}), ("PATCH", f"groups/{group['id']}", {"group": {"name": "x"}}),
        ("DELETE", f"groups/{group['id']}", None), ("PUT", f"groups/{group['id']}/users/{user.pk}", None),
        ("DELETE", f"groups/{group['id']}/users/{user.pk}", None),
    ):
        message = client(method, path, body).refused(403)
        assert message.startswith("You are not authorized to perform the requested action: identity.group.")
