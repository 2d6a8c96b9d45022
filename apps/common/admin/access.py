"""Who looks at a page, and what they may do there.

Identity knows users and policy and says so once, with `decided_by`; this package knows no context.
"""

from collections.abc import Callable

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from apps.common.context import Actor
from apps.common.errors import CloudError

_gate: list[tuple[Callable[[HttpRequest], Actor], Callable[[Actor, str], None]]] = []


def decided_by(actor: Callable[[HttpRequest], Actor], require: Callable[[Actor, str], None]) -> None:
    """`actor` makes the Actor of a request, `require` refuses a permission that it does not have; both raise CloudError."""
    _gate[:] = [(actor, require)]


def actor_of(request: HttpRequest) -> Actor:
    """Who is signed in, as services see them; asked once per request. Raises CloudError, PermissionDenied."""
    known: Actor | None = getattr(request, "cloudsite_actor", None)
    if known is not None:
        return known
    if not _gate:
        raise PermissionDenied
    actor = _gate[0][0](request)
    request.cloudsite_actor = actor  # type: ignore[attr-defined]  # the audit trail looks here
    return actor


def may(request: HttpRequest, permission: str) -> bool:
    """Whether to show something at all: what would be refused is not offered."""
    try:
        _ask(request, permission)
    except (CloudError, PermissionDenied):
        return False
    return True


def require(request: HttpRequest, permission: str) -> None:
    """Raises PermissionDenied, and leaves the refusal to the audit trail."""
    try:
        _ask(request, permission)
    except CloudError as error:
        refused(request, error)
        raise PermissionDenied(error.message) from error


def refused(request: HttpRequest, error: CloudError) -> None:
    """Leave a refusal to the audit trail; of many in one request the last one stands for all."""
    request.cloudsite_refusal = error  # type: ignore[attr-defined]


def _ask(request: HttpRequest, permission: str) -> None:
    actor = actor_of(request)
    _gate[0][1](actor, permission)
