"""State machines: a table of data per resource, and the one function that moves a row along it."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import QuerySet

Table = Mapping[str, frozenset[str]]


def table(rows: Mapping[str, Iterable[str]]) -> Table:
    """Freeze `from → to, …`. Every state that is named must have a row. Raises ValueError otherwise."""
    frozen = {str(source): frozenset(map(str, targets)) for source, targets in rows.items()}
    unknown = {target for targets in frozen.values() for target in targets} - set(frozen)
    if unknown:
        raise ValueError(f"states without a row of their own: {sorted(unknown)}")
    return frozen


def sources(machine: Table, to: str) -> list[str]:
    """The states from which `to` may be reached."""
    return [source for source, targets in machine.items() if str(to) in targets]


def move(rows: "QuerySet[Any]", machine: Table, to: str, **changes: Any) -> int:
    """Compare-and-set: of `rows`, those in a state that leads to `to` get it, with `changes`. Returns how many moved."""
    return rows.filter(state__in=sources(machine, to)).update(state=str(to), **changes)
