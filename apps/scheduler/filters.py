"""Filters: pure functions from table and request to "who passes", each with its name and with words for its reason."""

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from apps.placement.names import standard_traits
from apps.scheduler.request import Request
from apps.scheduler.states import GroupPolicy
from apps.scheduler.table import Bools, HostTable, Ints

# Instead of the number of a filter: none refused it; it is gone.
PASSED, GONE = 127, -1
Verdicts = npt.NDArray[np.int8]
# None: the request does not ask for it, everybody passes.
Passes = Callable[[HostTable, Request], Bools | None]

BUILDING = "building"
_ARCHITECTURE = "HW_ARCH_"
# Traits by which hosts say what runs their guests; `qemu` is in both.
_HYPERVISOR = "CUSTOM_HYPERVISOR_"
_VIRT = {"kvm": ("CUSTOM_VIRT_KVM",), "qemu": ("CUSTOM_VIRT_KVM", "CUSTOM_VIRT_TCG")}


@dataclass(frozen=True)
class Filter:
    """`name` is what is stored; `words` finish the sentence "refused, because …"."""

    name: str
    words: str
    passes: Passes


@dataclass(frozen=True)
class Judged:
    """`verdicts`: per row of the table the number of the first filter (in `names`) that refused it, or PASSED, or GONE.

    `hosts` were looked at, and `left[n]` of them left after filter n.
    """

    verdicts: Verdicts
    names: tuple[str, ...]
    hosts: int
    left: tuple[int, ...]

    @property
    def passing(self) -> Ints:
        """Their rows."""
        return np.flatnonzero(self.verdicts == PASSED)

    @property
    def refused(self) -> dict[str, int]:
        """How many hosts each filter refused; none: not in it."""
        before = (self.hosts, *self.left)
        return {name: before[n] - before[n + 1] for n, name in enumerate(self.names) if before[n] > before[n + 1]}

    @property
    def counts(self) -> dict[str, int]:
        """`refused`, and how many passed."""
        passed = self.left[-1] if self.left else self.hosts
        return {**self.refused, **({"passed": passed} if passed else {})}


def judge(table: HostTable, request: Request, *, builds_per_host: int = 0) -> Judged:
    """Every host against every filter that the request has something for. `builds_per_host`: at once; 0: any number."""
    verdicts = np.where(table.live, np.int8(PASSED), np.int8(GONE))
    alive = table.live.copy()
    names: list[str] = []
    left: list[int] = []
    for each in filters_for(request, builds_per_host):
        passed = each.passes(table, request)
        if passed is None:
            continue
        refused = alive & ~passed
        verdicts[refused] = len(names)
        alive &= passed
        names.append(each.name)
        left.append(int(np.count_nonzero(alive)))
    return Judged(verdicts, tuple(names), len(table), tuple(left))


def filters_for(request: Request, builds_per_host: int) -> tuple[Filter, ...]:
    """All in their order; some of them have nothing to say about this request."""
    return (*FILTERS, *_amounts(request), *_LAST, *_building(builds_per_host))


def up(table: HostTable, request: Request) -> Bools:
    return table.up


def enabled(table: HostTable, request: Request) -> Bools:
    return table.enabled


def zone_enabled(table: HostTable, request: Request) -> Bools:
    return table.zone_enabled


def zone(table: HostTable, request: Request) -> Bools | None:
    if not request.zone:
        return None
    return np.asarray(table.zone == table.zones.get(request.zone, -1))


def asked_for(table: HostTable, request: Request) -> Bools | None:
    return _among(table, request.hosts) if request.hosts else None


def not_avoided(table: HostTable, request: Request) -> Bools | None:
    return ~_among(table, request.avoided) if request.avoided else None


def not_excluded(table: HostTable, request: Request) -> Bools | None:
    return ~_among(table, request.excluded) if request.excluded else None


def open_to_project(table: HostTable, request: Request) -> Bools | None:
    closed = table.closed_to(request.project_id)
    return ~table.aggregates.has_any(closed) if closed else None


def metadata(table: HostTable, request: Request) -> Bools | None:
    if not request.host_metadata:
        return None
    passed = np.ones(table.rows, dtype=np.bool_)
    for key, value in request.host_metadata.items():
        passed &= table.aggregates.has_any(kind.id for kind in table.kinds.values() if kind.metadata.get(key) == value)
    return passed


