"""Projects and their tags over Identity v3."""

import uuid
from typing import Any

import pytest

from apps.identity import builtin
from apps.identity.models import Project, User
from tests.api.openstack.kit import Keystone, of, signed_in
from tests.support.cloud import make_project
from tests.support.identity import NOBODY, give, make_user

BASE = "http://127.0.0.1:8600/identity/v3"
DEFAULT = str(builtin.DEFAULT_DOMAIN_ID)


def make(client: Keystone, name: str, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = client.post("projects", {"project": {"name": name, **more}}).ok(201)["project"]
    return made


def names(client: Keystone, query: str = "") -> list[str]:
    return sorted(each["name"] for each in client.get(f"projects{query}").ok()["projects"])


def test_a_new_project_is_shown_whole_and_the_same_afterwards(root: Keystone) -> None:
    made = make(root, "green", description="Of green", tags=["b", "a"], options={"immutable": False}, colour="ignored")
    assert made == {
        "id": made["id"], "name": "green", "description": "Of green", "enabled": True, "is_domain": False, "domain_id": DEFAULT,
        "parent_id": DEFAULT, "tags": ["a", "b"], "options": {"immutable": False}, "links": {"self": f"{BASE}/projects/{made['id']}"},
    }
    assert root.get(f"projects/{made['id']}").ok() == {"project": made}
    assert root.get(f"projects/{uuid.UUID(made['id']).hex}").ok() == {"project": made}
    head = root.head(f"projects/{made['id']}")
    assert head.status == 200 and head.content == b""
    assert make(root, "grey", description=None, domain_id=None, parent_id=None)["description"] == ""


def test_a_project_is_made_below_another_and_in_its_domain(root: Keystone, blue: Project) -> None:
    top = make(root, "top", domain_id=str(blue.pk))
    below = make(root, "below", domain_id=str(blue.pk), parent_id=top["id"])
    assert (top["parent_id"], below["parent_id"], below["domain_id"]) == (str(blue.pk), top["id"], str(blue.pk))
    assert make(root, "by parent", parent_id=top["id"])["domain_id"] == str(blue.pk)


def test_a_project_that_is_a_domain_is_a_domain(root: Keystone) -> None:
    made = make(root, "green", is_domain=True)
    assert (made["is_domain"], made["domain_id"], made["parent_id"]) == (True, None, None)
    assert root.get(f"domains/{made['id']}").ok()["domain"]["name"] == "green"
    assert root.get(f"projects/{made['id']}").ok()["project"] == made
    assert "green" not in names(root) and "green" in names(root, "?is_domain=true")
    assert root.patch(f"projects/{made['id']}", {"project": {"enabled": False}}).ok()["project"]["enabled"] is False
    assert root.delete(f"projects/{made['id']}").status == 204
    root.get(f"domains/{made['id']}").refused(404)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "Expecting to find project in request body"),
        ({"project": {}}, "'name' is a required property"),
        ({"project": {"name": ""}}, "project.name"),
        ({"project": {"name": " "}}, "project.name"),
        ({"project": {"name": "x" * 65}}, "project.name"),
        ({"project": {"name": None}}, "project.name"),
        ({"project": {"name": "x", "enabled": "True"}}, "project.enabled"),
        ({"project": {"name": "x", "enabled": 1}}, "project.enabled"),
        ({"project": {"name": "x", "tags": "a"}}, "project.tags"),
        ({"project": {"name": "x", "tags": ["a", "a"]}}, "twice"),
        ({"project": {"name": "x", "tags": ["a/b"]}}, "tags"),
        ({"project": {"name": "x", "tags": ["a,b"]}}, "tags"),
        ({"project": {"name": "x", "tags": [""]}}, "tags"),
        ({"project": {"name": "x", "tags": [str(n) for n in range(81)]}}, "tags"),
        ({"project": {"name": "x", "options": {"colour": True}}}, "option"),
        ({"project": {"name": "x", "options": {"immutable": "yes"}}}, "immutable"),
        ({"project": {"name": "x", "domain_id": "nothing"}}, "Could not find domain: nothing."),
        ({"project": {"name": "x", "domain_id": str(uuid.uuid4())}}, "domain"),
        ({"project": {"name": "x", "parent_id": str(uuid.uuid4())}}, "project"),
        ({"project": {"name": "x", "is_domain": True, "domain_id": "default"}}, "domain"),
    ],
)
def test_what_is_no_project_is_refused(root: Keystone, body: dict[str, Any], said: str) -> None:
    assert said in root.post("projects", body).refused(400)
    assert Project.objects.filter(is_domain=False).count() == 0


