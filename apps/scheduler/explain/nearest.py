"""When nothing fits: the hosts that came nearest, and what they lack. Each filter is asked alone, whatever others say."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import numpy as np

from apps.placement.names import MEMORY_MB
from apps.scheduler.explain.kept import Miss
from apps.scheduler.filters import filters_for
from apps.scheduler.request import Request
from apps.scheduler.table import Bools, HostTable, Ints

# So many groups of hosts are told of, so many names of each, and so many of what a filter is about.
_GROUPS, _NAMED, _SORTS = 8, 5, 5
# Filters are bits of a word.
_MOST = 62


def misses(table: HostTable, request: Request, *, builds_per_host: int) -> list[Miss]:
    """Hosts by what refuses them: first those that a single filter refuses, the most hosts first."""
    rows = np.flatnonzero(table.live)
    names: list[str] = []
    refusing = np.zeros(len(rows), dtype=np.int64)
    for each in filters_for(request, builds_per_host)[:_MOST]:
        passed = each.passes(table, request)
        if passed is not None:
            refusing |= (~passed[rows]).astype(np.int64) << len(names)
            names.append(each.name)
    kinds, counts = np.unique(refusing, return_counts=True)
    nearest = sorted(zip(kinds.tolist(), counts.tolist(), strict=True), key=lambda kind: (kind[0].bit_count(), -kind[1], kind[0]))
    return [
        _miss(table, request, rows[refusing == kind], [name for number, name in enumerate(names) if kind >> number & 1])
        for kind, _ in nearest[:_GROUPS]
        if kind
    ]


def _miss(table: HostTable, request: Request, rows: Ints, filters: list[str]) -> Miss:
    lacking = [name for name in filters if name in request.amounts]
    few = _nearest(table, request, rows, lacking)
    return Miss(
        filters, len(rows), [table.names[row] for row in few], table.zone_of(few[0]),
        {name: _amount(table, few[0], name, request.amounts[name]) for name in lacking},
        {name: _WHICH[name](table, request, rows) for name in filters if name in _WHICH},
    )


def _nearest(table: HostTable, request: Request, rows: Ints, lacking: Sequence[str]) -> list[int]:
    """Those with the greatest share of what they have too little of; else those with the most memory."""
    shares = np.full(len(rows), np.inf)
    for name in lacking:
        line = table.classes.get(name)
        shares = np.minimum(shares, 0 if line is None else table.free[line, rows] / request.amounts[name])
    if not lacking:
        shares = table.free[table.classes[MEMORY_MB], rows].astype(np.float64)
    count = min(_NAMED, len(rows))
    few = np.argpartition(-shares, count - 1)[:count]
    found: list[int] = rows[few[np.argsort(-shares[few], kind="stable")]].tolist()
    return found


def _amount(table: HostTable, row: int, name: str, needs: int) -> dict[str, int]:
    line = table.classes.get(name)
    if line is None:
        return {"needs": needs, "free": 0}
    found = {"needs": needs, "free": max(0, int(table.free[line, row]))}
    if table.max_unit[line, row] < min(needs, found["free"]):
        found["most"] = int(table.max_unit[line, row])
    if name in table.choosy:
        if needs < table.min_unit[line, row]:
            found["least"] = int(table.min_unit[line, row])
        if needs % max(1, int(table.step_size[line, row])):
            found["step"] = int(table.step_size[line, row])
    return found


# What a filter is about.


def _zones(table: HostTable, request: Request, rows: Ints) -> dict[str, int]:
    codes, counts = np.unique(table.zone[rows], return_counts=True)
    names = {code: name for name, code in table.zones.items()}
    return _most({names[code]: count for code, count in zip(codes.tolist(), counts.tolist(), strict=True)})


def _missing_traits(table: HostTable, request: Request, rows: Ints) -> dict[str, int]:
    return _counted(rows, ((name, ~table.traits.has_all([name])) for name in sorted(request.required_traits)))


def _forbidden_traits(table: HostTable, request: Request, rows: Ints) -> dict[str, int]:
    return _counted(rows, ((name, table.traits.has_any([name])) for name in sorted(request.forbidden_traits)))


def _missing_wires(table: HostTable, request: Request, rows: Ints) -> dict[str, int]:
    return _counted(rows, ((name, ~table.wires.has_all([name])) for name in sorted(request.wires)))


def _missing_metadata(table: HostTable, request: Request, rows: Ints) -> dict[str, int]:
    return _counted(rows, (
        (f"{key}={value}", ~table.aggregates.has_any(kind.id for kind in table.kinds.values() if kind.metadata.get(key) == value))
        for key, value in sorted(request.host_metadata.items())
    ))


def _closed_aggregates(table: HostTable, request: Request, rows: Ints) -> dict[str, int]:
    closed = islice(table.closed_to(request.project_id), 100)  # their names are a help, not a list
    return _counted(rows, ((table.kinds[key].name, table.aggregates.has_any([key])) for key in closed))


def _counted(rows: Ints, told: Iterable[tuple[str, Bools]]) -> dict[str, int]:
    return _most({name: int(np.count_nonzero(has[rows])) for name, has in told})


def _most(counts: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in Counter(counts).most_common(_SORTS) if count}


_WHICH: dict[str, Callable[[HostTable, Request, Ints], dict[str, int]]] = {
    "zone": _zones, "zone disabled": _zones, "traits": _missing_traits, "forbidden traits": _forbidden_traits,
    "wire": _missing_wires, "metadata": _missing_metadata, "project": _closed_aggregates,
}
