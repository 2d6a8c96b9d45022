"""Tokens over HTTP, and who one is by them."""

import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.common import clock
from apps.identity.models import Assignment, Token, User
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
    assert (me["user_name"], me["roles"], me["project_name"]) == ("ann", ["member", "reader"], cloud.project.name)
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
        ({"pin": "123"}, 400, "request.unknown_field", "pin"),
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
    membership = Assignment.objects.get(user=ann.user)
    operator.delete(f"role-assignments/{membership.pk}").ok(204)
    ann.get("instances").problem(401, "auth.no_role")
    given = {"user_id": str(membership.user_id), "project_id": str(cloud.project.pk), "role": "reader"}
    operator.post("role-assignments", given).ok(201)
    assert ann.get("whoami").ok()["roles"] == ["reader"]
    User.objects.filter(username="ann").update(is_active=False)
    ann.get("instances").problem(401, "auth.disabled")


def test_whoami_says_where_one_works_and_what_one_may_do(cloud: Cloud, ann: Http, operator: Http) -> None:
    me = ann.get("whoami").ok()
    assert (me["user_name"], me["user_domain_name"], me["is_operator"]) == ("ann", "Default", False)
    assert (me["project_name"], me["project_domain_name"]) == (cloud.project.name, "Default")
    assert (me["domain_id"], me["domain_name"], me["system_permissions"]) == (None, None, [])
    assert me["roles"] == ["member", "reader"]
    assert {"compute.instance.create", "identity.token.revoke"} <= set(me["permissions"])
    assert "hosts.host.enrol" not in me["permissions"]
    root = operator.get("whoami").ok()
    assert root["is_operator"] and "hosts.host.enrol" in root["system_permissions"]


def test_whoami_costs_no_query_but_that_of_the_token(ann: Http) -> None:
    ann.get("whoami").ok()
    with CaptureQueriesContext(connection) as captured:
        ann.get("whoami").ok()
    assert len(captured) == 1
