"""Roles given, looked up and taken away, on projects, domains and the system."""

import uuid
from dataclasses import dataclass

import pytest

from apps.identity import builtin
from apps.identity.models import Assignment, Group, Project, User
from tests.api.openstack.kit import Keystone, of, signed_in
from tests.support.cloud import make_project
from tests.support.identity import give, make_user

BASE = "http://127.0.0.1:8600/identity/v3"
IDS = {role.value: str(key) for role, key in builtin.ROLE_IDS.items()}


@dataclass
class World:
    """Things to give roles to and in."""

    user: User
    group: Group
    project: Project
    domain: Project

    def path(self, text: str) -> str:
        return text.format(user=self.user.pk, group=self.group.pk, project=self.project.pk, domain=self.domain.pk)


@pytest.fixture
def world(red: Project, blue: Project) -> World:
    group = Group.objects.create(name="ops", domain_id=builtin.DEFAULT_DOMAIN_ID)
    return World(make_user("bob"), group, red, blue)


PLACES = [
    f"{place}/{holder}/roles" for place in ("projects/{project}", "domains/{domain}", "system") for holder in ("users/{user}", "groups/{group}")
]


@pytest.mark.parametrize("place", PLACES)
def test_a_role_is_given_found_listed_and_taken_away(root: Keystone, world: World, place: str) -> None:
    path = world.path(place)
    role = f"{path}/{IDS['reader']}"
    assert root.get(path).ok() == {"roles": [], "links": {"self": f"{BASE}/{path}", "next": None, "previous": None}}
    for method in ("PUT", "PUT", "GET", "HEAD"):
        answer = root(method, role)
        assert answer.status == 204 and answer.content == b"" and "Content-Type" not in answer.headers
    assert [each["name"] for each in root.get(path).ok()["roles"]] == ["reader"]
    assert Assignment.objects.filter(role_id=IDS["reader"]).count() == 1
    assert root.delete(role).status == 204
    key, at = (world.user.pk if "users" in path else world.group.pk), path.split("/")[1] if "system" not in path else "system"
    for method in ("GET", "DELETE"):
        assert root(method, role).refused(404) == (
            f"Could not find role assignment with role: {IDS['reader']}, user or group: {key}, project, domain, or system: {at}."
        )
    assert root.head(role).status == 404 and root.get(path).ok()["roles"] == []


@pytest.mark.parametrize("place", [place for place in PLACES if not place.startswith("system")])
def test_an_inherited_role_is_another_one(root: Keystone, world: World, place: str) -> None:
    path = f"OS-INHERIT/{world.path(place)}"
    direct, role = f"{world.path(place)}/{IDS['reader']}", f"{path}/{IDS['reader']}/inherited_to_projects"
    assert root.put(role).status == 204
    assert root.get(role).status == root.head(role).status == 204
    assert root.get(direct).status == 404
    assert [each["name"] for each in root.get(f"{path}/inherited_to_projects").ok()["roles"]] == ["reader"]
    assert root.get(world.path(place)).ok()["roles"] == []
    assert root.delete(direct).status == 404
    assert root.delete(role).status == 204
    root.delete(role).refused(404)


def test_a_role_on_the_system_is_not_inherited(root: Keystone, world: World) -> None:
    root.put(world.path("OS-INHERIT/system/users/{user}/roles/" + IDS["reader"] + "/inherited_to_projects")).refused(404)


def test_an_inherited_role_counts_below_and_not_there(root: Keystone, world: World) -> None:
    below = root.post("projects", {"project": {"name": "below", "parent_id": str(world.project.pk)}}).ok(201)["project"]
    root.put(world.path("OS-INHERIT/projects/{project}/users/{user}/roles/") + IDS["reader"] + "/inherited_to_projects").ok(204)
    Keystone().sign_in(world.user, of(world.project)).refused(401)
    Keystone().sign_in(world.user, {"project": {"id": below["id"]}}).ok(201)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_what_is_not_there_is_named(root: Keystone, world: World, place: str, method: str) -> None:
    nobody = uuid.uuid4()
    unknown = {"role": world.path(place) + f"/{nobody}"}
    for key in ("user", "group", "project", "domain"):
        if f"{{{key}}}" in place:
            unknown[key] = world.path(place.replace(f"{{{key}}}", str(nobody))) + f"/{IDS['reader']}"
    for thing, path in unknown.items():
        assert root(method, path).refused(404) == f"Could not find {thing}: {nobody}."
        if method == "GET" and thing != "role":
            assert root.get(path.rpartition("/")[0]).refused(404) == f"Could not find {thing}: {nobody}."
    root(method, world.path(place) + "/reader").refused(404)


