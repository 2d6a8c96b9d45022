"""The choice: filters, weighers, and the record of why."""

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from apps.common.sql import insert_rows
from apps.placement.names import MEMORY_MB
from apps.scheduler import tuning
from apps.scheduler.explain import nearest, tenants, written
from apps.scheduler.explain.kept import Miss
from apps.scheduler.feed import Taken, feed
from apps.scheduler.filters import BUILDING, PASSED, Judged, judge
from apps.scheduler.models import Decision
from apps.scheduler.request import Request
from apps.scheduler.table import HostTable, Ints
from apps.scheduler.tuning import Tuning
from apps.scheduler.weighers import Floats, weigh

# So many of the best are recorded with their weights, and so many beside the chosen one kept for a retry.
_SHOWN, _ALTERNATES = 5, 3
# Among the best few are only hosts that are nearly as good: within this share of what the weightiest weigher could say.
_MARGIN = 0.05
_random = np.random.default_rng()


@dataclass(frozen=True)
class Weight:
    """One of the best: what it weighs, and the part of each weigher in that."""

    host_id: uuid.UUID
    host_name: str
    total: float
    parts: Mapping[str, float]
    free_memory_mb: int


@dataclass
class Choice:
    """The outcome for one request, and all that explains it.

    `host_id` None: nothing fits (`summary` says why), or, if `busy`, hosts that fit have enough builds under way and one may
    try again soon. `judged` has the verdict of every row of the table, whose host's name is in `names`. `alternates`: the next
    best, (id, name). `among`: the choice was made at random among so many. `misses`: when nothing fits, the nearest.
    `retaken`: it was an alternate of an earlier decision, and nothing was weighed.
    """

    request: Request
    judged: Judged
    names: Sequence[str]
    summary: str
    host_id: uuid.UUID | None = None
    host_name: str = ""
    best: list[Weight] = field(default_factory=list)
    among: int = 1
    misses: list[Miss] = field(default_factory=list)
    alternates: list[tuple[uuid.UUID, str]] = field(default_factory=list)
    busy: bool = False
    retaken: bool = False
    took_ms: float = 0.0
    lost_races: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """How many hosts each filter refused."""
        return self.judged.counts


def seed(number: int | None) -> None:
    """After the same number chance takes the same course, for simulations; None: any course."""
    global _random
    _random = np.random.default_rng(number)


def catch_up(*, surely: bool = False) -> None:
    """Bring the table up to date outside of a transaction, so that nobody waits for it within one."""
    feed.current(surely=surely)


def choose(requests: Sequence[Request], *, kept: bool = True, tuned: Tuning | None = None) -> list[Choice]:
    """A host for each request, in order; each choice counts for the next, in capacity, builds and server groups.

    Before anyone is refused, the table is brought up to date within the caller's transaction. `kept`: the choices stay counted
    until the table is told better; otherwise nothing will come of them.
    """
    tuned = tuned or tuning.current()
    choices: list[Choice] = []
    taken: list[Taken] = []
    is_fresh = False
    with feed.lock:
        table = feed.current()
        for request in requests:
            choice = decide(table, request, tuned, told=is_fresh)
            if choice.host_id is None and not is_fresh:
                table, is_fresh = feed.current(surely=True, taken=taken), True
                choice = decide(table, request, tuned)
            if choice.host_id is not None:
                _take(table, choice, taken)
            choices.append(choice)
        if not kept:
            for choice in choices:
                _give_back(table, choice)
    return choices


def decide(table: HostTable, request: Request, tuned: Tuning, *, told: bool = True) -> Choice:
    """One choice, which changes nothing. `told`: if nothing fits, with the nearest misses and a summary."""
    began = time.perf_counter()
    judged = judge(table, request, builds_per_host=tuned.builds_per_host)
    retaken = _alternate(table, request, judged)
    if retaken is not None:
        choice = _retaken(table, request, judged, retaken)
    elif len(passing := judged.passing):
        choice = _weighed(table, request, judged, passing, tuned)
    else:
        choice = Choice(request, judged, table.names, "", busy=BUILDING in judged.refused)
        if told:
            _tell(table, choice, tuned)
    choice.took_ms = round((time.perf_counter() - began) * 1000, 3)
    return choice


def lost(choice: Choice) -> None:
    """Somebody else was quicker: the table is wrong about this host."""
    if choice.host_id is not None:
        with feed.lock:
            feed.doubt(choice.host_id)


def record(decisions: Sequence[tuple[uuid.UUID, Choice]]) -> None:
    """Store (operation id, choice) pairs, inside the caller's transaction."""
    known: dict[tuple[bytes, tuple[str, ...]], str] = {}
    insert_rows([row_of(operation_id, choice, known) for operation_id, choice in decisions])


