"""Tokens, projects, users and memberships over HTTP."""

import uuid
from datetime import timedelta

import pytest

from apps.common import clock
from apps.identity.models import Membership, Token, User
from tests.api.conftest import MakeUser
from tests.api.kit import Http
from tests.support.cloud import Cloud, make_project

PASSWORD = "correct horse battery"


def login(**fields: object) -> dict[str, object]:
    return {"username": "ann", "password": PASSWORD, **fields}


def test_a_password_buys_a_token_whose_secret_is_shown_once(cloud: Cloud, ann: Http, anybody: Http) -> None:
    issued = anybody.post("tokens", login(name="laptop", hours=2)).ok(201)
    assert issued["secret"].startswith(issued["prefix"]) and issued["project_id"] == str(cloud.project.pk)
    anybody.secret = issued["secret"]
    me = anybody.get("whoami").ok()
    assert (me["user_name"], me["role"], me["is_operator"], me["project_name"]) == ("ann", "member", False, cloud.project.name)
    assert me["token"]["name"] == "laptop"
    listed = anybody.get("tokens").ok()["items"]
    assert [each["name"] for each in listed] == ["laptop", ""] and "secret" not in listed[0]
    assert issued["secret"] not in str(Token.objects.values())


def test_signing_out_ends_the_token_at_once(ann: Http) -> None:
    ann.delete("tokens/current").ok(204)
    answer = ann.get("whoami")
    answer.problem(401, "auth.token_revoked")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_ones_own_tokens_can_be_revoked_and_no_others(ann: Http, mallory: Http, anybody: Http) -> None:
    other = anybody.post("tokens", login()).ok(201)
    mallory.delete(f"tokens/{other['id']}").problem(404, "token.not_found")
    mallory.delete(f"tokens/{uuid.uuid4()}").problem(404, "token.not_found")
    ann.delete(f"tokens/{other['id']}").ok(204)
    ann.delete(f"tokens/{other['id']}").problem(404, "token.not_found")
    anybody.secret = other["secret"]
    anybody.get("whoami").problem(401, "auth.token_revoked")
    ann.get("whoami").ok()


@pytest.mark.parametrize(
    ("change", "status", "code", "field"),
    [
        ({"password": "wrong"}, 401, "auth.failed", None),
        ({"username": "nobody"}, 401, "auth.failed", None),
        ({"username": ""}, 400, "request.blank", "username"),
        ({"username": 1}, 400, "request.type", "username"),
        ({"username": "a\x00"}, 400, "request.null_characters_not_allowed", "username"),
        ({"password": None}, 400, "request.null", "password"),
        ({"password": "x" * 5000}, 400, "request.max_length", "password"),
        ({"project": "nowhere"}, 403, "auth.not_member", None),
        ({"project": str(uuid.uuid4())}, 403, "auth.not_member", None),
        ({"hours": 0}, 400, "request.min_value", "hours"),
        ({"hours": 10**9}, 400, "request.max_value", "hours"),
        ({"otp": "123"}, 400, "request.unknown_field", "otp"),
    ],
)
def test_a_bad_sign_in_is_refused(
    cloud: Cloud, ann: Http, anybody: Http, change: dict[str, object], status: int, code: str, field: str | None
) -> None:
    anybody.post("tokens", login(**change)).problem(status, code, field)


def test_members_of_several_projects_say_which(cloud: Cloud, ann: Http, sign_in: MakeUser, anybody: Http) -> None:
    other = make_project("other")
    sign_in("ann", other)
    anybody.post("tokens", login()).problem(400, "auth.project_needed", "project")
    for given in ("other", str(other.pk)):
        assert anybody.post("tokens", login(project=given)).ok(201)["project_name"] == "other"


