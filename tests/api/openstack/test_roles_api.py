"""Roles, and what they imply, over Identity v3."""

import uuid
from typing import Any

import pytest

from apps.identity import builtin
from apps.identity.models import Project, Role
from tests.api.openstack.kit import Keystone, signed_in
from tests.support.identity import give, make_user

BASE = "http://127.0.0.1:8600/identity/v3"
IDS = {role.value: str(key) for role, key in builtin.ROLE_IDS.items()}


def make(client: Keystone, name: str, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = client.post("roles", {"role": {"name": name, **more}}).ok(201)["role"]
    return made


def names(client: Keystone, query: str = "") -> list[str]:
    return sorted(each["name"] for each in client.get(f"roles{query}").ok()["roles"])


def test_a_role_is_made_shown_changed_and_deleted(root: Keystone) -> None:
    made = make(root, "backup", description="May copy", options={"immutable": False}, colour="ignored")
    path = f"roles/{made['id']}"
    assert made == {
        "id": made["id"], "name": "backup", "domain_id": None, "description": "May copy", "options": {"immutable": False},
        "links": {"self": f"{BASE}/{path}"},
    }
    assert root.get(path).ok() == {"role": made} and root.head(path).content == b""
    assert root.patch(path, {"role": {"name": "copy", "description": None, "domain_id": None}}).ok()["role"] == {
        **made, "name": "copy", "description": "",
    }
    answer = root.delete(path)
    assert answer.status == 204 and answer.content == b""
    for method in ("GET", "DELETE"):
        assert root(method, path).refused(404) == f"Could not find role: {made['id']}."


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "role in request body"), ({"role": {}}, "'name' is a required property"), ({"role": {"name": ""}}, "role.name"),
        ({"role": {"name": "x" * 256}}, "role.name"), ({"role": {"name": "x", "description": 7}}, "role.description"),
        ({"role": {"name": "x", "options": {"colour": 1}}}, "option"), ({"role": {"name": "x", "options": []}}, "role.options"),
    ],
)
def test_what_is_no_role_is_refused(root: Keystone, body: dict[str, Any], said: str) -> None:
    assert said in root.post("roles", body).refused(400)
    assert not Role.objects.filter(builtin=False).exists()


def test_roles_of_a_domain_are_listed_by_the_domain_only(root: Keystone, blue: Project) -> None:
    make(root, "backup")
    own = make(root, "backup", domain_id=str(blue.pk))
    assert own["domain_id"] == str(blue.pk)
    assert names(root) == ["admin", "backup", "member", "operator", "reader", "service"]
    assert root.get(f"roles?domain_id={blue.pk}").ok()["roles"] == [own]
    assert names(root, "?name=backup") == ["backup"] and names(root, "?name__contains=e") == ["member", "operator", "reader", "service"]
    assert names(root, f"?domain_id={uuid.uuid4()}") == names(root, "?domain_id=nothing") == []
    assert root.get("roles").json["links"] == {"self": f"{BASE}/roles", "next": None, "previous": None}


def test_a_name_is_there_once_everywhere_and_once_in_a_domain(root: Keystone, blue: Project) -> None:
    for body in ({"name": "reader"}, {"name": "own", "domain_id": str(blue.pk)}):
        if "domain_id" in body:
            root.post("roles", {"role": body}).ok(201)
        assert root.post("roles", {"role": body}).refused(409).startswith("Conflict occurred attempting to store role - ")
    make(root, "own")
    root.post("roles", {"role": {"name": "x", "domain_id": str(uuid.uuid4())}}).refused(404)


@pytest.mark.parametrize(
    ("change", "said"),
    [({}, "non-empty"), ({"id": "x"}, "Cannot change ID"), ({"domain_id": str(uuid.uuid4())}, "Cannot change Domain ID"), ({"name": ""}, "name")],
)
def test_what_may_not_change_does_not(root: Keystone, change: dict[str, Any], said: str) -> None:
    made = make(root, "backup")
    assert said in root.patch(f"roles/{made['id']}", {"role": change}).refused(400)
    assert root.get(f"roles/{made['id']}").ok() == {"role": made}


def test_built_in_roles_and_immutable_ones_stay(root: Keystone) -> None:
    own = make(root, "backup", options={"immutable": True})
    assert root.get(f"roles/{IDS['member']}").ok()["role"]["options"] == {"immutable": True}
    for key in (IDS["member"], own["id"]):
        root.patch(f"roles/{key}", {"role": {"description": "x"}}).refused(403)
        root.delete(f"roles/{key}").refused(403)
    root.patch(f"roles/{own['id']}", {"role": {"options": {"immutable": False}}}).ok()
    assert root.delete(f"roles/{own['id']}").status == 204


