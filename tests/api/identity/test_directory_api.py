"""Domains, projects, users, groups, roles and who has which over HTTP."""

import uuid
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.audit.models import Record
from apps.identity import builtin
from apps.identity.models import Project, User
from tests.api.conftest import MakeUser
from tests.api.kit import Http
from tests.support.cloud import Cloud, make_project
from tests.support.identity import PASSWORD, give, make_domain, make_user

NEW = "another horse battery"
IDS = {role.value: str(key) for role, key in builtin.ROLE_IDS.items()}


def names(answer: Any, field: str = "name") -> list[str]:
    return [each[field] for each in answer["items"]]


def test_an_operator_makes_domain_project_user_and_role_and_the_user_works_there(operator: Http, anybody: Http) -> None:
    domain = operator.post("domains", {"name": "blue", "description": "the sky", "tags": ["b", "a"]}).ok(201)
    assert (domain["enabled"], domain["tags"], domain["options"]) == (True, ["a", "b"], {})
    operator.post("domains", {"name": "blue"}).problem(409, "domain.exists", "name")
    top = operator.post("projects", {"name": "top", "domain_id": domain["id"]}).ok(201)
    assert (top["domain_id"], top["parent_id"]) == (domain["id"], domain["id"])
    below = operator.post("projects", {"name": "below", "parent_id": top["id"], "tags": ["x"]}).ok(201)
    assert (below["domain_id"], below["parent_id"]) == (domain["id"], top["id"])
    user = operator.post("users", {"username": "bob", "password": PASSWORD, "domain_id": domain["id"]}).ok(201)
    assert user["enabled"] and "password" not in user
    given = operator.post("role-assignments", {"role": "member", "user_id": user["id"], "project_id": below["id"]}).ok(201)
    assert operator.post("role-assignments", {"role": "member", "user_id": user["id"], "project_id": below["id"]}).ok(201) == given
    assert (given["username"], given["role_name"], given["project_name"], given["why"]) == ("bob", "member", "below", None)
    anybody.secret = anybody.post("tokens", {"username": "bob", "password": PASSWORD, "domain": "blue"}).ok(201)["secret"]
    assert names(anybody.get("projects").ok()) == ["below"]
    assert anybody.get(f"projects/{below['id']}").ok() == below
    assert anybody.get(f"domains/{domain['id']}").ok() == domain
    assert anybody.get(f"users/{user['id']}").ok() == operator.get(f"users/{user['id']}").ok()
    anybody.get(f"projects/{top['id']}").problem(404, "project.not_found", "project_id")


def test_lists_are_narrowed_and_paged(cloud: Cloud, operator: Http) -> None:
    domain = operator.post("domains", {"name": "blue"}).ok(201)
    for number in range(3):
        operator.post("projects", {"name": f"p{number}", "domain_id": domain["id"], "tags": [f"t{number}"]}).ok(201)
        operator.post("users", {"username": f"u{number}", "domain_id": domain["id"], "enabled": number != 1}).ok(201)
        operator.post("groups", {"name": f"g{number}", "domain_id": domain["id"]}).ok(201)
    of = f"domain_id={domain['id']}"
    assert names(operator.get(f"projects?{of}").ok()) == ["p2", "p1", "p0"]
    assert names(operator.get(f"projects?{of}&name=p1").ok()) == ["p1"]
    assert names(operator.get(f"projects?{of}&name__contains=2").ok()) == ["p2"]
    assert names(operator.get(f"projects?{of}&tag=t0").ok()) == ["p0"]
    assert names(operator.get(f"projects?{of}&enabled=false").ok()) == []
    assert names(operator.get(f"users?{of}&enabled=false").ok(), "username") == ["u1"]
    assert names(operator.get(f"users?{of}&username=u2").ok(), "username") == ["u2"]
    assert names(operator.get(f"groups?{of}").ok()) == ["g2", "g1", "g0"]
    assert names(operator.get("domains?name=blue").ok()) == ["blue"]
    first = operator.get(f"projects?{of}&limit=2").ok()
    assert names(first) == ["p2", "p1"]
    assert names(operator.get(first["next"].split("testserver")[1]).ok()) == ["p0"]
    operator.get("projects?nonsense=1").problem(400, "request.unknown_field", "nonsense")
    operator.get("projects?domain_id=nonsense").problem(400, "request.invalid", "domain_id")


