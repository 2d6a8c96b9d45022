"""Refusals on their way out: every kind has a status, every service its shape."""

import json
from typing import Any

import pytest
from django.db import OperationalError
from django.http import Http404
from django.test import RequestFactory
from django.urls import ResolverMatch

from apis.openstack.common import errors
from apis.openstack.common.api import Api
from apis.openstack.common.faults import Fault, Refused
from apis.openstack.identity.service import API
from apps.common.errors import CloudError, Conflict, Forbidden, Invalid, InvalidState, NotFound, Unauthenticated


def answer(error: Exception, api: Api = API) -> tuple[int, dict[str, Any], dict[str, str]]:
    response = errors.answer(api, RequestFactory().get("/identity/v3/users"), error)
    assert response is not None
    return response.status_code, json.loads(response.content), dict(response.items())


def kinds() -> list[str]:
    return sorted({cls.kind for cls in CloudError.__subclasses__() if cls.__module__.startswith("apps.")})


@pytest.mark.parametrize("kind", kinds())
def test_every_kind_of_refusal_has_a_status(kind: str) -> None:
    assert 400 <= errors.STATUS[kind] <= 599


def test_identity_says_code_title_and_message() -> None:
    status, body, _ = answer(NotFound("user.not_found", "Could not find user: x."))
    assert status == 404
    assert body == {"error": {"code": 404, "title": "Not Found", "message": "Could not find user: x."}}


def test_who_is_not_known_is_told_where_to_get_a_token_and_nothing_else() -> None:
    for error in (Unauthenticated("auth.failed", "Wrong password."), Unauthenticated("auth.token_expired", "Expired.")):
        status, body, headers = answer(error)
        assert status == 401
        assert body["error"]["message"] == "The request you have made requires authentication."
        assert headers["WWW-Authenticate"] == 'Keystone uri="http://127.0.0.1:8600/identity/v3"'


def test_a_method_that_is_not_spoken_is_told_those_that_are() -> None:
    _, body, _ = answer(Unauthenticated("auth.method_unknown", "Unsupported.", methods=["password", "token"]))
    assert body["error"]["identity"] == {"methods": ["password", "token"]}


def test_a_missing_permission_begins_as_clients_know_it_and_says_which_role() -> None:
    error = Forbidden("policy.forbidden", "This needs the role admin.", permission="identity.user.create")
    status, body, _ = answer(error)
    assert status == 403
    assert body["error"]["message"] == (
        "You are not authorized to perform the requested action: identity.user.create. This needs the role admin."
    )


def test_a_state_that_does_not_allow_it_is_forbidden_in_identity_and_a_conflict_elsewhere() -> None:
    other = Api(type="compute", path="/compute", version="v2.1", error=errors.titled)
    error = InvalidState("domain.enabled", "Disable it first.")
    assert answer(error)[0] == 403
    assert answer(error, other)[0] == 409


def test_a_code_can_have_a_status_of_its_own() -> None:
    special = Api(type="x", path="/x", version="v1", error=errors.titled, statuses={"project.parent": 400, "conflict": 412})
    assert answer(NotFound("project.parent", "No such parent."), special)[0] == 400
    assert answer(NotFound("project.not_found", "No such project."), special)[0] == 404
    assert answer(Conflict("x.exists", "There."), special)[0] == 412


def test_a_view_can_have_statuses_of_its_own() -> None:
    error = NotFound("project.not_found", "No such parent.")
    response = errors.answer(API, RequestFactory().get("/"), error, {"project.not_found": 400})
    assert response is not None and response.status_code == 400
    assert json.loads(response.content)["error"] == {"code": 400, "title": "Bad Request", "message": "No such parent."}


@pytest.mark.parametrize(
    ("error", "named", "message"),
    [
        (NotFound("user.not_found", "None of yours."), {"user_id": 7}, "Could not find user: 7."),
        (NotFound("access_rule.not_found", "None."), {"access_rule_id": 7}, "Could not find Access Rule: 7."),
        (NotFound("tag.not_found", "None."), {"project_id": 1, "tag": "web"}, "Could not find project tag: web."),
        (NotFound("domain.not_found", "None of yours."), {"user_id": 7}, "None of yours."),
        (Conflict("user.exists", "There is one."), {}, "Conflict occurred attempting to store user - There is one."),
        (Conflict("project.in_use", "It has instances."), {"project_id": 7}, "It has instances."),
        (Invalid("user.password", "password: too short."), {}, "The password does not match the requirements: password: too short."),
        (NotFound("group.no_member", "No."), {"user_id": 1, "group_id": 2}, "User '1' not found in group '2'."),
        (
            NotFound("assignment.not_found", "No."), {"role_id": 1, "group_id": 2, "system": "system"},
            "Could not find role assignment with role: 1, user or group: 2, project, domain, or system: system.",
        ),
    ],
)
def test_identity_says_what_clients_know_by_heart(error: CloudError, named: dict[str, Any], message: str) -> None:
    request = RequestFactory().get("/")
    request.resolver_match = ResolverMatch(str, (), named)
    response = errors.answer(API, request, error)
    assert response is not None and json.loads(response.content)["error"]["message"] == message


def test_a_service_chooses_the_shape() -> None:
    def listed(fault: Fault) -> dict[str, Any]:
        return {"errors": [{"status": fault.status, "code": fault.code, "detail": fault.message, **fault.facts}]}

    other = Api(type="placement", path="/placement", version="v1", error=listed)
    _, body, _ = answer(Refused(406, "request.version", "Not spoken.", min_version="1.0"), other)
    assert body == {"errors": [{"status": 406, "code": "request.version", "detail": "Not spoken.", "min_version": "1.0"}]}


def test_refusals_of_the_framework_are_refusals_too_and_bugs_are_not() -> None:
    assert answer(Http404())[0] == 404
    assert answer(OperationalError("server closed the connection"))[0] == 503
    assert answer(Refused(405, "request.method", "No.", headers={"Allow": "GET"}))[2]["Allow"] == "GET"
    assert errors.answer(API, RequestFactory().get("/"), ValueError("a bug")) is None


def test_the_refusal_is_left_for_the_audit_trail() -> None:
    request, error = RequestFactory().get("/"), Invalid("request.invalid", "No.")
    errors.answer(API, request, error)
    assert request.cloudsite_refusal is error  # type: ignore[attr-defined]


@pytest.mark.parametrize("code", ["auth.locked", "auth.password_expired"])
def test_who_knew_the_password_or_asked_too_often_is_told_why(code: str) -> None:
    assert answer(Unauthenticated(code, "Wait ten minutes."))[1]["error"]["message"] == "Wait ten minutes."


def test_who_needs_a_second_proof_is_told_which() -> None:
    status, body, _ = answer(Unauthenticated("auth.second_factor", "More.", required_auth_methods=[["password", "totp"]]))
    assert status == 401
    assert body["error"]["message"] == "More." and body["required_auth_methods"] == [["password", "totp"]]
