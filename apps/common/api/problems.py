"""Every refusal as application/problem+json (RFC 9457): the one table from kinds of errors to HTTP."""

import logging
import math
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import OperationalError
from django.http import Http404, HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.response import Response

from apps.common import context, errors
from apps.common.api.renderers import PROBLEM as MEDIA_TYPE

log = logging.getLogger(__name__)

STATUS = {
    "invalid": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "conflict": 409,
    "invalid_state": 409,
    "quota_exceeded": 413,
    "too_many": 429,
    "no_capacity": 409,
    "unavailable": 503,
    "error": 500,
}
TITLES = {
    400: "Bad request",
    401: "Authentication required",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    409: "Conflict",
    411: "Length required",
    413: "Too large",
    415: "Unsupported media type",
    416: "Range not satisfiable",
    429: "Too many requests",
    500: "Internal error",
    503: "Unavailable",
}
CHALLENGE = 'Bearer realm="cloudsite"'
_DRF_CODES = {
    exceptions.NotAuthenticated: "auth.required",
    exceptions.AuthenticationFailed: "auth.failed",
    exceptions.ParseError: "request.malformed",
    exceptions.MethodNotAllowed: "request.method",
    exceptions.NotAcceptable: "request.not_acceptable",
    exceptions.UnsupportedMediaType: "request.media_type",
    exceptions.PermissionDenied: "auth.forbidden",
    exceptions.Throttled: "request.throttled",
}


def body(status: int, code: str, detail: str, **more: Any) -> dict[str, Any]:
    """The members of one problem; `more` are extension members."""
    return {
        "type": f"urn:cloudsite:error:{code}",
        "title": TITLES.get(status, "Error"),
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": context.request_id.get(),
        **{key: value for key, value in more.items() if value is not None},
    }


def handle(error: Exception, call: dict[str, Any]) -> Response | None:
    """DRF's exception handler: whatever a view raises → an answer; None lets a real bug become a 500."""
    if isinstance(error, errors.CloudError):
        if (request := call.get("request")) is not None:
            request._request.cloudsite_refusal = error  # the audit trail looks here
        status = STATUS[error.kind]
        more = {**({"WWW-Authenticate": CHALLENGE} if status == 401 else {}), **wait_headers(error)}
        return _response(status, body(status, error.code, error.message, field=error.field, **error.facts), more)
    if isinstance(error, exceptions.ValidationError):
        found = flatten(error.get_full_details())
        first = found[0]
        detail = f"{first['field']}: {first['message']}" if first["field"] else first["message"]
        return _response(400, body(400, first["code"], detail, field=first["field"] or None, errors=found))
    if isinstance(error, Http404):
        return _response(404, body(404, "not_found", "There is nothing at this address."))
    if isinstance(error, RequestDataTooBig):
        return _response(413, body(413, "request.too_large", str(error)))
    if isinstance(error, PermissionDenied):
        return _response(403, body(403, "auth.forbidden", str(error) or "Not allowed."))
    if isinstance(error, OperationalError):
        log.warning("database unavailable: %s", error)
        return _response(503, body(503, "database.unavailable", "The database does not answer; try again."))
    if isinstance(error, exceptions.APIException):
        code = next((c for kind, c in _DRF_CODES.items() if isinstance(error, kind)), "request.refused")
        headers = {"WWW-Authenticate": header} if (header := getattr(error, "auth_header", None)) else None
        return _response(error.status_code, body(error.status_code, code, str(error.detail)), headers)
    return None


def flatten(details: Any, path: str = "") -> list[dict[str, str]]:
    """DRF's nested error details → one entry per fault: field (dotted path), code (`request.…`), message."""
    if isinstance(details, dict) and set(details) == {"message", "code"}:
        return [{"field": path, "code": f"request.{details['code']}", "message": str(details["message"])}]
    found: list[dict[str, str]] = []
    if isinstance(details, dict):
        for key, value in details.items():
            name = "" if key == "non_field_errors" else str(key)
            found += flatten(value, f"{path}.{name}".strip("."))
    elif isinstance(details, list):
        for index, value in enumerate(details):
            leaf = isinstance(value, dict) and set(value) == {"message", "code"}
            found += flatten(value, path if leaf else f"{path}[{index}]") if value else []
    return found


def wait_headers(error: errors.CloudError) -> dict[str, str]:
    """When to come back, as HTTP says it in every dialect; nothing unless the error knows."""
    if "retry_after_s" not in error.facts:
        return {}
    wait = str(max(1, math.ceil(error.facts["retry_after_s"])))
    if "limit" not in error.facts:
        return {"Retry-After": wait}
    return {"Retry-After": wait, "RateLimit-Limit": str(error.facts["limit"]), "RateLimit-Remaining": "0", "RateLimit-Reset": wait}


def early(error: errors.CloudError) -> JsonResponse:
    """A refusal by middleware; dialects put it into their own words on the way out."""
    status = STATUS[error.kind]
    response = refusal(status, error.code, error.message, field=error.field, **error.facts)
    for name, value in wait_headers(error).items():
        response[name] = value
    return response


def refusal(status: int, code: str, detail: str, **more: Any) -> JsonResponse:
    """A problem from outside of DRF: middleware and Django's own handlers."""
    return JsonResponse(body(status, code, detail, **more), status=status, content_type=MEDIA_TYPE)


@csrf_exempt  # nothing is done here, so there is nothing to forge; Django's refusal would be a page
def not_found(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:
    """Django's handler404 for addresses that no view has."""
    return refusal(404, "not_found", f"There is nothing at {request.path}.")


def bad_request(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:
    """Django's handler400: a request that is wrong before any view sees it."""
    return refusal(400, "request.refused", "This request cannot be understood; is the host name in the address allowed?")


def server_error(request: HttpRequest) -> JsonResponse:
    """Django's handler500: the log has the story, under this request id."""
    return refusal(500, "internal", "This is our fault, not yours. The log has the details under this request id.")


def _response(status: int, content: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    # The renderer sets the media type: in a browser the same problem is a page.
    return Response(content, status=status, headers=headers)
