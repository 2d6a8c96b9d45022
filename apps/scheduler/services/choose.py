"""The choice: filters, weigher, and the record of why."""

import random
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from apps.common.sql import insert_rows
from apps.scheduler import explain
from apps.scheduler.filters import PASSED, Request, verdicts
from apps.scheduler.models import Decision
from apps.scheduler.table import HostTable, cache
from apps.scheduler.weighers import free_memory

# Chosen at random among so many of the best, so that two schedulers do not run for the same host.
_AMONG = 3


@dataclass
class Choice:
    """The outcome for one request: host or none, and the explanation so far."""

    request: Request
    host_id: uuid.UUID | None
    host_name: str
    verdicts: str
    best: list[dict[str, Any]]
    summary: str
    counts: dict[str, int]
    took_ms: float
    lost_races: list[str] = field(default_factory=list)


def choose(requests: Sequence[Request], *, fresh: bool = False) -> list[Choice]:
    """A host for each request, in order; each choice counts against the table for the next.

    If one finds no host in the table as it was, the table is read anew before anyone is refused.
    """
    table = cache.get(fresh=fresh)
    choices: list[Choice] = []
    memo: dict[tuple[bytes, frozenset[str]], str] = {}
    for request in requests:
        choice = _choose_one(table, request, memo)
        if choice.host_id is None and not fresh:
            return choices + choose(requests[len(choices) :], fresh=True)
        choices.append(choice)
    return choices


def give_back(choice: Choice) -> None:
    """The choice came to nothing: the table forgets it; the host it was lost on is not offered until the next reading."""
    table = cache.get()
    if choice.host_id is not None and choice.host_id in table.index:
        table.exhaust(choice.host_id)
    choice.lost_races.append(choice.host_name)


def record(decisions: Sequence[tuple[uuid.UUID, Choice]]) -> None:
    """Store (operation id, choice) pairs, inside the caller's transaction."""
    rows = [
        Decision(
            instance_id=choice.request.instance_id, operation_id=operation_id, request=_facts(choice.request),
            verdicts=choice.verdicts, best=choice.best, lost_races=choice.lost_races, host_id=choice.host_id,
            host_name=choice.host_name, summary=choice.summary, took_ms=choice.took_ms,
        )
        for operation_id, choice in decisions
    ]
    insert_rows(rows)


def _choose_one(table: HostTable, request: Request, memo: dict[tuple[bytes, frozenset[str]], str]) -> Choice:
    started = time.perf_counter()
    result = verdicts(table, request)
    key = result.tobytes(), request.wires
    if key not in memo:
        memo[key] = explain.by_reason(table, result, request)
    passing = np.flatnonzero(result == PASSED)
    counts = dict(explain.counts(result))
    if not len(passing):
        summary = explain.nothing_fits(table, result, request)
        return Choice(request, None, "", memo[key], [], summary, counts, _ms(started))
    weights = free_memory(table)[passing]
    top = np.argsort(-weights, kind="stable")[:5]
    best = [{"host": table.names[passing[i]], "free_memory_mb": int(weights[i])} for i in top]
    # Only among equals in practice: the first few of the list, never one that is clearly fuller.
    near = [i for i in top[:_AMONG] if weights[i] >= weights[top[0]] * 0.9]
    row = int(passing[random.choice(near)])
    table.take(row, request.amounts)
    summary = f"{len(passing)} of {len(table)} hosts fit"
    return Choice(request, table.ids[row], table.names[row], memo[key], best, summary, counts, _ms(started))


def _facts(request: Request) -> dict[str, Any]:
    return {
        "amounts": request.amounts, "zone": request.zone, "excluded": [str(host_id) for host_id in request.excluded],
        **({"wires": sorted(request.wires)} if request.wires else {}),
    }


def _ms(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)
