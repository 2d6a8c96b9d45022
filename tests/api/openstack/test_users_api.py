"""Users over Identity v3."""

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from apps.identity import builtin
from apps.identity.models import Project, User
from tests.api.openstack.kit import Keystone, of, signed_in
from tests.support.cloud import make_project
from tests.support.identity import PASSWORD, give, make_user

BASE = "http://127.0.0.1:8600/identity/v3"
DEFAULT = str(builtin.DEFAULT_DOMAIN_ID)
NEW = "another horse battery"


def make(client: Keystone, name: str, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = client.post("users", {"user": {"name": name, **more}}).ok(201)["user"]
    return made


def names(client: Keystone, query: str = "") -> list[str]:
    return sorted(each["name"] for each in client.get(f"users{query}").ok()["users"])


def change_password(user: User, old: str, new: str, client: Keystone | None = None) -> Any:
    return (client or Keystone()).post(f"users/{user.pk}/password", {"user": {"original_password": old, "password": new}})


def test_a_new_user_is_shown_whole_but_for_the_password(root: Keystone, red: Project) -> None:
    made = make(
        root, "bob", password=PASSWORD, email="bob@example.org", description="Of red", default_project_id=str(red.pk),
        options={"ignore_password_expiry": True}, federated=[], colour="ignored",
    )
    assert made == {
        "id": made["id"], "name": "bob", "domain_id": DEFAULT, "enabled": True, "password_expires_at": None,
        "options": {"ignore_password_expiry": True}, "email": "bob@example.org", "description": "Of red",
        "default_project_id": str(red.pk), "links": {"self": f"{BASE}/users/{made['id']}"},
    }
    assert root.get(f"users/{made['id']}").ok() == {"user": made}
    assert root.head(f"users/{made['id']}").content == b""
    signed_in(User.objects.get(pk=made["id"]))


def test_what_is_not_set_is_not_shown(root: Keystone) -> None:
    made = make(root, "bob", password=None, email=None, description=None, default_project_id=None, domain_id=None)
    assert set(made) == {"id", "name", "domain_id", "enabled", "password_expires_at", "options", "links"}
    Keystone().sign_in(User.objects.get(pk=made["id"])).refused(401)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "user in request body"), ({"user": {}}, "'name' is a required property"), ({"user": {"name": ""}}, "user.name"),
        ({"user": {"name": "x" * 256}}, "user.name"), ({"user": {"name": "x", "enabled": "True"}}, "user.enabled"),
        ({"user": {"name": "x", "password": 7}}, "user.password"),
        ({"user": {"name": "x", "password": "short"}}, "The password does not match the requirements: "),
        ({"user": {"name": "x", "default_project_id": "red"}}, "default_project_id"),
        ({"user": {"name": "x", "default_project_id": DEFAULT}}, f"User's default project ID cannot be a domain ID: {DEFAULT}"),
        ({"user": {"name": "x", "options": {"colour": True}}}, "option"),
        ({"user": {"name": "x", "options": {"lock_password": "yes"}}}, "lock_password"),
        ({"user": {"name": "x", "options": {"multi_factor_auth_rules": [["password"], ["password"]]}}}, "multi_factor_auth_rules"),
        ({"user": {"name": "x", "options": {"multi_factor_auth_rules": [[]]}}}, "multi_factor_auth_rules"),
    ],
)
def test_what_is_no_user_is_refused(root: Keystone, body: dict[str, Any], said: str) -> None:
    assert said in root.post("users", body).refused(400)
    assert not User.objects.filter(username="x").exists()


def test_a_user_needs_a_domain_that_is_there(root: Keystone) -> None:
    assert root.post("users", {"user": {"name": "x", "domain_id": "nothing"}}).refused(404) == "Could not find domain: nothing."
    root.post("users", {"user": {"name": "x", "domain_id": str(uuid.uuid4())}}).refused(404)


