"""The list of role assignments: as given, effective, with names."""

import uuid
from dataclasses import dataclass
from typing import Any

import pytest

from apps.identity import builtin
from apps.identity.models import Group, GroupMember, Project, User
from tests.api.openstack.kit import Keystone, of, signed_in
from tests.support.cloud import make_project
from tests.support.identity import give, make_user

BASE = "http://127.0.0.1:8600/identity/v3"
DEFAULT = str(builtin.DEFAULT_DOMAIN_ID)
IDS = {role.value: str(key) for role, key in builtin.ROLE_IDS.items()}
NAMED = {key: name for name, key in IDS.items()}


@dataclass
class World:
    """Bob is member of red himself, reader of the second domain's projects (blue, with one project) by his group ops."""

    bob: User
    ops: Group
    red: Project
    blue: Project
    inside: Project


@pytest.fixture
def world(root: Keystone, red: Project, blue: Project) -> World:
    inside = Project.objects.get(pk=root.post("projects", {"project": {"name": "inside", "domain_id": str(blue.pk)}}).ok(201)["project"]["id"])
    made = World(make_user("bob", red), Group.objects.create(name="ops", domain=blue), red, blue, inside)
    GroupMember.objects.create(group=made.ops, user=made.bob)
    give(made.ops, "reader", blue, inherited=True)
    give(made.ops, "reader", blue)
    return made


def found(client: Keystone, query: str = "") -> list[dict[str, Any]]:
    content = client.get(f"role_assignments{query}").ok()
    assert content["links"]["next"] is content["links"]["previous"] is None
    rows: list[dict[str, Any]] = content["role_assignments"]
    return rows