def test_a_parent_must_be_of_the_domain_and_enabled_and_not_too_deep(root: Keystone, blue: Project) -> None:
    top = make(root, "top")
    root.post("projects", {"project": {"name": "x", "domain_id": str(blue.pk), "parent_id": top["id"]}}).refused(400)
    off = make(root, "off", enabled=False)
    root.post("projects", {"project": {"name": "x", "parent_id": off["id"]}}).refused(400)
    for level in range(3):
        top = make(root, f"level {level}", parent_id=top["id"])
    root.post("projects", {"project": {"name": "x", "parent_id": top["id"]}}).refused(403)


def test_a_name_is_there_once_in_a_domain(root: Keystone, red: Project, blue: Project) -> None:
    message = root.post("projects", {"project": {"name": "red"}}).refused(409)
    assert message.startswith("Conflict occurred attempting to store project - ")
    assert make(root, "red", domain_id=str(blue.pk))["name"] == "red"
    other = make(root, "other")
    root.patch(f"projects/{other['id']}", {"project": {"name": "red"}}).refused(409)


def test_lists_have_links_and_pages(root: Keystone) -> None:
    for name in ("one", "two", "three"):
        make(root, name)
    whole = root.get("projects").ok()
    assert whole["links"] == {"self": f"{BASE}/projects", "next": None, "previous": None} and "truncated" not in whole
    first = root.get("projects?limit=2&enabled=true").ok()
    assert first["truncated"] is True and len(first["projects"]) == 2
    last = first["projects"][-1]["id"]
    assert first["links"]["next"] == f"{BASE}/projects?limit=2&enabled=true&marker={last}"
    rest = root.get(first["links"]["next"].removeprefix(f"{BASE}/")).ok()
    assert first["projects"] + rest["projects"] == whole["projects"] and rest["links"]["next"] is None
    root.get("projects?limit=x").refused(400)
    assert root.get("projects?marker=nothing").refused(404) == "Marker nothing could not be found."


def test_projects_are_found_by_what_they_are(root: Keystone, blue: Project) -> None:
    top = make(root, "top", tags=["a", "b"])
    make(root, "below", parent_id=top["id"], tags=["b", "c"], enabled=False)
    make(root, "other", domain_id=str(blue.pk))
    found = {
        "?name=top": ["top"], "?name=nothing": [], "?name__contains=o": ["below", "other", "top"], "?name__startswith=o": ["other"],
        "?name__iendswith=LOW": ["below"], f"?domain_id={blue.pk}": ["other"], "?domain_id=nothing": [],
        f"?domain_id={uuid.uuid4()}": [], "?domain_id=default": ["below", "top"], f"?parent_id={top['id']}": ["below"],
        f"?parent_id={DEFAULT}": ["top"], "?enabled=false": ["below"], "?enabled": ["other", "top"], "?tags=b": ["below", "top"],
        "?tags=a,b": ["top"], "?tags=a,a": ["top"], "?tags=a,c": [], "?tags-any=a,c": ["below", "top"], "?not-tags=a,b": ["below", "other"],
        "?not-tags=b": ["other"], "?not-tags-any=a,x": ["below", "other"], "?tags=b&not-tags-any=c": ["top"],
        "?is_domain=0": ["below", "other", "top"], "?is_domain=1": ["Default", "blue"], "?colour=red": ["below", "other", "top"],
    }
    assert {query: names(root, query) for query in found} == found