def test_a_name_is_there_once_in_a_domain(root: Keystone, ann: User, blue: Project) -> None:
    assert root.post("users", {"user": {"name": "ann"}}).refused(409).startswith("Conflict occurred attempting to store user - ")
    other = make(root, "ann", domain_id=str(blue.pk))
    make(root, "bob", domain_id=str(blue.pk))
    root.patch(f"users/{other['id']}", {"user": {"name": "bob"}}).refused(409)


def test_users_are_found_by_what_they_are(root: Keystone, ann: User, blue: Project) -> None:
    make(root, "bob", domain_id=str(blue.pk), enabled=False)
    User.objects.filter(pk=ann.pk).update(password_expires_at=datetime(2026, 6, 1, tzinfo=UTC))
    moment = "2026-06-01T00:00:00Z"
    found = {
        "": ["ann", "bob", "root"], "?name=ann": ["ann"], "?name=nobody": [], "?name__contains=o": ["bob", "root"],
        f"?domain_id={blue.pk}": ["bob"], "?domain_id=nothing": [], "?enabled=false": ["bob"], "?enabled=True": ["ann", "root"],
        f"?password_expires_at=eq:{moment}": ["ann"], f"?password_expires_at=neq:{moment}": [],
        f"?password_expires_at=lt:{moment}": [], f"?password_expires_at=lte:{moment}": ["ann"],
        "?password_expires_at=gt:2026-05-31T23:59:59.5": ["ann"], f"?password_expires_at=gte:{moment}": ["ann"],
        "?unique_id=x": [], "?idp_id=x": [], "?protocol_id=x": [], "?colour=red": ["ann", "bob", "root"],
    }
    assert {query: names(root, query) for query in found} == found
    page = root.get("users?limit=1").ok()
    assert page["truncated"] is True and page["links"]["next"].startswith(f"{BASE}/users?limit=1&marker=")


@pytest.mark.parametrize(
    "value", ["", "2026-06-01T00:00:00Z", "before:2026-06-01T00:00:00Z", "lt:yesterday", "lt:", "lt:0001-01-01T00:00:00%2B23:00", "lt:%C2%B2"]
)
def test_a_time_that_is_none_is_refused(root: Keystone, value: str) -> None:
    assert "password_expires_at" in root.get(f"users?password_expires_at={value}").refused(400)


def test_only_what_is_given_changes(root: Keystone, red: Project) -> None:
    made = make(root, "bob", email="bob@example.org", options={"lock_password": True})
    path = f"users/{made['id']}"
    changed = root.patch(path, {"user": {"description": "new", "id": made["id"], "domain_id": DEFAULT, "default_project_id": str(red.pk)}})
    assert changed.ok() == {"user": {**made, "description": "new", "default_project_id": str(red.pk)}}
    changed = root.patch(path, {"user": {"description": None, "email": "", "default_project_id": None, "options": {"lock_password": None}}})
    assert changed.ok()["user"] == {key: value for key, value in made.items() if key != "email"} | {"options": {}}
    assert root.patch(path, {"user": {"name": "rob", "enabled": False}}).ok()["user"]["name"] == "rob"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "non-empty"), ({"id": "other"}, "Cannot change ID"), ({"domain_id": str(uuid.uuid4())}, "Cannot change Domain ID"),
        ({"domain_id": None}, "Cannot change Domain ID"), ({"name": " "}, "name"), ({"enabled": 0}, "enabled"),
        ({"password": "short", "email": "new@example.org"}, "The password does not match the requirements: "),
        ({"default_project_id": DEFAULT}, "default project"),
    ],
)
def test_what_may_not_change_does_not(root: Keystone, ann: User, change: dict[str, Any], said: str) -> None:
    before = root.get(f"users/{ann.pk}").ok()
    assert said in root.patch(f"users/{ann.pk}", {"user": change}).refused(400)
    assert root.get(f"users/{ann.pk}").ok() == before
    signed_in(ann)