def image(table: HostTable, request: Request) -> Bools | None:
    """Hosts that do not say what they are, as old agents do not, pass."""
    if not request.architecture and not request.hypervisor_type:
        return None
    passed = np.ones(table.rows, dtype=np.bool_)
    if request.architecture:
        wanted = _ARCHITECTURE + request.architecture.upper()
        passed &= table.traits.has_any([wanted]) | ~table.traits.has_any(_architectures())
    if request.hypervisor_type:
        kind = request.hypervisor_type
        traits = (_HYPERVISOR + kind.upper(), *_VIRT.get(kind, ()))
        passed &= (table.hypervisor == table.hypervisors.get(kind, -1)) | table.traits.has_any(traits)
    return passed


@cache
def _architectures() -> tuple[str, ...]:
    return tuple(name for name in standard_traits() if name.startswith(_ARCHITECTURE))


def traits(table: HostTable, request: Request) -> Bools | None:
    return table.traits.has_all(request.required_traits) if request.required_traits else None


def no_forbidden_traits(table: HostTable, request: Request) -> Bools | None:
    return ~table.traits.has_any(request.forbidden_traits) if request.forbidden_traits else None


def networked(table: HostTable, request: Request) -> Bools:
    return table.networked


def wired(table: HostTable, request: Request) -> Bools | None:
    return table.wires.has_all(request.wires) if request.wires else None


def affinity(table: HostTable, request: Request) -> Bools | None:
    group = request.group
    if group is None or group.policy is not GroupPolicy.AFFINITY or not group.hosts:
        return None
    return _among(table, group.hosts)


def anti_affinity(table: HostTable, request: Request) -> Bools | None:
    group = request.group
    if group is None or group.policy is not GroupPolicy.ANTI_AFFINITY:
        return None
    return ~_among(table, [host_id for host_id, count in group.hosts.items() if count >= group.max_per_host])


def capacity(resource_class: str) -> Passes:
    """Enough of one resource class, in pieces of that size."""

    def passes(table: HostTable, request: Request) -> Bools | None:
        amount = request.amounts.get(resource_class, 0)
        if not amount:
            return None
        if (line := table.classes.get(resource_class)) is None:
            return np.zeros(table.rows, dtype=np.bool_)
        passed = (table.free[line] >= amount) & (table.max_unit[line] >= amount)
        if resource_class in table.choosy:
            passed &= (table.min_unit[line] <= amount) & (amount % np.maximum(table.step_size[line], 1) == 0)
        return np.asarray(passed)

    return passes


# In this order, then the resource classes in the order of the request, then the last ones.
FILTERS: tuple[Filter, ...] = (
    Filter("down", "it is down", up),
    Filter("disabled", "it is disabled", enabled),
    Filter("zone disabled", "its zone is disabled", zone_enabled),
    Filter("zone", "it is in another zone", zone),
    Filter("not asked for", "other hosts were asked for", asked_for),
    Filter("avoided", "it was to be avoided", not_avoided),
    Filter("failed before", "this build failed there before", not_excluded),
    Filter("project", "it is kept for other projects", open_to_project),
    Filter("metadata", "none of its aggregates has what the flavor asks for", metadata),
    Filter("image", "it does not run such images", image),
    Filter("traits", "it lacks a trait that is required", traits),
    Filter("forbidden traits", "it has a trait that is forbidden", no_forbidden_traits),
    Filter("no networks", "its agent is too old for networks", networked),
    Filter("wire", "it is not plugged into what the network runs on", wired),
)
_LAST: tuple[Filter, ...] = (
    Filter("affinity", "the others of its server group are elsewhere", affinity),
    Filter("anti-affinity", "others of its server group are there", anti_affinity),
)
WORDS = {each.name: each.words for each in (*FILTERS, *_LAST)} | {BUILDING: "it has enough builds under way"}


def _amounts(request: Request) -> Iterable[Filter]:
    return [Filter(name, f"too little {name} is free", capacity(name)) for name, amount in request.amounts.items() if amount]


def _building(builds_per_host: int) -> tuple[Filter, ...]:
    def passes(table: HostTable, request: Request) -> Bools:
        return np.asarray(table.building < builds_per_host)

    return (Filter(BUILDING, WORDS[BUILDING], passes),) if builds_per_host else ()


def _among(table: HostTable, host_ids: Iterable[uuid.UUID]) -> Bools:
    found = np.zeros(table.rows, dtype=np.bool_)
    rows = [row for host_id in host_ids if (row := table.index.get(host_id)) is not None]
    found[rows] = True
    return found