@pytest.mark.parametrize("path", ["projects", "users", "groups", "domains", "roles", "role-assignments"])
def test_a_list_costs_the_same_however_long_it_is(operator: Http, path: str) -> None:
    def make(number: int) -> None:
        project = operator.post("projects", {"name": f"p{number}", "tags": ["a", "b"]}).ok(201)
        user = operator.post("users", {"username": f"u{number}"}).ok(201)
        operator.post("groups", {"name": f"g{number}"}).ok(201)
        operator.post("domains", {"name": f"d{number}", "tags": ["a"]}).ok(201)
        operator.post("roles", {"name": f"r{number}", "permissions": ["compute.*"]}).ok(201)
        operator.post("role-assignments", {"role": "member", "user_id": user["id"], "project_id": project["id"]}).ok(201)

    make(0)
    operator.get(path).ok()
    with CaptureQueriesContext(connection) as few:
        operator.get(path).ok()
    for number in range(1, 6):
        make(number)
    operator.get(path).ok()
    with CaptureQueriesContext(connection) as many:
        assert len(operator.get(path).ok()["items"]) >= 6
    assert len(few) == len(many) <= 3


def test_patch_changes_what_is_given_and_nothing_else(operator: Http) -> None:
    project = operator.post("projects", {"name": "web", "description": "x", "tags": ["a"]}).ok(201)
    path = f"projects/{project['id']}"
    assert operator.patch(path, {}).ok() == project
    assert operator.patch(path, {"name": "web 2"}).ok() == {**project, "name": "web 2"}
    assert operator.patch(path, {"tags": [], "options": {"immutable": True}}).ok()["tags"] == []
    operator.patch(path, {"name": "x"}).problem(403, "resource.immutable", "options.immutable")
    operator.delete(path).problem(403, "resource.immutable", "options.immutable")
    assert operator.patch(path, {"options": {"immutable": None}, "enabled": False}).ok()["options"] == {}
    operator.patch(path, {"name": None}).problem(400, "request.null", "name")
    operator.patch(path, {"domain_id": str(uuid.uuid4())}).problem(400, "request.unknown_field", "domain_id")
    user = operator.post("users", {"username": "bob", "default_project_id": project["id"]}).ok(201)
    changed = operator.patch(f"users/{user['id']}", {"default_project_id": None, "email": "bob@example.org"}).ok()
    assert (changed["default_project_id"], changed["email"], changed["username"]) == (None, "bob@example.org", "bob")
    options = {"multi_factor_auth_rules": [["password", "totp"]], "lock_password": True}
    assert operator.patch(f"users/{user['id']}", {"options": options}).ok()["options"] == options
    operator.patch(f"users/{user['id']}", {"options": {"lock_password": "yes"}}).problem(400, "request.type", "options.lock_password")
    operator.patch(f"users/{user['id']}", {"options": {"nice": True}}).problem(400, "request.unknown_field", "options.nice")
    operator.patch(f"users/{user['id']}", {"password": NEW}).problem(400, "request.unknown_field", "password")


def test_tags_of_a_project(operator: Http) -> None:
    project = operator.post("projects", {"name": "web"}).ok(201)
    path = f"projects/{project['id']}/tags"
    assert operator.put(path, {"tags": ["b", "a"]}).ok() == {"tags": ["a", "b"]}
    assert operator.put(f"{path}/c%20d").ok() == {"tags": ["a", "b", "c d"]}
    operator.delete(f"{path}/a").ok(204)
    operator.delete(f"{path}/a").problem(404, "tag.not_found", "tag")
    assert operator.get(path).ok() == {"tags": ["b", "c d"]}
    operator.put(path, {"tags": ["a/b"]}).problem(400, "tag.invalid", "tags")
    operator.put(f"{path}/a,b").problem(400, "tag.invalid", "tag")
    operator.put(path, {"tags": ["a"] * 2}).problem(400, "tag.twice", "tags")


def test_what_is_in_use_is_not_deleted_and_says_why(cloud: Cloud, operator: Http) -> None:
    cloud.host()
    cloud.active()
    problem = operator.delete(f"projects/{cloud.project.pk}").problem(409, "project.in_use")
    assert problem["in_use"]["instances"] == 1 and problem["in_use"]["networks"] == 1
    assert "instances (1)" in problem["detail"]
    operator.delete(f"domains/{builtin.DEFAULT_DOMAIN_ID}").problem(403, "domain.default")
    domain = operator.post("domains", {"name": "blue"}).ok(201)
    operator.delete(f"domains/{domain['id']}").problem(409, "domain.enabled")
    operator.patch(f"domains/{domain['id']}", {"enabled": False}).ok()
    operator.delete(f"domains/{domain['id']}").ok(204)
    operator.get(f"domains/{domain['id']}").problem(404, "domain.not_found", "domain_id")


