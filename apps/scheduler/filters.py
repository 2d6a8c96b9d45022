"""Filters: pure functions from table and request to "who passes", each with its reason in words."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from apps.scheduler.table import CLASSES, Bools, HostTable


@dataclass(frozen=True)
class Request:
    """What an instance needs. Amounts by resource class in its units; `zone` empty means any; `wires`: names of the physical
    networks that its host must be plugged into."""

    instance_id: uuid.UUID
    amounts: dict[str, int]
    zone: str = ""
    excluded: frozenset[uuid.UUID] = field(default_factory=frozenset)
    wires: frozenset[str] = frozenset()


def up(table: HostTable, request: Request) -> Bools:
    return table.up


def enabled(table: HostTable, request: Request) -> Bools:
    return table.enabled


def networked(table: HostTable, request: Request) -> Bools:
    return table.networked


def wired(table: HostTable, request: Request) -> Bools:
    passed = np.ones(len(table), dtype=np.bool_)
    for wire in request.wires:
        passed &= table.wires.get(wire, False)
    return passed


def zone(table: HostTable, request: Request) -> Bools:
    if not request.zone:
        return np.ones(len(table), dtype=np.bool_)
    return np.asarray(table.zones == request.zone, dtype=np.bool_)


def not_excluded(table: HostTable, request: Request) -> Bools:
    passed = np.ones(len(table), dtype=np.bool_)
    for host_id in request.excluded:
        if (row := table.index.get(host_id)) is not None:
            passed[row] = False
    return passed


def capacity(resource_class: str) -> Callable[[HostTable, Request], Bools]:
    """Enough of one resource class."""
    position = CLASSES.index(resource_class)

    def passes(table: HostTable, request: Request) -> Bools:
        return np.asarray(table.free[position] >= request.amounts.get(resource_class, 0), dtype=np.bool_)

    return passes


# In this order; a host's verdict is the first filter that it fails.
FILTERS: tuple[tuple[str, Callable[[HostTable, Request], Bools]], ...] = (
    ("down", up),
    ("disabled", enabled),
    ("zone", zone),
    ("failed before", not_excluded),
    ("no networks", networked),
    ("wire", wired),
    *((resource_class, capacity(resource_class)) for resource_class in CLASSES),
)
PASSED = len(FILTERS)


def verdicts(table: HostTable, request: Request) -> "np.ndarray[tuple[int], np.dtype[np.int8]]":
    """Per host the position in FILTERS of the first one that it fails, or PASSED."""
    result = np.full(len(table), PASSED, dtype=np.int8)
    for position in range(PASSED - 1, -1, -1):
        passed = FILTERS[position][1](table, request)
        result[~passed] = position
    return result
