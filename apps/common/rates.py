"""How often somebody may ask: allowances per address and per project, kept by each web process for itself.

An allowance of so many requests refills evenly over its window (GCRA, of throttled-py). Memory is bounded: when more
addresses come than fit, those that were silent longest are forgotten. Why not shared: docs/decisions/0012.
"""

import logging
import math
import socket
import time
import uuid
from datetime import timedelta
from functools import cache
from typing import Literal

from django.conf import settings
from throttled import RateLimiterType, Throttled, rate_limiter, store

from apps.common.errors import TooMany

log = logging.getLogger(__name__)

WINDOW_S, SIGN_IN_WINDOW_S = 10, 60
# Some 400 bytes each.
_MOST_KEYS = 20_000
# A flood must not become a flood of log lines.
_TELL_EVERY_S = 10.0


class Limiter:
    """`limit` requests per `window_s` for each key, at once or spread; `what` begins the sentence of a refusal."""

    def __init__(self, *, scope: str, what: str, limit: int, window_s: int) -> None:
        self._scope, self._what, self._limit, self._window_s = scope, what, limit, window_s
        self._throttled = Throttled(
            using=RateLimiterType.GCRA.value,
            quota=rate_limiter.per_duration(timedelta(seconds=window_s), limit, burst=limit),
            store=store.MemoryStore(options={"MAX_SIZE": _MOST_KEYS}),
        )
        self._told_at, self._refused = -math.inf, 0

    def check(self, key: str) -> None:
        """Count one request. Raises TooMany `request.throttled` (facts: scope, limit, window_s, retry_after_s)."""
        result = self._throttled.limit(key)
        if not result.limited:
            return
        self._tell(key)
        wait_s = math.ceil(result.state.retry_after * 1000) / 1000
        raise TooMany(
            "request.throttled",
            f"{self._what} at most {self._limit} times in {self._window_s} s; try again in {math.ceil(wait_s)} s.",
            scope=self._scope, limit=self._limit, window_s=self._window_s, retry_after_s=wait_s,
        )

    def _tell(self, key: str) -> None:
        self._refused += 1  # two threads may lose one of their counts, which harms nobody
        now = time.monotonic()
        if now - self._told_at >= _TELL_EVERY_S:
            self._told_at = now
            log.warning("throttled by %s: %s; %d requests were refused since this was last said", self._scope, key, self._refused)
            self._refused = 0


def check_address(address: str, scope: Literal["address", "s3"] = "address") -> None:
    """A request of whatever kind from this address; `s3`: one to S3, of which clients make many more. Raises TooMany."""
    limiter = _limiter(scope)
    if limiter is not None:
        limiter.check(network_of(address))


def check_sign_in(address: str) -> None:
    """A request from this address that offers a password or the like. Raises TooMany."""
    limiter = _limiter("sign_in")
    if limiter is not None:
        limiter.check(network_of(address))


def check_project(project_id: uuid.UUID | None, scope: Literal["project", "s3_project"] = "project") -> None:
    """A request that works in this project, whoever sends it from wherever; None: in no project. Raises TooMany."""
    limiter = _limiter(scope)
    if limiter is not None and project_id is not None:
        limiter.check(str(project_id))


def network_of(address: str) -> str:
    """What is counted as one sender: an IPv4 address, or the /64 of an IPv6 one, of which a single machine has all."""
    if ":" not in address:
        return address or "a local socket"
    try:
        return socket.inet_pton(socket.AF_INET6, address.partition("%")[0])[:8].hex(":", 2) + "::/64"
    except OSError:
        return address


@cache
def _limiter(scope: str) -> Limiter | None:
    """None if the operator has set the limit to 0."""
    env = settings.ENV
    what, limit, window_s = {
        "address": ("One address may ask", env.rate_address * WINDOW_S, WINDOW_S),
        "s3": ("One address may ask", env.s3_rate * WINDOW_S, WINDOW_S),
        "s3_project": ("One project may ask", env.s3_rate * WINDOW_S, WINDOW_S),
        "project": ("One project may ask", env.rate_project * WINDOW_S, WINDOW_S),
        "sign_in": ("One address may sign in", env.rate_sign_in, SIGN_IN_WINDOW_S),
    }[scope]
    return Limiter(scope=scope, what=what, limit=limit, window_s=window_s) if limit else None