def row_of(operation_id: uuid.UUID | None, choice: Choice, known: dict[tuple[bytes, tuple[str, ...]], str] | None = None) -> Decision:
    """As it is stored. `known`: verdicts that were written down for others of the batch."""
    request, judged, known = choice.request, choice.judged, {} if known is None else known
    key = judged.verdicts.tobytes(), judged.names
    if choice.retaken:
        verdicts = "{}"
    else:
        verdicts = known.get(key) or known.setdefault(key, written.verdicts(choice.names, judged))
    return Decision(
        instance_id=request.instance_id, operation_id=operation_id, project_id=request.project_id, request=written.request(request),
        hosts=judged.hosts, steps=written.steps(judged), verdicts=verdicts, best=written.text([_shown(weight) for weight in choice.best]),
        among=choice.among, alternates=written.text(choice.alternates), nearest=written.text(choice.misses), lost_races=choice.lost_races,
        host_id=choice.host_id, host_name=choice.host_name, summary=choice.summary, took_ms=choice.took_ms,
    )


def _tell(table: HostTable, choice: Choice, tuned: Tuning) -> None:
    """Why there is no host."""
    if choice.busy:
        choice.summary = tenants.BUSY
    else:
        choice.misses = nearest.misses(table, choice.request, builds_per_host=tuned.builds_per_host)
        choice.summary = tenants.nothing_fits(choice.request, choice.judged.refused)


def _alternate(table: HostTable, request: Request, judged: Judged) -> int | None:
    rows = (table.index.get(host_id) for host_id in request.alternates)
    return next((row for row in rows if row is not None and judged.verdicts[row] == PASSED), None)


def _retaken(table: HostTable, request: Request, judged: Judged, row: int) -> Choice:
    left = request.alternates[request.alternates.index(table.ids[row]) + 1 :]
    return Choice(
        request, judged, table.names, "the next best of the decision before", table.ids[row], table.names[row], retaken=True,
        alternates=[(host_id, table.names[table.index[host_id]]) for host_id in left if host_id in table.index],
    )


def _weighed(table: HostTable, request: Request, judged: Judged, passing: Ints, tuned: Tuning) -> Choice:
    weighed = weigh(table, passing, request, tuned.multipliers)
    # Which of equals comes first is left to chance, and so is the choice among the best few: schedulers go separate ways.
    best = _best(weighed.total, max(tuned.among, _SHOWN, _ALTERNATES + 1))
    lowest = weighed.total[best[0]] - _MARGIN * max((abs(tuned.multipliers[name]) for name in weighed.parts), default=0.0)
    near = [at for at in best[: tuned.among] if weighed.total[at] >= lowest]
    chosen = near[int(_random.integers(len(near)))] if len(near) > 1 else best[0]
    row = int(passing[chosen])
    rows = passing[best].tolist()
    line = table.classes[MEMORY_MB]
    return Choice(
        request, judged, table.names, tenants.fits(request), table.ids[row], table.names[row], among=len(near),
        best=[
            Weight(
                table.ids[at], table.names[at], float(weighed.total[n]), {name: float(part[n]) for name, part in weighed.parts.items()},
                int(table.free[line, at]),
            )
            for n, at in zip(best[:_SHOWN], rows, strict=False)
        ],
        alternates=[(table.ids[at], table.names[at]) for at in rows if at != row][:_ALTERNATES],
    )


def _best(total: Floats, count: int) -> list[int]:
    """Positions of the highest, in falling order; equals in any order."""
    mixed = total + _random.random(len(total)) * 1e-9
    if len(mixed) > 4 * count:
        few = np.argpartition(mixed, len(mixed) - count)[-count:]
        order = few[np.argsort(-mixed[few])]
    else:
        order = np.argsort(-mixed)[:count]
    found: list[int] = order.tolist()
    return found


def _take(table: HostTable, choice: Choice, taken: list[Taken]) -> None:
    assert choice.host_id is not None
    table.take(table.index[choice.host_id], choice.request.amounts)
    taken.append((choice.host_id, choice.request.amounts))
    feed.doubt(choice.host_id)
    if (group := choice.request.group) is not None:
        group.hosts[choice.host_id] = group.hosts.get(choice.host_id, 0) + 1


def _give_back(table: HostTable, choice: Choice) -> None:
    if choice.host_id is not None and (row := table.index.get(choice.host_id)) is not None:
        table.take(row, choice.request.amounts, -1)


def _shown(weight: Weight) -> dict[str, Any]:
    return {
        "host": weight.host_name, "free_memory_mb": weight.free_memory_mb, "weight": round(weight.total, 4),
        "weights": {name: round(part, 4) for name, part in weight.parts.items()},
    }