@pytest.mark.parametrize("who", ["member", "auditor"])
def test_everybody_sees_roles_and_few_change_them(request: pytest.FixtureRequest, root: Keystone, who: str) -> None:
    client: Keystone = request.getfixturevalue(who)
    role = make(root, "backup")
    assert names(client) == ["admin", "backup", "member", "operator", "reader", "service"]
    client.get(f"roles/{role['id']}").ok()
    for method, path, body in (
        ("POST", "roles", {"role": {"name": "x"}}), ("PATCH", f"roles/{role['id']}", {"role": {"name": "x"}}),
        ("DELETE", f"roles/{role['id']}", None), ("PUT", f"roles/{role['id']}/implies/{IDS['reader']}", None),
        ("DELETE", f"roles/{role['id']}/implies/{IDS['reader']}", None),
    ):
        client(method, path, body).refused(403)


def test_the_admin_of_a_domain_has_roles_of_its_own(root: Keystone, ruler: Keystone, member: Keystone, blue: Project) -> None:
    made = make(ruler, "backup")
    assert made["domain_id"] == str(blue.pk)
    ruler.patch(f"roles/{made['id']}", {"role": {"description": "x"}}).ok()
    assert names(member, f"?domain_id={blue.pk}") == []
    member.get(f"roles/{made['id']}").refused(404)
    foreign = make(root, "global")
    ruler.patch(f"roles/{foreign['id']}", {"role": {"name": "x"}}).refused(403)
    assert ruler.delete(f"roles/{made['id']}").status == 204


def test_a_role_implies_another_until_that_is_taken_back(root: Keystone) -> None:
    backup, copy = make(root, "backup"), make(root, "copy")
    path = f"roles/{backup['id']}/implies"
    shown = {role["name"]: {key: role[key] for key in ("id", "name", "links")} for role in (backup, copy)}
    one = {
        "role_inference": {"prior_role": shown["backup"], "implies": shown["copy"]}, "links": {"self": f"{BASE}/{path}/{copy['id']}"},
    }
    for _ in range(2):
        assert root.put(f"{path}/{copy['id']}").ok(201) == one
    assert root.get(f"{path}/{copy['id']}").ok() == one
    head = root.head(f"{path}/{copy['id']}")
    assert head.status == 204 and head.content == b""
    inference = {"prior_role": shown["backup"], "implies": [shown["copy"]]}
    assert root.get(path).ok() == {"role_inference": inference, "links": {"self": f"{BASE}/{path}"}}
    assert inference in root.get("role_inferences").ok()["role_inferences"]
    assert root.delete(f"{path}/{copy['id']}").status == 204
    for method in ("GET", "DELETE"):
        assert root(method, f"{path}/{copy['id']}").refused(404) == f"{backup['id']} does not imply {copy['id']}."
    assert root.head(f"{path}/{copy['id']}").status == 404
    assert root.get(path).ok()["role_inference"]["implies"] == []


def test_what_is_built_in_is_implied_from_the_start(member: Keystone) -> None:
    content = member.get("role_inferences").ok()
    assert {each["prior_role"]["name"]: sorted(role["name"] for role in each["implies"]) for each in content["role_inferences"]} == {
        "admin": ["member", "operator"], "member": ["reader"], "operator": ["reader"],
    }
    assert content["links"] == {"self": f"{BASE}/role_inferences"}


def test_what_may_not_be_implied_is_not(root: Keystone, blue: Project) -> None:
    backup, own = make(root, "backup"), make(root, "own", domain_id=str(blue.pk))
    path = f"roles/{backup['id']}/implies"
    assert root.put(f"{path}/{IDS['admin']}").refused(403) == f"{IDS['admin']} cannot be an implied roles."
    root.put(f"{path}/{own['id']}").refused(403)
    root.put(f"{path}/{backup['id']}").refused(403)
    assert root.put(f"roles/{own['id']}/implies/{backup['id']}").status == 201
    root.put(f"{path}/{uuid.uuid4()}").refused(404)
    root.get(f"roles/{uuid.uuid4()}/implies").refused(404)
    root.delete(f"roles/{IDS['admin']}/implies/{IDS['member']}").refused(403)


def test_a_role_that_implies_another_gives_it(root: Keystone, red: Project) -> None:
    backup = make(root, "backup")
    root.put(f"roles/{backup['id']}/implies/{IDS['reader']}").ok(201)
    bob = make_user("bob")
    give(bob, backup["id"], red)
    token = Keystone().sign_in(bob, {"project": {"id": str(red.pk)}}).ok(201)["token"]
    assert sorted(role["name"] for role in token["roles"]) == ["backup", "reader"]
    assert signed_in(bob, {"project": {"id": str(red.pk)}}).get("roles").status == 200