def test_a_project_shows_what_stands_above_and_below_it(root: Keystone) -> None:
    top = make(root, "top")
    middle = make(root, "middle", parent_id=top["id"])
    leaf = make(root, "leaf", parent_id=middle["id"])

    def show(project: dict[str, Any], query: str) -> dict[str, Any]:
        shown: dict[str, Any] = root.get(f"projects/{project['id']}?{query}").ok()["project"]
        return shown

    assert show(leaf, "parents_as_ids")["parents"] == {middle["id"]: {top["id"]: {DEFAULT: None}}}
    assert show(leaf, "parents_as_list")["parents"] == [{"project": middle}, {"project": top}]
    assert show(top, "subtree_as_ids=True")["subtree"] == {middle["id"]: {leaf["id"]: None}}
    assert show(top, "subtree_as_list")["subtree"] == [{"project": middle}, {"project": leaf}]
    assert show(leaf, "subtree_as_ids")["subtree"] is None and show(leaf, "subtree_as_list")["subtree"] == []
    assert not {"parents", "subtree"} & set(show(middle, "parents_as_ids=0"))
    domain = root.get(f"projects/{DEFAULT}?parents_as_ids&subtree_as_ids").ok()["project"]
    assert domain["parents"] is None and list(domain["subtree"]) == [top["id"]]
    for kind in ("parents", "subtree"):
        root.get(f"projects/{leaf['id']}?{kind}_as_list&{kind}_as_ids").refused(400)


def test_who_is_in_a_project_sees_of_those_above_only_the_ids(root: Keystone, ann: User) -> None:
    top = make(root, "top")
    leaf = make(root, "leaf", parent_id=top["id"])
    give(ann, "member", Project.objects.get(pk=leaf["id"]))
    client = signed_in(ann, {"project": {"id": leaf["id"]}})
    assert client.get(f"projects/{leaf['id']}?parents_as_list").ok()["project"]["parents"] == []
    assert client.get(f"projects/{leaf['id']}?parents_as_ids").ok()["project"]["parents"] == {top["id"]: {DEFAULT: None}}
    client.get(f"projects/{top['id']}").refused(404)


def test_only_what_is_given_changes(root: Keystone) -> None:
    made = make(root, "green", description="old", tags=["a"])
    changed = root.patch(f"projects/{made['id']}", {"project": {"description": "new", "id": made["id"], "is_domain": False}}).ok()
    assert changed == {"project": {**made, "description": "new"}}
    changed = root.patch(f"projects/{made['id']}", {"project": {"tags": [], "description": None, "parent_id": DEFAULT}}).ok()
    assert changed == {"project": {**made, "description": "", "tags": []}}
    changed = root.patch(f"projects/{made['id']}", {"project": {"options": {"immutable": True}}}).ok()
    assert changed["project"]["options"] == {"immutable": True}


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({}, 400, "non-empty"),
        ({"id": "other"}, 400, "Cannot change ID"),
        ({"domain_id": str(uuid.uuid4())}, 400, "Cannot change Domain ID"),
        ({"is_domain": True}, 400, "is_domain"),
        ({"parent_id": str(uuid.uuid4())}, 403, "Update of `parent_id` is not allowed."),
        ({"parent_id": None}, 403, "Update of `parent_id` is not allowed."),
        ({"name": ""}, 400, "name"),
        ({"enabled": "no"}, 400, "enabled"),
        ({"tags": ["a,b"]}, 400, "tags"),
    ],
)
def test_what_may_not_change_does_not(root: Keystone, red: Project, change: dict[str, Any], status: int, said: str) -> None:
    before = root.get(f"projects/{red.pk}").ok()
    assert said in root.patch(f"projects/{red.pk}", {"project": change}).refused(status)
    assert root.get(f"projects/{red.pk}").ok() == before