def test_a_password_that_is_set_ends_all_tokens_and_counts_from_now_on(root: Keystone, ann: User, member: Keystone) -> None:
    User.objects.filter(pk=ann.pk).update(password_expires_at=datetime(2026, 6, 1, tzinfo=UTC))
    changed = root.patch(f"users/{ann.pk}", {"user": {"password": NEW, "email": "ann@example.org"}}).ok()["user"]
    assert "password" not in changed and changed["email"] == "ann@example.org" and changed["password_expires_at"] is None
    member.get("auth/projects").refused(401)
    Keystone().sign_in(ann).refused(401)
    Keystone().sign_in(ann, password=NEW).ok(201)


def test_neither_name_nor_password_changes_if_one_of_them_cannot(root: Keystone, ann: User) -> None:
    make(root, "bob")
    root.patch(f"users/{ann.pk}", {"user": {"password": NEW, "name": "bob"}}).refused(409)
    signed_in(ann)


def test_who_is_disabled_is_out_at_once(root: Keystone, ann: User, member: Keystone) -> None:
    root.patch(f"users/{ann.pk}", {"user": {"enabled": False}}).ok()
    member.get("auth/projects").refused(401)
    Keystone().sign_in(ann).refused(401)


def test_who_is_deleted_is_gone(root: Keystone, ann: User, member: Keystone) -> None:
    answer = root.delete(f"users/{ann.pk}")
    assert answer.status == 204 and answer.content == b"" and "Content-Type" not in answer.headers
    member.get("auth/projects").refused(401)
    for method in ("GET", "DELETE"):
        assert root(method, f"users/{ann.pk}").refused(404) == f"Could not find user: {ann.pk}."


def test_the_last_administrator_stays(root: Keystone) -> None:
    user = User.objects.get(username="root")
    root.delete(f"users/{user.pk}").refused(403)
    root.patch(f"users/{user.pk}", {"user": {"enabled": False}}).refused(403)


def test_one_changes_ones_password_by_the_old_one_without_a_token(ann: User, member: Keystone) -> None:
    answer = change_password(ann, PASSWORD, NEW)
    assert answer.status == 204 and answer.content == b""
    member.get("auth/projects").refused(401)
    Keystone().sign_in(ann).refused(401)
    Keystone().sign_in(ann, password=NEW).ok(201)


def test_the_token_with_which_one_changes_the_password_goes_on(ann: User, member: Keystone) -> None:
    other = signed_in(ann)
    assert change_password(ann, PASSWORD, NEW, member).status == 204
    member.get("auth/projects").ok()
    other.get("auth/projects").refused(401)


def test_whoever_sends_it_the_old_password_decides(ann: User, root: Keystone) -> None:
    change_password(ann, "wrong", NEW, root).refused(401)
    assert change_password(ann, PASSWORD, NEW, root).status == 204
    change_password(ann, NEW, PASSWORD, Keystone("nonsense")).refused(401)


def test_a_wrong_password_and_an_unknown_user_are_not_told_apart(ann: User) -> None:
    nobody = User(pk=uuid.uuid4())
    assert change_password(ann, "wrong", NEW).refused(401) == change_password(nobody, PASSWORD, NEW).refused(401)
    signed_in(ann)


@pytest.mark.parametrize(
    "body",
    [
        {}, {"user": {}}, {"user": {"password": NEW}}, {"user": {"original_password": PASSWORD}},
        {"user": {"original_password": PASSWORD, "password": None}}, {"user": {"original_password": PASSWORD, "password": "short"}},
        {"user": {"original_password": PASSWORD, "password": PASSWORD}},
        {"user": {"original_password": PASSWORD, "password": NEW, "name": "x"}},
        {"user": {"original_password": PASSWORD, "password": NEW}, "more": 1},
    ],
)
def test_what_is_no_change_of_a_password_is_refused(ann: User, body: dict[str, Any]) -> None:
    Keystone().post(f"users/{ann.pk}/password", body).refused(400)
    signed_in(ann)


