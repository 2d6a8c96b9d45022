"""Guessing of passwords and codes is stopped: so many failures in a row, and a user is locked for a while.

django-axes keeps the failures and hears of them from Django's sign-in; this is its handler. Counted is per user and address,
so that who guesses locks the user for that address only, and, up to a higher limit, per user from all addresses together.
Never per address alone: one of them may be a whole office. Unknown names are counted like known ones, so that the lock does
not tell which exist. A failure costs one statement, a check one, and nothing that was typed in is kept but the name.
"""

import hashlib
import ipaddress
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.db import connection
from django.db.models import Sum
from django.http import HttpRequest

from apps.common import clock
from apps.common.errors import Unauthenticated
from apps.common.rates import network_of
from apps.common.sql import one_row
from apps.identity import errors
from apps.identity.builtin import DEFAULT_DOMAIN_ID
from apps.identity.models import User

_LONGEST_NAME = 255
_NOWHERE = "::"
_FAILURES = """SELECT SUM(CASE WHEN ip_address = %s THEN failures_since_start END), MAX(CASE WHEN ip_address = %s THEN attempt_time END),
 SUM(failures_since_start), MAX(attempt_time) FROM axes_accessattempt WHERE username = %s AND attempt_time > %s"""
_COUNT = """INSERT INTO axes_accessattempt (user_agent, ip_address, username, http_accept, path_info, attempt_time, get_data,
 post_data, failures_since_start) VALUES ('', %s, %s, '', %s, %s, '', '', 1)
ON CONFLICT (username, ip_address, user_agent) DO UPDATE SET attempt_time = excluded.attempt_time, path_info = excluded.path_info,
 failures_since_start = CASE WHEN axes_accessattempt.attempt_time <= %s THEN 1 ELSE axes_accessattempt.failures_since_start + 1 END"""


class Handler(AxesDatabaseHandler):
    """What axes asks and tells, in our own counts."""

    def is_locked(self, request: HttpRequest, credentials: Mapping[str, Any] | None = None) -> bool:
        return _waiting_s(request, name_in(request, credentials)) > 0

    def user_login_failed(self, sender: Any, credentials: Mapping[str, Any], request: HttpRequest | None = None, **kwargs: Any) -> None:
        if request is not None and not getattr(request, "axes_locked_out", False):
            failed(request, name_in(request, credentials))

    def user_logged_in(self, sender: Any, request: HttpRequest, user: Any, **kwargs: Any) -> None:
        succeeded(request, name_of(user.username, user.domain_id))

    def user_logged_out(self, sender: Any, request: HttpRequest, user: Any, **kwargs: Any) -> None:
        """Nothing to count."""


def name_of(username: str, domain_id: uuid.UUID | None = None) -> str:
    """Under what a user's failures are kept: the name as people know it, with its domain unless that is the default one."""
    name = username if domain_id in (None, DEFAULT_DOMAIN_ID) else f"{domain_id}/{username}"
    name = name.replace("\x00", "\ufffd")
    return name if len(name) <= _LONGEST_NAME else hashlib.sha256(name.encode()).hexdigest()


def name_in(request: HttpRequest, credentials: Mapping[str, Any] | None) -> str:
    """The same out of what Django's `authenticate` was given."""
    given = credentials or {}
    return name_of(str(given.get("username") or ""), given.get("domain_id"))


def address_of(request: HttpRequest) -> str:
    """Where the request comes from; a whole /64 of IPv6 is one sender."""
    try:
        return str(ipaddress.ip_address(network_of(str(request.META.get("REMOTE_ADDR", ""))).partition("/")[0]))
    except ValueError:
        return _NOWHERE  # a local socket


def check(request: HttpRequest | None, name: str) -> None:
    """Raises Unauthenticated `auth.locked` (fact retry_after_s) if the user of that name is locked for this sender."""
    if request is None:
        return
    request.cloudsite_login = name  # type: ignore[attr-defined]  # the audit trail looks here
    wait_s = _waiting_s(request, name)
    if wait_s > 0:
        raise errors.locked(wait_s)