def test_a_domain_is_no_project_here_and_a_project_no_domain(root: Keystone, world: World) -> None:
    for path in ("projects/{domain}/users/{user}/roles/", "domains/{project}/users/{user}/roles/"):
        root.put(world.path(path) + IDS["reader"]).refused(404)
    assert not Assignment.objects.filter(user=world.user).exists()


def test_a_role_of_a_domain_is_given_in_that_domain_only(root: Keystone, world: World) -> None:
    role = root.post("roles", {"role": {"name": "own", "domain_id": str(world.domain.pk)}}).ok(201)["role"]["id"]
    assert root.put(world.path("domains/{domain}/users/{user}/roles/") + role).status == 204
    root.put(world.path("projects/{project}/users/{user}/roles/") + role).refused(403)
    root.put(world.path("system/users/{user}/roles/") + role).refused(400)


def test_a_role_that_is_taken_away_is_gone_at_once(root: Keystone, member: Keystone, ann: User, red: Project) -> None:
    member.get(f"projects/{red.pk}").ok()
    root.delete(f"projects/{red.pk}/users/{ann.pk}/roles/{IDS['member']}").ok(204)
    member.get(f"projects/{red.pk}").refused(401)


def test_the_last_administrator_keeps_the_role(root: Keystone) -> None:
    key = User.objects.get(username="root").pk
    root.delete(f"system/users/{key}/roles/{IDS['admin']}").refused(403)


def test_the_admin_of_a_domain_gives_roles_in_it_and_nowhere_else(ruler: Keystone, world: World) -> None:
    inside = ruler.post("projects", {"project": {"name": "inside"}}).ok(201)["project"]["id"]
    for path in (f"projects/{inside}/users/{{user}}/roles/", "domains/{domain}/groups/{group}/roles/"):
        assert ruler.put(world.path(path) + IDS["member"]).status == 204
    path = world.path(f"OS-INHERIT/domains/{{domain}}/users/{{user}}/roles/{IDS['member']}/inherited_to_projects")
    assert ruler.put(path).status == 204
    outside = (
        world.path("projects/{project}/users/{user}/roles"), f"domains/{builtin.DEFAULT_DOMAIN_ID}/users/{world.user.pk}/roles",
    )
    for method in ("GET", "PUT", "DELETE"):
        for place in outside:
            ruler(method, f"{place}/{IDS['member']}").refused(404)
        ruler(method, world.path("system/users/{user}/roles/") + IDS["reader"]).refused(403)
    for place in outside:
        ruler.get(place).refused(404)
    ruler.get(world.path("system/users/{user}/roles")).refused(403)


def test_the_admin_of_a_project_gives_roles_in_it(world: World, red: Project) -> None:
    boss = signed_in(make_user("boss", red, "admin"), of(red))
    path = world.path("projects/{project}/users/{user}/roles")
    assert boss.put(f"{path}/{IDS['member']}").status == 204
    assert [each["name"] for each in boss.get(path).ok()["roles"]] == ["member"]
    assert boss.delete(f"{path}/{IDS['member']}").status == 204
    other = make_project("green").pk
    for method in ("GET", "PUT", "DELETE"):
        boss(method, f"projects/{other}/users/{world.user.pk}/roles/{IDS['member']}").refused(404)
    boss.put(f"OS-INHERIT/{path}/{IDS['member']}/inherited_to_projects").refused(403)


def test_a_member_sees_its_own_roles_and_gives_none(member: Keystone, ann: User, world: World) -> None:
    give(world.user, "reader", world.project)
    mine, theirs = (f"projects/{world.project.pk}/users/{key}/roles" for key in (ann.pk, world.user.pk))
    assert [each["name"] for each in member.get(mine).ok()["roles"]] == ["member"]
    assert member.get(f"{mine}/{IDS['member']}").status == 204
    for path in (theirs, f"{theirs}/{IDS['reader']}"):
        assert member.get(path).refused(403).startswith("You are not authorized to perform the requested action: identity.assignment.list.")
    for method in ("PUT", "DELETE"):
        for path in (mine, theirs):
            member(method, f"{path}/{IDS['reader']}").refused(403)


def test_a_reader_of_the_system_sees_all_and_changes_nothing(auditor: Keystone, world: World) -> None:
    give(world.user, "reader", world.project)
    path = world.path("projects/{project}/users/{user}/roles")
    assert auditor.get(path).ok()["roles"] and auditor.get(f"{path}/{IDS['reader']}").status == 204
    for method in ("PUT", "DELETE"):
        auditor(method, f"{path}/{IDS['reader']}").refused(403)
    for place in PLACES:
        auditor.get(world.path(place)).ok()
