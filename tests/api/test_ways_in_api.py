"""Ways in and what lets programs act for a user, over HTTP."""

import logging
import uuid
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from apps.audit.models import Record
from apps.identity.models import Credential, Token, User
from tests.api.kit import Http
from tests.support.cloud import Cloud, make_project
from tests.support.identity import PASSWORD, give, make_domain
from tests.support.proofs import code_of, with_second_factor


def by(secret: str) -> Http:
    http = Http()
    http.secret = secret
    return http


def user_of(http: Http) -> User:
    assert http.user is not None
    return http.user


def login(**fields: Any) -> dict[str, Any]:
    return {"username": "ann", "password": PASSWORD, **fields}


def test_a_program_signs_in_with_an_application_credential(cloud: Cloud, ann: Http, anybody: Http) -> None:
    made = ann.post("application-credentials", {"name": "backup", "roles": ["reader"], "description": "nightly"}).ok(201)
    assert made["roles"] == ["reader"] and made["project_name"] == cloud.project.name
    issued = anybody.post("tokens", {"application_credential": {"id": made["id"], "secret": made["secret"]}}).ok(201)
    again = anybody.post("tokens", {"username": "ann", "application_credential": {"name": "backup", "secret": made["secret"]}}).ok(201)
    assert issued["project_id"] == again["project_id"] == str(cloud.project.pk)
    program = by(issued["secret"])
    program.get("instances").ok()
    program.post("networks", {"name": "x"}).problem(403, "policy.forbidden")
    program.post("application-credentials", {"name": "child"}).problem(403, "policy.forbidden")
    listed = ann.get("application-credentials").ok()["items"]
    assert [(each["name"], "secret" in each) for each in listed] == [("backup", False)]
    assert "secret" not in ann.get(f"application-credentials/{made['id']}").ok()
    ann.delete(f"application-credentials/{made['id']}").ok(204)
    program.get("instances").problem(401, "auth.token_unknown")
    anybody.post("tokens", {"application_credential": {"id": made["id"], "secret": made["secret"]}}).problem(401, "auth.failed")


def test_access_rules_hold_for_this_api(cloud: Cloud, ann: Http, anybody: Http) -> None:
    rules = [
        {"service": "cloudsite", "method": "GET", "path": "/api/v1/instances"},
        {"service": "cloudsite", "method": "GET", "path": "/api/v1/instances/*"}, {"service": "compute", "method": "GET", "path": "/**"},
    ]
    made = ann.post("application-credentials", {"name": "watch", "access_rules": rules}).ok(201)
    program = by(anybody.post("tokens", {"application_credential": {"id": made["id"], "secret": made["secret"]}}).ok(201)["secret"])
    program.get("instances?limit=1").ok()
    program.get(f"instances/{uuid.uuid4()}").problem(404, "instance.not_found")
    for method, path in (("GET", "images"), ("POST", "instances"), ("GET", "whoami"), ("DELETE", "tokens/current"), ("GET", "instances/a/b")):
        assert program(method, path).status in (403, 404)
    assert program.get("images").problem(403, "policy.access_rule")["method"] == "GET"
    kept = ann.get("access-rules").ok()["items"]
    assert len(kept) == 3
    ann.delete(f"access-rules/{kept[0]['id']}").problem(409, "access_rule.in_use")
    ann.delete(f"application-credentials/{made['id']}").ok(204)
    ann.delete(f"access-rules/{kept[0]['id']}").ok(204)
    ann.delete(f"access-rules/{kept[0]['id']}").problem(404, "access_rule.not_found")


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"name": ""}, "request.blank", "name"), ({"roles": ["admin"]}, "application_credential.role", "roles"),
        ({"permissions": ["nonsense"]}, "application_credential.permission", "permissions"), ({"secret": "short"}, "application_credential.secret", "secret"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "application_credential.expiry", "expires_at"),
        ({"access_rules": [{"service": "compute", "method": "GET", "path": "x"}]}, "access_rule.invalid", "access_rules"),
        ({"access_rules": [{"service": "compute", "method": "FETCH", "path": "/"}]}, "request.invalid_choice", "access_rules.0.method"),
        ({"roles": "reader"}, "request.not_a_list", "roles"), ({"x": 1}, "request.unknown_field", "x"),
    ],
)
def test_a_bad_application_credential_is_refused(ann: Http, change: dict[str, Any], code: str, field: str) -> None:
    ann.post("application-credentials", {"name": "x", **change}).problem(400, code, field)