def test_passwords_come_in_and_never_out(cloud: Cloud, ann: Http, operator: Http, anybody: Http) -> None:
    assert ann.user
    answers = [
        operator.post("users", {"username": "bob", "password": PASSWORD}),
        operator.patch(f"users/{ann.user.pk}", {"email": "x@example.org"}),
        operator.get("users"),
        operator.put(f"users/{ann.user.pk}/password", {"password": NEW}),
    ]
    for answer in answers:
        assert answer.status in (200, 201, 204)
        assert b"horse" not in answer.content and b"md5$" not in answer.content and b'"password"' not in answer.content
    assert "horse" not in str(Record.objects.values())
    ann.get("whoami").problem(401, "auth.token_revoked")
    ann.secret = anybody.post("tokens", {"username": "ann", "password": NEW}).ok(201)["secret"]
    ann.post("password", {"old_password": "wrong", "password": PASSWORD}).problem(401, "auth.failed")
    ann.post("password", {"old_password": NEW, "password": "short"}).problem(400, "user.password", "password")
    ann.post("password", {"old_password": NEW, "password": PASSWORD}).ok(204)
    ann.get("whoami").ok()
    assert User.objects.get(pk=ann.user.pk).check_password(PASSWORD)


def test_groups_and_who_is_in_them(cloud: Cloud, ann: Http, operator: Http) -> None:
    assert ann.user
    group = operator.post("groups", {"name": "ops", "description": "x"}).ok(201)
    path = f"groups/{group['id']}"
    operator.put(f"{path}/members/{ann.user.pk}").ok(204)
    operator.put(f"{path}/members/{ann.user.pk}").ok(204)
    operator.put(f"{path}/members/{uuid.uuid4()}").problem(404, "user.not_found", "user_id")
    assert names(operator.get(f"{path}/members").ok(), "username") == ["ann"]
    assert names(ann.get(f"users/{ann.user.pk}/groups").ok()) == ["ops"]
    operator.post("role-assignments", {"role": "admin", "group_id": group["id"], "project_id": str(cloud.project.pk)}).ok(201)
    assert "admin" in ann.get("whoami").ok()["roles"]
    operator.delete(f"{path}/members/{ann.user.pk}").ok(204)
    operator.delete(f"{path}/members/{ann.user.pk}").problem(404, "group.no_member", "user_id")
    assert ann.get("whoami").ok()["roles"] == ["member", "reader"]
    assert operator.patch(path, {"name": "new"}).ok()["name"] == "new"
    operator.delete(path).ok(204)
    operator.get(path).problem(404, "group.not_found", "group_id")


def test_roles_of_ones_own(cloud: Cloud, ann: Http, operator: Http) -> None:
    assert ann.user
    role = operator.post("roles", {"name": "runner", "permissions": ["compute.instance.*"]}).ok(201)
    assert (role["builtin"], role["domain_id"], role["permissions"]) == (False, None, ["compute.instance.*"])
    operator.post("roles", {"name": "x", "permissions": ["nothing.*"]}).problem(400, "role.permission", "permissions")
    operator.post("role-assignments", {"role": "runner", "user_id": str(ann.user.pk), "project_id": str(cloud.project.pk)}).ok(201)
    assert ann.get("whoami").ok()["roles"] == ["member", "reader", "runner"]
    operator.put(f"roles/{role['id']}/implies/{IDS['operator']}").ok()
    assert names(ann.get(f"roles/{role['id']}/implies").ok(), "implied_name") == ["operator"]
    assert "operator" in ann.get("whoami").ok()["roles"]
    operator.put(f"roles/{role['id']}/implies/{role['id']}").problem(409, "role.circle", "implied_id")
    operator.delete(f"roles/{role['id']}/implies/{IDS['operator']}").ok(204)
    operator.delete(f"roles/{IDS['admin']}/implies/{IDS['member']}").problem(403, "role.builtin")
    operator.patch(f"roles/{IDS['admin']}", {"name": "x"}).problem(403, "role.builtin", "role_id")
    assert operator.patch(f"roles/{role['id']}", {"permissions": ["network.*"]}).ok()["permissions"] == ["network.*"]
    assert names(operator.get("roles?builtin=false").ok()) == ["runner"]
    operator.delete(f"roles/{role['id']}").ok(204)
    assert ann.get("whoami").ok()["roles"] == ["member", "reader"]


def test_effective_roles_say_why(cloud: Cloud, ann: Http, operator: Http) -> None:
    assert ann.user
    mine = ann.get("role-assignments?effective=true").ok()
    assert [(each["role_name"], each["why"], each["implied_by"]) for each in mine["items"]] == [
        ("member", "given directly", None), ("reader", "implied by member", "member"),
    ]
    assert mine["next"] is None
    domain = Project.objects.get(pk=builtin.DEFAULT_DOMAIN_ID)
    give(ann.user, "operator", domain, inherited=True)
    found = operator.get(f"role-assignments?effective=true&user_id={ann.user.pk}&role_id={IDS['operator']}").ok()["items"]
    assert [(each["project_name"], each["inherited"], each["inherited_from_id"]) for each in found] == [
        (cloud.project.name, True, str(domain.pk)),
    ]
    assert len(operator.get(f"role-assignments?project_id={domain.pk}").ok()["items"]) == 1
    assert len(operator.get(f"role-assignments?project_id={domain.pk}&include_subtree=true").ok()["items"]) == 2
    operator.get("role-assignments?effective=true&limit=5").problem(400, "assignment.unpaged", "limit")
    operator.get(f"role-assignments?effective=true&group_id={uuid.uuid4()}").problem(400, "assignment.group", "group_id")


