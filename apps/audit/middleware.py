"""Refusals become records: of requests that somebody may not make, has no quota for, or cannot sign in for.

Whatever answers a refusal leaves it at `request.cloudsite_refusal`. Authentication leaves its Actor at
`request.cloudsite_actor`, and whoever checks passwords the name of the user at `request.cloudsite_login`. What anybody can
send as fast as the network carries it is not recorded, or it would fill the disk: unknown and expired tokens, and refusals of
nobody in particular.
"""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse

from apps.audit.services import record
from apps.common import context
from apps.common.errors import CloudError, Forbidden, QuotaExceeded, Unauthenticated

# A password hash was computed for each of these, or the lockout holds.
_LOGINS = ("auth.failed", "auth.locked", "auth.second_factor", "auth.password_expired")
LOGIN = "identity.token.issue"


class AuditTrail:
    """Records what was refused, after the answer is made: what the request had begun is rolled back by then."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        error = getattr(request, "cloudsite_refusal", None)
        if error is not None:
            actor, login = getattr(request, "cloudsite_actor", None), getattr(request, "cloudsite_login", "")
            if _is_recorded(error, known=bool(actor or login)):
                record.refused(error, _attempt(request, error, login), actor=actor)
        return response


def _is_recorded(error: CloudError, *, known: bool) -> bool:
    if isinstance(error, Unauthenticated):
        return error.code in _LOGINS
    return known and isinstance(error, Forbidden | QuotaExceeded)


def _attempt(request: HttpRequest, error: CloudError, login: str) -> record.Attempt:
    match: Any = getattr(request, "resolver_match", None)
    resource_type, resource_id = _resource(match.kwargs if match else {})
    return record.Attempt(
        action=_action(request, match, error), resource_type=resource_type, resource_id=resource_id,
        method=request.method or "", path=request.path, user_name=login,
        address=context.address_of(request), request_id=context.request_id.get(),
    )


def _action(request: HttpRequest, match: Any, error: CloudError) -> str:
    """The permission that was missing, or the one that the view declares for this method."""
    if permission := error.facts.get("permission"):
        return str(permission)
    view = getattr(getattr(match, "func", None), "view_class", None) or getattr(getattr(match, "func", None), "cls", None)
    declared = getattr(view, "permissions", {}).get(request.method)
    return declared or (LOGIN if isinstance(error, Unauthenticated) else f"http.{(request.method or '').lower()}")


def _resource(kwargs: dict[str, Any]) -> tuple[str, object]:
    """The last id in the address: `…/instances/<instance_id>/actions` is about an instance."""
    named = [(name.removesuffix("_id"), value) for name, value in kwargs.items() if name.endswith("_id")]
    return named[-1] if named else ("", "")