def test_access_keys_are_made_listed_and_deleted(cloud: Cloud, ann: Http, mallory: Http) -> None:
    made = ann.post("access-keys", {"name": "laptop"}).ok(201)
    assert len(made["secret"]) == 40
    (listed,) = ann.get("access-keys").ok()["items"]
    assert listed == {key: value for key, value in made.items() if key != "secret"}
    assert ann.get(f"access-keys/{made['id']}").ok() == listed
    assert mallory.get("access-keys").ok()["items"] == []
    mallory.get(f"access-keys/{made['id']}").problem(404, "access_key.not_found")
    mallory.delete(f"access-keys/{made['id']}").problem(404, "access_key.not_found")
    ann.delete(f"access-keys/{made['id']}").ok(204)
    ann.delete(f"access-keys/{made['id']}").problem(404, "access_key.not_found")


def test_trusts_are_given_seen_and_ended(cloud: Cloud, ann: Http, mallory: Http) -> None:
    given = ann.post("trusts", {"trustee_id": str(mallory.user.pk), "roles": ["reader"], "remaining_uses": 2}).ok(201)
    assert (given["trustor_name"], given["trustee_name"], given["roles"], given["remaining_uses"]) == ("ann", "mallory", ["reader"], 2)
    for one in (ann, mallory):
        assert [each["id"] for each in one.get("trusts").ok()["items"]] == [given["id"]]
        assert one.get(f"trusts/{given['id']}").ok() == given
    mallory.delete(f"trusts/{given['id']}").problem(403, "policy.forbidden")
    ann.delete(f"trusts/{given['id']}").ok(204)
    ann.get(f"trusts/{given['id']}").problem(404, "trust.not_found")


def test_a_second_factor_is_set_up_used_and_removed(cloud: Cloud, ann: Http, anybody: Http) -> None:
    assert ann.get("totp").ok() == {"enabled": False}
    made = ann.post("totp").ok(201)
    assert made["uri"].startswith("otpauth://totp/") and made["image"].startswith("data:image/svg+xml")
    ann.post("totp/confirm", {"code": "000000"}).problem(400, "totp.code", "code")
    ann.post("totp/confirm", {"code": code_of(made["seed"], steps=-1)}).ok(204)
    assert ann.get("totp").ok() == {"enabled": True}
    assert anybody.post("tokens", login()).problem(401, "auth.second_factor")["required_auth_methods"] == [["password", "totp"]]
    code = code_of(made["seed"])
    anybody.post("tokens", login(otp=code)).ok(201)
    anybody.post("tokens", login(otp=code)).problem(401, "auth.second_factor")
    ann.post("totp").problem(409, "totp.exists")
    ann.post("totp/remove", {"code": code}).problem(401, "auth.second_factor")
    ann.post("totp/remove", {"code": code_of(made["seed"], steps=1)}).ok(204)
    anybody.post("tokens", login()).ok(201)


def test_an_operator_takes_the_second_factor_of_a_lost_phone_away(cloud: Cloud, ann: Http, operator: Http, mallory: Http) -> None:
    with_second_factor(user_of(ann))
    for one in (ann, mallory):
        assert one.delete(f"users/{ann.user.pk}/totp").status in (403, 404)
    operator.delete(f"users/{ann.user.pk}/totp").ok(204)
    operator.delete(f"users/{ann.user.pk}/totp").problem(404, "totp.not_found")
    operator.delete(f"users/{uuid.uuid4()}/totp").problem(404, "user.not_found", "user_id")