def test_a_password_that_is_locked_is_changed_by_administrators_only(root: Keystone, ann: User) -> None:
    root.patch(f"users/{ann.pk}", {"user": {"options": {"lock_password": True}}}).ok()
    change_password(ann, PASSWORD, NEW).refused(403)
    root.patch(f"users/{ann.pk}", {"user": {"password": NEW}}).ok()


def test_passwords_are_not_read(root: Keystone, ann: User) -> None:
    assert root.get(f"users/{ann.pk}/password").status == 405


def test_a_user_has_groups_and_projects(root: Keystone, ann: User, red: Project, blue: Project) -> None:
    path = f"users/{ann.pk}"
    group = root.post("groups", {"group": {"name": "ops"}}).ok(201)["group"]
    root.post("groups", {"group": {"name": "others"}}).ok(201)
    root.put(f"groups/{group['id']}/users/{ann.pk}").ok(204)
    assert root.get(f"{path}/groups").ok()["groups"] == [group]
    assert root.get(f"{path}/groups?name=others").ok()["groups"] == []
    green, _ = make_project("green"), make_project("grey")
    give(ann, "reader", green)
    shown = root.get(f"{path}/projects").ok()
    assert sorted(each["name"] for each in shown["projects"]) == ["green", "red"]
    assert shown["links"] == {"self": f"{BASE}/{path}/projects", "next": None, "previous": None}
    assert [each["name"] for each in root.get(f"{path}/projects?name=red&enabled=1&domain_id=default").ok()["projects"]] == ["red"]
    assert root.get(f"{path}/projects?domain_id={blue.pk}").ok()["projects"] == []


def test_one_sees_oneself_and_nobody_else(member: Keystone, ann: User) -> None:
    bob = make_user("bob")
    assert member.get(f"users/{ann.pk}").ok()["user"]["name"] == "ann"
    for path in ("", "/groups", "/projects"):
        member.get(f"users/{ann.pk}{path}").ok()
        assert member.get(f"users/{bob.pk}{path}").status in (403, 404)
    member.get("users").refused(403)
    member.post("users", {"user": {"name": "x"}}).refused(403)
    for key in (ann.pk, bob.pk):
        member.patch(f"users/{key}", {"user": {"email": "x"}}).refused(403)
        member.delete(f"users/{key}").refused(403)


def test_the_admin_of_a_domain_rules_over_its_users_and_sees_no_others(ruler: Keystone, blue: Project, ann: User) -> None:
    made = make(ruler, "bob", password=PASSWORD)
    assert made["domain_id"] == str(blue.pk) and names(ruler) == ["bob", "ruler"]
    assert names(ruler, "?domain_id=default") == []
    ruler.patch(f"users/{made['id']}", {"user": {"password": NEW}}).ok()
    for path in ("", "/groups", "/projects"):
        ruler.get(f"users/{ann.pk}{path}").refused(404)
    ruler.patch(f"users/{ann.pk}", {"user": {"password": NEW}}).refused(404)
    ruler.delete(f"users/{ann.pk}").refused(404)
    ruler.post("users", {"user": {"name": "x", "domain_id": DEFAULT}}).refused(404)
    assert ruler.delete(f"users/{made['id']}").status == 204
    signed_in(ann)


def test_a_reader_of_the_system_sees_all_and_changes_nothing(auditor: Keystone, ann: User) -> None:
    assert names(auditor) == ["ann", "auditor"]
    auditor.get(f"users/{ann.pk}/projects").ok()
    auditor.post("users", {"user": {"name": "x"}}).refused(403)
    auditor.patch(f"users/{ann.pk}", {"user": {"password": NEW}}).refused(403)
    auditor.delete(f"users/{ann.pk}").refused(403)


def test_the_admin_of_a_project_sees_no_users(red: Project) -> None:
    boss = signed_in(make_user("boss", red, "admin"), of(red))
    boss.get("users").refused(403)
    boss.post("users", {"user": {"name": "x"}}).refused(403)