def failed(request: HttpRequest | None, name: str) -> None:
    """Count a failure: one statement, which commits at once."""
    if request is None:
        return
    now = clock.now()
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, [address_of(request), name, request.path_info[:255], _stored(now), _stored(now - _span())])


def refusal(request: HttpRequest | None) -> Unauthenticated:
    """Why Django's `authenticate` has found nobody for this request."""
    wait_s = getattr(request, "cloudsite_locked_s", 0.0)
    return errors.locked(wait_s) if wait_s else errors.failed()


def succeeded(request: HttpRequest | None, name: str) -> None:
    """Forget the failures of this user from this address, if the check of this request found some."""
    if request is not None and getattr(request, "cloudsite_failures", True):
        AccessAttempt.objects.filter(username=name, ip_address=address_of(request)).delete()


def unlock(*, name: str) -> int:
    """Forget all failures of a user; how many there were."""
    rows = AccessAttempt.objects.filter(username=name)
    count: int = rows.aggregate(all=Sum("failures_since_start"))["all"] or 0
    rows.delete()
    return count


@dataclass(frozen=True)
class Failures:
    """What counts against one user at this moment: (address, how many, the last one), the newest first. `locked`: for at
    least one address, unless the user is exempt."""

    by_address: tuple[tuple[str, int, datetime], ...]
    locked: bool


def failures(names: Collection[str]) -> dict[str, Failures]:
    """Of those of these users (`name_of`) who have any: one query."""
    env, found = settings.ENV, dict[str, list[tuple[str, int, datetime]]]()
    rows = AccessAttempt.objects.filter(username__in=list(names), attempt_time__gt=clock.now() - _span()).order_by("-attempt_time")
    for name, address, count, at in rows.values_list("username", "ip_address", "failures_since_start", "attempt_time"):
        found.setdefault(name, []).append((address, count, at))
    return {
        name: Failures(
            tuple(lines),
            any(count >= env.login_attempts for _, count, _ in lines) or sum(count for _, count, _ in lines) >= env.login_attempts_user,
        )
        for name, lines in found.items()
    }


def prune() -> int:
    """Delete failures that no longer count."""
    count: int = AccessAttempt.objects.filter(attempt_time__lte=clock.now() - _span()).delete()[0]
    return count


def _waiting_s(request: HttpRequest, name: str) -> float:
    """How long a lock still holds; 0: there is none. Leaves the number of failures for `succeeded`."""
    address, env = address_of(request), settings.ENV
    here, here_at, everywhere, at = one_row(_FAILURES, [address, address, name, _stored(clock.now() - _span())])
    request.cloudsite_failures = here or 0  # type: ignore[attr-defined]
    locked_at = [
        _moment(moment) for count, moment, most in ((here, here_at, env.login_attempts), (everywhere, at, env.login_attempts_user))
        if (count or 0) >= most
    ]
    if not locked_at or _is_exempt(name):
        return 0.0
    wait_s: float = (max(locked_at) + _span() - clock.now()).total_seconds()
    request.cloudsite_locked_s = max(wait_s, 0.0)  # type: ignore[attr-defined]
    return wait_s


def _is_exempt(name: str) -> bool:
    """Users with the option `ignore_lockout_failure_attempts`; asked only once a lock would hold."""
    domain, _, username = name.rpartition("/")
    rows = User.objects.filter(options__ignore_lockout_failure_attempts=True)
    found = rows.filter(username=name, domain_id=DEFAULT_DOMAIN_ID)
    try:
        found |= rows.filter(username=username, domain_id=uuid.UUID(domain))
    except ValueError:
        pass  # no other domain in the name
    return found.exists()


def _span() -> timedelta:
    return timedelta(minutes=settings.ENV.lock_minutes)


def _stored(moment: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(moment)


def _moment(value: Any) -> datetime:
    """SQLite keeps times as text in UTC."""
    return value if isinstance(value, datetime) else datetime.fromisoformat(value).replace(tzinfo=UTC)