def test_a_token_buys_a_token_for_another_scope(cloud: Cloud, ann: Http, operator: Http, anybody: Http) -> None:
    other, domain = make_project("other"), make_domain("sales")
    give(user_of(ann), "reader", other)
    give(user_of(ann), "admin", domain)
    assert anybody.post("tokens", {"token": ann.secret, "project": "other"}).ok(201)["project_name"] == "other"
    ruling = by(anybody.post("tokens", {"token": ann.secret, "for_domain": "sales"}).ok(201)["secret"])
    assert ruling.get("whoami").ok()["domain_id"] == str(domain.pk)
    assert anybody.post("tokens", {"token": operator.secret, "system": True}).ok(201)["system"] is True
    anybody.post("tokens", {"token": ann.secret, "system": True}).problem(401, "auth.scope")
    anybody.post("tokens", {"token": ann.secret, "for_domain": "nowhere"}).problem(401, "auth.scope")
    anybody.post("tokens", {"token": "cs1_forged", "project": "other"}).problem(401, "auth.token_unknown")


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({}, 400, "request.blank", "username"), ({"username": "ann"}, 400, "request.blank", "password"),
        (login(token="cs1_x"), 400, "auth.method", "password"), (login(project="a", system=True), 400, "auth.scope", "project"),
        ({"application_credential": {"id": str(uuid.uuid4())}}, 400, "request.required", "application_credential.secret"),
        ({"application_credential": {"id": "x", "secret": "y"}}, 400, "request.invalid", "application_credential.id"),
        ({"application_credential": {"secret": "y"}, "project": "x"}, 400, "auth.scope", "project"),
        ({"application_credential": {"secret": "y"}}, 401, "auth.failed", None), (login(domain="nowhere"), 401, "auth.failed", None),
    ],
)
def test_a_bad_way_in_is_refused(ann: Http, anybody: Http, body: dict[str, Any], status: int, code: str, field: str | None) -> None:
    anybody.post("tokens", body).problem(status, code, field)


def test_all_tokens_end_at_once(ann: Http, anybody: Http) -> None:
    other = by(anybody.post("tokens", login()).ok(201)["secret"])
    assert ann.post("tokens/revoke-all", {"keep_this": True}).ok() == {"revoked": 1}
    other.get("whoami").problem(401, "auth.token_revoked")
    assert ann.post("tokens/revoke-all").ok() == {"revoked": 1}
    ann.get("whoami").problem(401, "auth.token_revoked")


def test_guessing_is_locked_and_told_when_to_come_back(ann: Http, anybody: Http) -> None:
    for _ in range(settings.ENV.login_attempts):
        anybody.post("tokens", login(password="wrong")).problem(401, "auth.failed")
    answer = anybody.post("tokens", login())
    assert answer.problem(401, "auth.locked")["retry_after_s"] > 0
    assert int(answer.headers["Retry-After"]) > 0 and answer.headers["WWW-Authenticate"]
    assert {(row.code, row.user_name, row.decision) for row in Record.objects.filter(code__startswith="auth.")} == {
        ("auth.failed", "ann", "refused"), ("auth.locked", "ann", "refused"),
    }
    openstack = {"auth": {"identity": {"methods": ["password"], "password": {
        "user": {"name": "ann", "domain": {"id": "default"}, "password": PASSWORD}}}}}
    assert Client().post("/identity/v3/auth/tokens", openstack, content_type="application/json").status_code == 401


def test_no_secret_is_in_the_database_the_audit_trail_or_the_log(
    cloud: Cloud, ann: Http, anybody: Http, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with_second_factor(user_of(ann))
    made = ann.post("application-credentials", {"name": "backup"}).ok(201)
    key = ann.post("access-keys").ok(201)
    token = anybody.post("tokens", {"application_credential": {"id": made["id"], "secret": made["secret"]}}).ok(201)
    anybody.post("tokens", login(password="hunter2 hunter2")).problem(401, "auth.failed")
    anybody.post("tokens", login(otp="987654")).problem(401, "auth.second_factor")
    anybody.post("tokens", {"application_credential": {"id": made["id"], "secret": "hunter2 hunter2"}}).problem(401, "auth.failed")
    found = everything()
    logged = caplog.text
    for secret in (PASSWORD, made["secret"], key["secret"], token["secret"], ann.secret, "hunter2", "987654"):
        assert secret not in found and secret not in logged, secret
    assert Token.objects.exists() and Credential.objects.exists()


def everything() -> str:
    """All that the tables hold."""
    from django.apps import apps

    return "\n".join(str(list(model._base_manager.values())) for model in apps.get_models())