def test_nobody_is_let_in_without_a_token_that_is_good(cloud: Cloud, ann: Http, anybody: Http) -> None:
    for path in ("whoami", "instances", "tokens", "flavors", "hosts"):
        answer = anybody.get(path)
        answer.problem(401, "auth.required")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    for header, code in (
        ("Bearer cs1_forged", "auth.token_unknown"), ("Bearer", "auth.token_unknown"), ("Bearer \x7f", "auth.token_unknown"),
        ("Basic YW5uOmFubg==", "auth.required"), (f"bearer {'x' * 5000}", "auth.token_unknown"),
    ):
        anybody.get("instances", headers={"Authorization": header}).problem(401, code)
    Token.objects.update(expires_at=clock.now() - timedelta(seconds=1))
    ann.get("instances").problem(401, "auth.token_expired")
    ann.post("tokens", login()).ok(201)  # the old token in the header does not hinder a new sign-in


def test_who_is_disabled_or_thrown_out_is_out_at_once(cloud: Cloud, ann: Http, operator: Http) -> None:
    membership = Membership.objects.get(user=ann.user)
    operator.delete(f"memberships/{membership.pk}").ok(204)
    ann.get("instances").problem(403, "auth.not_member")
    operator.put("memberships", {"user_id": str(membership.user_id), "project_id": str(cloud.project.pk), "role": "reader"}).ok()
    assert ann.get("whoami").ok()["role"] == "reader"
    User.objects.filter(username="ann").update(is_active=False)
    ann.get("instances").problem(401, "auth.disabled")


def test_an_operator_makes_projects_users_and_members(cloud: Cloud, operator: Http, anybody: Http) -> None:
    project = operator.post("projects", {"name": "blue", "description": "the sky"}).ok(201)
    operator.post("projects", {"name": "blue"}).problem(409, "project.exists", "name")
    user = operator.post("users", {"username": "bob", "password": PASSWORD}).ok(201)
    assert user["is_operator"] is False and "password" not in user
    operator.post("users", {"username": "bob", "password": PASSWORD}).problem(409, "user.exists", "username")
    anybody.post("tokens", {"username": "bob", "password": PASSWORD}).problem(403, "auth.no_project")
    body = {"user_id": user["id"], "project_id": project["id"], "role": "admin"}
    made = operator.put("memberships", body).ok()
    assert operator.put("memberships", {**body, "role": "member"}).ok() == {**made, "role": "member"}
    anybody.secret = anybody.post("tokens", {"username": "bob", "password": PASSWORD}).ok(201)["secret"]
    assert [each["name"] for each in anybody.get("projects").ok()["items"]] == ["blue"]
    assert anybody.get(f"projects/{project['id']}").ok() == project
    assert [each["username"] for each in operator.get("users?username=bob").ok()["items"]] == ["bob"]
    assert {each["name"] for each in operator.get("projects").ok()["items"]} == {"blue", cloud.project.name}


def test_a_projects_admin_rules_over_its_members_and_no_others(cloud: Cloud, ann: Http, mallory: Http, sign_in: MakeUser) -> None:
    admin: Http = sign_in("adam", cloud.project, role="admin")
    assert ann.user and mallory.user and mallory.project
    names = {each["username"] for each in admin.get("memberships").ok()["items"]}
    assert names == {"adam", "ann"}
    assert {each["username"] for each in ann.get("memberships").ok()["items"]} == {"ann"}
    mine = {"user_id": str(ann.user.pk), "project_id": str(cloud.project.pk), "role": "reader"}
    theirs = {"user_id": str(mallory.user.pk), "project_id": str(mallory.project.pk), "role": "reader"}
    assert admin.put("memberships", mine).ok()["role"] == "reader"
    admin.put("memberships", theirs).problem(403, "policy.forbidden")
    ann.put("memberships", {**mine, "role": "admin"}).problem(403, "policy.forbidden")
    other = Membership.objects.get(user=mallory.user)
    admin.delete(f"memberships/{other.pk}").problem(404, "membership.not_found")
    admin.delete("memberships/999999").problem(404, "membership.not_found")