def brief(rows: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    """Role, kind of holder, place; `+` for inherited."""
    return {
        (
            NAMED[row["role"]["id"]], "user" if "user" in row else "group",
            next(iter(row["scope"])) + ("+" if "OS-INHERIT:inherited_to" in row["scope"] else ""),
        )
        for row in rows
    }


def test_an_assignment_says_role_holder_scope_and_where_it_is(root: Keystone, world: World) -> None:
    [row] = found(root, f"?user.id={world.bob.pk}")
    assert row == {
        "role": {"id": IDS["member"]}, "user": {"id": str(world.bob.pk)}, "scope": {"project": {"id": str(world.red.pk)}},
        "links": {"assignment": f"{BASE}/projects/{world.red.pk}/users/{world.bob.pk}/roles/{IDS['member']}"},
    }
    [row] = found(root, "?scope.system=all")
    operator = User.objects.get(username="root")
    assert row == {
        "role": {"id": IDS["admin"]}, "user": {"id": str(operator.pk)}, "scope": {"system": {"all": True}},
        "links": {"assignment": f"{BASE}/system/users/{operator.pk}/roles/{IDS['admin']}"},
    }
    [row] = found(root, f"?group.id={world.ops.pk}&scope.OS-INHERIT:inherited_to=projects")
    assert row == {
        "role": {"id": IDS["reader"]}, "group": {"id": str(world.ops.pk)},
        "scope": {"domain": {"id": str(world.blue.pk)}, "OS-INHERIT:inherited_to": "projects"},
        "links": {
            "assignment": f"{BASE}/OS-INHERIT/domains/{world.blue.pk}/groups/{world.ops.pk}/roles/{IDS['reader']}/inherited_to_projects"
        },
    }
    for each in found(root):  # what a link says is really there
        assert root.head(each["links"]["assignment"].removeprefix(f"{BASE}/")).status == 204


def test_with_names_all_have_names_and_domains(root: Keystone, world: World) -> None:
    [row] = found(root, f"?user.id={world.bob.pk}&include_names")
    default = {"id": DEFAULT, "name": "Default"}
    assert row["role"] == {"id": IDS["member"], "name": "member"}
    assert row["user"] == {"id": str(world.bob.pk), "name": "bob", "domain": default}
    assert row["scope"] == {"project": {"id": str(world.red.pk), "name": "red", "domain": default}}
    [row] = found(root, f"?group.id={world.ops.pk}&include_names=True&scope.OS-INHERIT:inherited_to=no")
    blue = {"id": str(world.blue.pk), "name": "blue"}
    assert row["group"] == {"id": str(world.ops.pk), "name": "ops", "domain": blue}
    assert row["scope"] == {"domain": blue}
    role = root.post("roles", {"role": {"name": "own", "domain_id": str(world.blue.pk)}}).ok(201)["role"]["id"]
    give(world.bob, role, world.blue)
    [row] = found(root, f"?role.id={role}&include_names")
    assert row["role"] == {"id": role, "name": "own", "domain": blue}
    assert "name" not in found(root, f"?role.id={role}&include_names=0")[0]["role"]


def test_the_list_is_narrowed_by_each_of_its_filters(root: Keystone, world: World) -> None:
    direct, below = ("reader", "group", "domain"), ("reader", "group", "domain+")
    mine, system = ("member", "user", "project"), ("admin", "user", "system")
    expected = {
        "": {direct, below, mine, system}, f"?user.id={world.bob.pk}": {mine}, f"?group.id={world.ops.pk}": {direct, below},
        f"?role.id={IDS['reader']}": {direct, below}, f"?scope.project.id={world.red.pk}": {mine},
        f"?scope.domain.id={world.blue.pk}": {direct, below}, "?scope.domain.id=default": set(), "?scope.system=all": {system},
        "?scope.OS-INHERIT:inherited_to=projects": {below}, "?scope.OS-INHERIT:inherited_to=x": {direct, mine, system},
        f"?scope.project.id={world.blue.pk}": set(), f"?scope.domain.id={world.red.pk}": set(),
        f"?role.id={IDS['member']}&user.id={world.bob.pk}": {mine}, f"?user.id={uuid.uuid4()}": set(), "?user.id=bob": set(),
        "?role.id=reader": set(), "?scope.project.id=red": set(), "?user.id=": {direct, below, mine, system},
        "?limit=1": {direct, below, mine, system},
    }
    assert {query: brief(found(root, query)) for query in expected} == expected


def test_effective_roles_are_of_users_in_real_projects_with_all_that_is_implied(root: Keystone, world: World) -> None:
    rows = found(root, f"?user.id={world.bob.pk}&effective")
    assert brief(rows) == {
        ("member", "user", "project"), ("reader", "user", "project"), ("reader", "user", "domain"), ("reader", "user", "project+"),
    }
    by_scope = {(NAMED[row["role"]["id"]], str(row["scope"])): row for row in rows}
    bob, group = world.bob.pk, f"groups/{world.ops.pk}"
    implied = by_scope["reader", str({"project": {"id": str(world.red.pk)}})]
    assert implied["links"] == {
        "assignment": f"{BASE}/projects/{world.red.pk}/users/{bob}/roles/{IDS['member']}",
        "prior_role": f"{BASE}/prior_role/{IDS['member']}/implies/{IDS['reader']}",
    }
    inherited = by_scope["reader", str({"project": {"id": str(world.inside.pk)}, "OS-INHERIT:inherited_to": "projects"})]
    assert inherited["links"] == {
        "assignment": f"{BASE}/OS-INHERIT/domains/{world.blue.pk}/{group}/roles/{IDS['reader']}/inherited_to_projects",
        "membership": f"{BASE}/{group}/users/{bob}",
    }
    for path in (link.removeprefix(f"{BASE}/") for row in rows for name, link in row["links"].items() if name != "prior_role"):
        assert root.head(path).status == 204


def test_effective_roles_of_a_place_are_those_that_count_there(root: Keystone, world: World) -> None:
    [row] = found(root, f"?scope.project.id={world.inside.pk}&effective&include_names")
    assert row["user"]["name"] == "bob" and row["scope"]["project"]["name"] == "inside"
    assert {row["role"]["id"] for row in found(root, "?scope.system=all&effective=1")} == set(IDS.values()) - {IDS["service"]}
    assert found(root, f"?role.id={IDS['operator']}&scope.project.id={world.red.pk}&effective") == []
    assert brief(found(root, f"?scope.project.id={world.inside.pk}")) == set()


def test_a_role_of_a_domain_stands_for_what_it_implies(root: Keystone, world: World) -> None:
    own = root.post("roles", {"role": {"name": "own", "domain_id": str(world.blue.pk)}}).ok(201)["role"]["id"]
    root.put(f"roles/{own}/implies/{IDS['operator']}").ok(201)
    ann = make_user("carl", domain=world.blue)
    give(ann, own, world.inside)
    rows = found(root, f"?user.id={ann.pk}&effective")
    assert {NAMED[row["role"]["id"]] for row in rows} == {"operator", "reader"}
    assert {row["links"]["assignment"] for row in rows} == {f"{BASE}/projects/{world.inside.pk}/users/{ann.pk}/roles/{own}"}


def test_a_subtree_is_listed_from_its_top(root: Keystone, world: World) -> None:
    below = root.post("projects", {"project": {"name": "below", "parent_id": str(world.red.pk)}}).ok(201)["project"]["id"]
    give(world.bob, "operator", Project.objects.get(pk=below))
    assert brief(found(root, f"?scope.project.id={world.red.pk}&include_subtree=True")) == {
        ("member", "user", "project"), ("operator", "user", "project"),
    }
    assert len(found(root, f"?scope.project.id={world.red.pk}&include_subtree&effective")) == 4


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("scope.domain.id=a&scope.project.id=b", "Specify a domain or project, not both"),
        ("scope.domain.id=a&scope.system=all", "Specify system or domain, not both"),
        ("scope.project.id=a&scope.system=all", "Specify system or project, not both"),
        ("user.id=a&group.id=b", "Specify a user or group, not both"),
        ("effective&group.id=a", "Combining effective and group filter"),
        ("effective&scope.OS-INHERIT:inherited_to=projects&scope.domain.id=a", "Combining effective, domain and inherited filters"),
        ("include_subtree", "scope.project.id must be specified"),
    ],
)
def test_filters_that_exclude_each_other_are_refused(root: Keystone, query: str, said: str) -> None:
    assert said in root.get(f"role_assignments?{query}").refused(400)


def test_the_admin_of_a_domain_sees_what_is_given_in_it(ruler: Keystone, world: World) -> None:
    assert brief(found(ruler)) == {("reader", "group", "domain"), ("reader", "group", "domain+"), ("admin", "user", "domain")}
    assert found(ruler, f"?scope.project.id={world.red.pk}") == found(ruler, f"?scope.project.id={world.red.pk}&effective") == []
    assert found(ruler, "?scope.system=all") == found(ruler, "?scope.system=all&effective") == []


def test_a_member_sees_its_own_and_the_admin_of_a_project_all_of_that_project(member: Keystone, ann: User, world: World, red: Project) -> None:
    assert {row["user"]["id"] for row in found(member)} == {row["user"]["id"] for row in found(member, "?effective")} == {str(ann.pk)}
    assert found(member, f"?user.id={world.bob.pk}") == found(member, f"?user.id={world.bob.pk}&effective") == []
    make_project("green")
    boss = make_user("boss", red, "admin")
    names = {row["user"]["name"] for row in found(signed_in(boss, of(red)), "?include_names")}
    assert names == {"ann", "bob", "boss"}


def test_a_reader_of_the_system_sees_all(auditor: Keystone, world: World) -> None:
    assert len(found(auditor)) == 5
