"""The one table from kinds of errors to HTTP, and answers made by it."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import orjson
from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse

from apis.openstack.common.api import Api
from apis.openstack.common.faults import Fault, Refused
from apps.common import context
from apps.common.api.problems import wait_headers
from apps.common.errors import CloudError, Forbidden, NotFound, Unavailable

log = logging.getLogger(__name__)

STATUS = {
    "invalid": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "conflict": 409,
    "invalid_state": 409,
    "quota_exceeded": 403,
    "too_many": 429,
    "no_capacity": 409,
    "unavailable": 503,
    "error": 500,
}


def answer(
    api: Api, request: HttpRequest, error: Exception, statuses: Mapping[str, int] | None = None,
    version: tuple[int, int] | None = None,
) -> HttpResponse | None:
    """What a view raised, as this service says it in this microversion; None for a bug, which becomes a 500 further out.

    `statuses`: by code, where the view differs from its service.
    """
    refusal = _refusal(error)
    if refusal is None:
        return None
    request.cloudsite_refusal = refusal  # type: ignore[attr-defined]  # the audit trail reads it
    named = request.resolver_match.kwargs if request.resolver_match else {}
    fault = replace(fault_of(api, refusal, statuses or {}, named), version=version, request_id=context.request_id.get())
    response = render(api, fault)
    headers = refusal.headers if isinstance(refusal, Refused) else wait_headers(refusal)
    for name, value in headers.items():
        response[name] = value
    return response


def fault_of(api: Api, error: CloudError, statuses: Mapping[str, int], named: Mapping[str, Any]) -> Fault:
    """The error with its status: by its own, by its code in this view or service, by its kind there, by the common table."""
    if isinstance(error, Refused):
        status = error.status
    else:
        by_code = statuses.get(error.code) or api.statuses.get(error.code)
        status = by_code or api.statuses.get(error.kind) or STATUS[error.kind]
    return Fault(status=status, title=title(status), message=error.message, code=error.code, facts=error.facts, named=named)


def render(api: Api, fault: Fault) -> HttpResponse:
    """The answer to a refused request."""
    response = HttpResponse(orjson.dumps(api.error(fault), default=str), status=fault.status, content_type="application/json")
    if fault.status == 401:
        response["WWW-Authenticate"] = challenge()
    return response


def challenge() -> str:
    """Where to get a token: every OpenStack service points at Identity."""
    return f'Keystone uri="{settings.ENV.public_url}/identity/v3"'


def title(status: int) -> str:
    """HTTP's own name of the status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def titled(fault: Fault) -> dict[str, Any]:
    """`{"error": {"code", "title", "message"}}`, the shape that Identity has."""
    return {"error": {"code": fault.status, "title": fault.title, "message": fault.message}}


def _refusal(error: Exception) -> CloudError | None:
    if isinstance(error, CloudError):
        return error
    if isinstance(error, Http404):
        return NotFound("not_found", "There is nothing at this address.")
    if isinstance(error, RequestDataTooBig):
        return Refused(413, "request.too_large", str(error))
    if isinstance(error, PermissionDenied):
        return Forbidden("auth.forbidden", str(error) or "Not allowed.")
    if isinstance(error, OperationalError):
        log.warning("database unavailable: %s", error)
        return Unavailable("database.unavailable", "The database does not answer; try again.")
    return None