def test_what_is_immutable_stays_until_it_is_not(root: Keystone) -> None:
    path = f"projects/{make(root, 'green', options={'immutable': True})['id']}"
    root.patch(path, {"project": {"name": "grey"}}).refused(403)
    root.put(f"{path}/tags/a").refused(403)
    root.delete(path).refused(403)
    root.patch(path, {"project": {"name": "grey", "options": {"immutable": None}}}).ok()
    assert root.get(path).ok()["project"]["options"] == {}
    assert root.delete(path).status == 204


def test_a_disabled_project_is_out_at_once_and_a_tree_is_disabled_from_its_leaves(root: Keystone, member: Keystone, red: Project) -> None:
    below = make(root, "below", parent_id=str(red.pk))
    root.patch(f"projects/{red.pk}", {"project": {"enabled": False}}).refused(403)
    root.patch(f"projects/{below['id']}", {"project": {"enabled": False}}).ok()
    root.patch(f"projects/{red.pk}", {"project": {"enabled": False}}).ok()
    member.get(f"projects/{red.pk}").refused(401)
    root.patch(f"projects/{below['id']}", {"project": {"enabled": True}}).refused(403)


def test_a_project_goes_when_nothing_is_below_it(root: Keystone, red: Project, ann: User) -> None:
    below = make(root, "below", parent_id=str(red.pk))
    message = root.delete(f"projects/{red.pk}").refused(403)
    assert message == (
        f"Cannot delete the project {red.pk} since it is not a leaf in the hierarchy. Use the cascade option if you want to delete"
        " a whole subtree."
    )
    for key in (below["id"], red.pk):
        answer = root.delete(f"projects/{key}")
        assert answer.status == 204 and answer.content == b"" and "Content-Type" not in answer.headers
    assert root.delete(f"projects/{red.pk}").refused(404) == f"Could not find project: {red.pk}."


def test_members_see_their_project_and_change_nothing(member: Keystone, red: Project) -> None:
    make_project("green")
    assert names(member) == ["red"]
    assert member.get(f"projects/{red.pk}").ok()["project"]["name"] == "red"
    for method, body in (("PATCH", {"project": {"name": "mine"}}), ("DELETE", None)):
        message = member(method, f"projects/{red.pk}", body).refused(403)
        assert message.startswith("You are not authorized to perform the requested action: identity.project.")
    member.post("projects", {"project": {"name": "x"}}).refused(403)
    member.get("projects?is_domain=true").refused(403)


@pytest.mark.parametrize("who", ["member", "ruler"])
def test_what_is_not_ones_own_is_not_there(request: pytest.FixtureRequest, who: str) -> None:
    client: Keystone = request.getfixturevalue(who)
    green = make_project("green")
    for method, path, body in (
        ("GET", "", None), ("HEAD", "", None), ("PATCH", "", {"project": {"name": "x"}}), ("DELETE", "", None), ("GET", "/tags", None),
        ("GET", "/tags/a", None),
    ):
        assert client(method, f"projects/{green.pk}{path}", body).status == 404
    for method, path, tags in (("PUT", "/tags", {"tags": ["a"]}), ("DELETE", "/tags", None), ("PUT", "/tags/a", None), ("DELETE", "/tags/a", None)):
        assert client(method, f"projects/{green.pk}{path}", tags).status == (403 if who == "member" else 404)
    assert not Project.objects.get(pk=green.pk).tags.exists()