def test_a_projects_admin_rules_over_its_roles_and_no_others(cloud: Cloud, ann: Http, mallory: Http, sign_in: MakeUser) -> None:
    admin: Http = sign_in("adam", cloud.project, role="admin")
    assert ann.user and mallory.user and mallory.project
    assert set(names(admin.get("role-assignments").ok(), "username")) == {"adam", "ann"}
    assert set(names(ann.get("role-assignments").ok(), "username")) == {"ann"}
    mine = {"user_id": str(ann.user.pk), "project_id": str(cloud.project.pk), "role": "reader"}
    theirs = {"user_id": str(mallory.user.pk), "project_id": str(mallory.project.pk), "role": "reader"}
    given = admin.post("role-assignments", mine).ok(201)
    admin.post("role-assignments", theirs).problem(404, "project.not_found", "project_id")
    ann.post("role-assignments", {**mine, "role": "admin"}).problem(403, "policy.forbidden")
    other = mallory.get("role-assignments").ok()["items"][0]
    admin.delete(f"role-assignments/{other['id']}").problem(404, "assignment.not_found")
    admin.delete(f"role-assignments/{uuid.uuid4()}").problem(404, "assignment.not_found")
    admin.post("role-assignments", {"user_id": mine["user_id"], "role": "reader"}).problem(403, "policy.forbidden")
    ann.post("role-assignments", {**mine, "role": "nonsense"}).problem(403, "policy.forbidden")
    admin.post("role-assignments", {**mine, "role": "nonsense"}).problem(404, "role.not_found", "role")
    ann.delete(f"role-assignments/{given['id']}").problem(403, "policy.forbidden")
    admin.delete(f"role-assignments/{given['id']}").ok(204)


NAME, USERNAME = {"name": "x"}, {"username": "x"}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "domains", NAME), ("POST", "projects", NAME), ("POST", "users", USERNAME), ("POST", "groups", NAME),
        ("POST", "roles", NAME), ("GET", "users", None), ("GET", "groups", None), ("GET", "domains", None),
        ("DELETE", "users/{id}", None), ("PATCH", "users/{id}", USERNAME), ("GET", "users/{id}", None),
        ("PUT", "users/{id}/password", {"password": NEW}), ("DELETE", "projects/{id}", None), ("PATCH", "projects/{id}", NAME),
        ("PUT", "projects/{id}/tags", {"tags": []}), ("DELETE", "groups/{id}", None), ("GET", "groups/{id}/members", None),
        ("PUT", "groups/{id}/members/{id}", None), ("DELETE", "roles/{id}", None), ("PATCH", "roles/{id}", NAME),
        ("PUT", "roles/{id}/implies/{id}", None), ("DELETE", "domains/{id}", None), ("PATCH", "domains/{id}", NAME),
    ],
)
@pytest.mark.parametrize("exists", [True, False])
def test_a_member_rules_over_nobody_and_learns_not_who_is_there(
    cloud: Cloud, ann: Http, method: str, path: str, body: Any, exists: bool
) -> None:
    there = {"users": make_user("bob").pk, "projects": make_project().pk, "domains": make_domain().pk, "roles": IDS["reader"]}
    thing = path.partition("/")[0]
    key = there.get(thing, uuid.uuid4()) if exists else uuid.uuid4()
    ann(method, path.format(id=key), body).problem(403, "policy.forbidden")


def test_the_table_of_permissions_is_there_to_read(ann: Http) -> None:
    found = {each["name"]: each for each in ann.get("permissions").ok()["items"]}
    assert found["compute.instance.create"] == {
        "name": "compute.instance.create", "text": "create instances", "project": ["member"], "domain": None, "system": ["admin"],
        "own": False, "overridden": False,
    }
    assert list(found) == sorted(found)


def test_projects_of_a_user_are_those_that_it_may_enter(cloud: Cloud, ann: Http, operator: Http) -> None:
    assert ann.user and operator.user
    other = make_project("other")
    assert names(ann.get(f"users/{ann.user.pk}/projects").ok()) == [cloud.project.name]
    assert set(names(operator.get(f"users/{operator.user.pk}/projects").ok())) == {cloud.project.name, other.name}
    ann.get(f"users/{operator.user.pk}/projects").problem(403, "policy.forbidden")
