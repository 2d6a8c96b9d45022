"""Weighers: which of the hosts that fit is best. Each says 0 to 1 of every host; settings say what that counts.

A value is a share of the largest among the hosts that fit, so that hosts that are nearly alike weigh nearly the same.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from apps.placement.names import DISK_GB, MEMORY_MB, VCPU
from apps.scheduler.request import Request
from apps.scheduler.states import GroupPolicy
from apps.scheduler.table import HostTable, Ints

Floats = npt.NDArray[np.float64]
# Rows of the table → 0 to 1 for each; None: it makes no difference here.
Weighs = Callable[[HostTable, Ints, Request], Floats | None]

# One build, or one failure, must not count as if it were the most that can be.
_MANY_BUILDS, _MANY_FAILURES = 8, 3


@dataclass(frozen=True)
class Weigher:
    """`sign`: -1 where more is worse. The setting `scheduler_weight_<name>` multiplies."""

    name: str
    words: str
    sign: int
    weighs: Weighs


@dataclass(frozen=True)
class Weighed:
    """`total` of each row, and the part that each weigher has in it."""

    total: Floats
    parts: dict[str, Floats]


def weigh(table: HostTable, rows: Ints, request: Request, multipliers: Mapping[str, float]) -> Weighed:
    """Of these rows; `multipliers` by name, 0 where one is missing."""
    total, parts = np.zeros(len(rows)), {}
    for each in WEIGHERS:
        factor = each.sign * multipliers.get(each.name, 0.0)
        if factor and (values := each.weighs(table, rows, request)) is not None:
            parts[each.name] = values * factor
            total += parts[each.name]
    return Weighed(total, parts)


def free(resource_class: str) -> Weighs:
    """How much of a class is free."""

    def weighs(table: HostTable, rows: Ints, request: Request) -> Floats | None:
        values = table.free[table.classes[resource_class]][rows]
        most = values.max()
        return np.maximum(values, 0) / most if most > 0 else None

    return weighs


def load(table: HostTable, rows: Ints, request: Request) -> Floats | None:
    values = table.load[rows]
    return np.minimum(values, 100) / 100 if values.any() else None


def building(table: HostTable, rows: Ints, request: Request) -> Floats | None:
    values = table.building[rows]
    return values / max(int(values.max()), _MANY_BUILDS) if values.any() else None


def failures(table: HostTable, rows: Ints, request: Request) -> Floats | None:
    values = table.failures[rows]
    return values / max(int(values.max()), _MANY_FAILURES) if values.any() else None


def company(table: HostTable, rows: Ints, request: Request) -> Floats | None:
    """How many of its server group are there; with `soft-anti-affinity` how few."""
    group = request.group
    if group is None or group.policy not in (GroupPolicy.SOFT_AFFINITY, GroupPolicy.SOFT_ANTI_AFFINITY):
        return None
    counts = np.zeros(table.rows)
    for host_id, count in group.hosts.items():
        if (row := table.index.get(host_id)) is not None:
            counts[row] = count
    # Of those that fit: a host that is full of members says nothing about the others.
    values = counts[rows]
    if not (most := values.max()):
        return None
    values /= most
    return values if group.policy is GroupPolicy.SOFT_AFFINITY else 1 - values


WEIGHERS: tuple[Weigher, ...] = (
    Weigher("memory", "free memory", 1, free(MEMORY_MB)),
    Weigher("cpu", "free processors", 1, free(VCPU)),
    Weigher("disk", "free disk", 1, free(DISK_GB)),
    Weigher("load", "load", -1, load),
    Weigher("building", "builds under way", -1, building),
    Weigher("failures", "builds that failed lately", -1, failures),
    Weigher("affinity", "company of its server group", 1, company),
)