def test_the_admin_of_a_domain_rules_over_its_projects(ruler: Keystone, blue: Project, red: Project) -> None:
    made = make(ruler, "green")
    assert made["domain_id"] == str(blue.pk)
    assert names(ruler) == ["green"]
    ruler.patch(f"projects/{made['id']}", {"project": {"name": "grey"}}).ok()
    assert ruler.delete(f"projects/{made['id']}").status == 204
    for body in ({"name": "x", "domain_id": DEFAULT}, {"name": "x", "parent_id": str(red.pk)}):
        ruler.post("projects", {"project": body}).refused(400)


def test_readers_of_the_system_see_all_and_change_nothing(auditor: Keystone, red: Project) -> None:
    assert names(auditor) == ["red"]
    auditor.get(f"projects/{red.pk}?parents_as_list&subtree_as_ids").ok()
    auditor.post("projects", {"project": {"name": "x"}}).refused(403)
    auditor.patch(f"projects/{red.pk}", {"project": {"name": "x"}}).refused(403)
    auditor.delete(f"projects/{red.pk}").refused(403)


@pytest.mark.parametrize("key", ["red", "0" * 31, "0" * 33, str(NOBODY), "%2E%2E"])
def test_what_is_no_id_is_not_found(root: Keystone, red: Project, key: str) -> None:
    root.get(f"projects/{key}").refused(404)


def test_tags_are_put_read_and_taken_one_by_one_and_together(root: Keystone, red: Project) -> None:
    path = f"projects/{red.pk}/tags"
    answer = root.put(f"{path}/web%20site")
    assert answer.status == 201 and answer.content == b""
    assert answer.headers["Location"] == f"{BASE}/projects/{red.pk}/tags/web%20site"
    assert root.put(f"{path}/web%20site").status == 201
    assert root.put(f"{path}/a").status == 201
    links = {"self": f"{BASE}/{path}", "next": None, "previous": None}
    assert root.get(path).ok() == {"tags": ["a", "web site"], "links": links}
    assert root.get(f"{path}/a").status == root.head(f"{path}/a").status == 204
    assert root.get(f"{path}/b").refused(404) == "Could not find project tag: b."
    assert root.delete(f"{path}/a").status == 204
    root.delete(f"{path}/a").refused(404)
    assert root.put(path, {"tags": ["z", "y"]}).ok() == {"tags": ["y", "z"], "links": links}
    assert root.delete(path).status == 204
    assert root.get(path).ok()["tags"] == []


@pytest.mark.parametrize("body", [{}, {"tags": None}, {"tags": "a"}, {"tags": ["a", "a"]}, {"tags": ["a,b"]}, {"tags": [1]}, {"tags": [""]}])
def test_what_are_no_tags_is_refused(root: Keystone, red: Project, body: dict[str, Any]) -> None:
    root.put(f"projects/{red.pk}/tags", body).refused(400)


def test_a_tag_that_cannot_be_is_not_there(root: Keystone, red: Project) -> None:
    path = f"projects/{red.pk}/tags/%00"
    assert {root(method, path).status for method in ("GET", "PUT", "DELETE")} == {404}


def test_there_are_at_most_eighty_tags(root: Keystone, red: Project) -> None:
    path = f"projects/{red.pk}/tags"
    root.put(path, {"tags": [f"t{n}" for n in range(80)]}).ok()
    root.put(f"{path}/more").refused(400)
    assert root.put(f"{path}/t7").status == 201
    root.put(f"{path}/{'x' * 256}").refused(400)


def test_a_member_reads_tags_and_puts_none(member: Keystone, red: Project) -> None:
    assert member.get(f"projects/{red.pk}/tags").ok()["tags"] == []
    for method, path, body in (("PUT", "", {"tags": ["a"]}), ("DELETE", "", None), ("PUT", "/a", None)):
        member(method, f"projects/{red.pk}/tags{path}", body).refused(403)


def test_a_user_sees_the_project_of_another_domain_in_which_it_has_a_role(blue: Project, red: Project) -> None:
    guest = make_user("guest", domain=blue)
    give(guest, "reader", red)
    assert names(signed_in(guest, of(red))) == ["red"]
