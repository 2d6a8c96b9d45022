"""The figures of the start page: a handful of queries whatever the size of the site."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db.models import Count, Q

from apps.common import clock
from apps.common.context import SYSTEM
from apps.common.ids import first_at
from apps.compute import selectors as compute
from apps.hosts import selectors as hosts
from apps.operations import selectors as operations
from apps.operations.states import OPEN_VALUES, OpState
from apps.placement import selectors as placement

if TYPE_CHECKING:
    from apps.operations.models import Operation

HOURS = 24
# More failures than this are not told apart.
_MOST_FAILURES = 5000


@dataclass(frozen=True)
class HostCell:
    """One host on the map; `share` of its fullest resource class."""

    id: uuid.UUID
    name: str
    state: str
    enabled: bool
    share: float


@dataclass(frozen=True)
class Figures:
    """`failures_by_hour`: from the oldest hour to the present one. `capacity`: class → (used, capacity)."""

    instances: dict[str, int]
    hosts: list[HostCell]
    open_by_state: dict[str, int]
    waiting_longest: list[Operation]
    failures_by_hour: list[tuple[str, int]]
    failures_by_code: list[tuple[str, int]]
    capacity: dict[str, tuple[int, int]]


def gather() -> Figures:
    """Read all figures: eight queries."""
    per_host = _shares()
    all_operations = operations.operations(actor=SYSTEM, all_projects=True)
    opened = all_operations.filter(state__in=OPEN_VALUES)
    by_hour, by_code = _failures()
    living = compute.instances(actor=SYSTEM, all_projects=True)
    return Figures(
        instances=dict(living.order_by().values_list("state").annotate(Count("pk"))),
        hosts=[
            HostCell(fact.id, fact.name, fact.state, fact.enabled, per_host.shares.get(fact.id, 0.0))
            for fact in sorted(hosts.scheduling_facts(), key=lambda fact: fact.name)
        ],
        open_by_state=dict(opened.order_by().values_list("state").annotate(Count("pk"))),
        waiting_longest=list(opened.order_by("pk")[:5]),
        failures_by_hour=by_hour,
        failures_by_code=by_code,
        capacity=per_host.totals,
    )


@dataclass(frozen=True)
class _Shares:
    shares: dict[uuid.UUID, float]
    totals: dict[str, tuple[int, int]]


def _shares() -> _Shares:
    shares: dict[uuid.UUID, float] = {}
    totals: dict[str, tuple[int, int]] = {}
    for provider_id, name, capacity, used in placement.free():
        shares[provider_id] = max(shares.get(provider_id, 0.0), used / capacity if capacity else 1.0)
        before = totals.get(name, (0, 0))
        totals[name] = before[0] + used, before[1] + capacity
    return _Shares(shares, totals)


def _failures() -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    now = clock.now()
    since = now - timedelta(hours=HOURS)
    failed = operations.operations(actor=SYSTEM, all_projects=True).filter(
        # Ids rise with time: the primary key finds the last day's rows, and no other index is needed.
        Q(pk__gte=first_at(since - timedelta(hours=1))),
        state=OpState.FAILED,
        finished_at__gte=since,
    )
    rows = list(failed.order_by("-pk").values_list("finished_at", "error__code")[:_MOST_FAILURES])
    return _per_hour((at for at, _ in rows if at is not None), now), Counter(
        code or "unknown" for _, code in rows
    ).most_common(6)


def _per_hour(times: Iterable[datetime], now: datetime) -> list[tuple[str, int]]:
    counted = Counter(int((now - at).total_seconds() // 3600) for at in times)
    return [
        (f"{now - timedelta(hours=back + 1):%H:%M} to {now - timedelta(hours=back):%H:%M}", counted[back])
        for back in range(HOURS - 1, -1, -1)
    ]
