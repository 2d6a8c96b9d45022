"""The hosts as columns: what filters and weighers work on. `feed` keeps it true.

What it says is a preference; the claim in the database decides.
"""

import uuid
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from apps.hosts.selectors import AggregateFacts, SchedulingFacts
from apps.hosts.states import HostState
from apps.placement.names import DISK_GB, MEMORY_MB, VCPU

CLASSES = (VCPU, MEMORY_MB, DISK_GB)
# (provider, resource class, capacity, used, min_unit, max_unit, step_size)
Stock = tuple[uuid.UUID, str, int, int, int, int, int]

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint64]

# One value per host, and what it is for a host of which nothing is known.
_COLUMNS: dict[str, type[np.generic]] = {
    "live": np.bool_, "enabled": np.bool_, "up": np.bool_, "zone_enabled": np.bool_, "networked": np.bool_,
    "zone": np.int32, "hypervisor": np.int32, "load": np.int32, "building": np.int32, "failures": np.int32,
}
# One value per resource class and host.
_AMOUNTS = ("free", "capacity", "min_unit", "max_unit", "step_size")


class Bits:
    """Which of many names (traits, aggregates, wires) each host has: a bit per name, in words of 64."""

    def __init__(self) -> None:
        self.positions: dict[Hashable, int] = {}
        self._words: Words = np.zeros((1, 0), dtype=np.uint64)
        self._count = 0

    def resize(self, count: int, room: int) -> None:
        """`count` hosts from now on, of `room` that have a place."""
        if room > self._words.shape[1]:
            grown = np.zeros((len(self._words), room), dtype=np.uint64)
            grown[:, : self._words.shape[1]] = self._words
            self._words = grown
        self._count = count

    def put(self, row: int, names: Iterable[Hashable]) -> None:
        """The host in this row has these names, and no others."""
        self._words[:, row] = 0
        for word, bits in self._mask(names, new=True).items():
            self._words[word, row] = bits

    def put_many(self, rows: Ints, sets: Sequence[Hashable], split: Mapping[Hashable, Collection[Hashable]]) -> None:
        """The same for many; hosts are alike, so `sets` has a key per row, and `split` says which names a key stands for."""
        codes = {key: code for code, key in enumerate(split)}
        masks = [self._mask(names, new=True) for names in split.values()]
        known = np.zeros((len(self._words), max(1, len(codes))), dtype=np.uint64)
        for code, mask in enumerate(masks):
            for word, bits in mask.items():
                known[word, code] = bits
        self._words[:, rows] = known[:, np.fromiter((codes[key] for key in sets), dtype=np.int64, count=len(sets))]

    def has_all(self, names: Collection[Hashable]) -> Bools:
        """The hosts that have every one of these."""
        passed = np.ones(self._count, dtype=np.bool_)
        if not all(name in self.positions for name in names):
            passed[:] = False
            return passed
        for word, bits in self._mask(names).items():
            passed &= (self._words[word, : self._count] & bits) == bits
        return passed

    def has_any(self, names: Iterable[Hashable]) -> Bools:
        """The hosts that have at least one of these."""
        passed = np.zeros(self._count, dtype=np.bool_)
        for word, bits in self._mask(names).items():
            passed |= (self._words[word, : self._count] & bits) != 0
        return passed

    def of(self, row: int) -> set[Hashable]:
        """What the host in this row has."""
        return {name for name, at in self.positions.items() if int(self._words[at >> 6, row]) >> (at & 63) & 1}

    @property
    def nbytes(self) -> int:
        return self._words.nbytes

    def _mask(self, names: Iterable[Hashable], *, new: bool = False) -> dict[int, np.uint64]:
        bits: dict[int, int] = {}
        for name in names:
            if (at := self.positions.get(name)) is None:
                if not new:
                    continue
                at = self.positions[name] = len(self.positions)
                if at >> 6 >= len(self._words):
                    self._words = np.concatenate([self._words, np.zeros_like(self._words[:1])])
            bits[at >> 6] = bits.get(at >> 6, 0) | 1 << (at & 63)
        return {word: np.uint64(value) for word, value in bits.items()}


class HostTable:
    """One row per host; a host keeps its row as long as it is there, and every column is in the order of rows.

    `free`, `capacity`, `min_unit`, `max_unit`, `step_size` have a line per resource class (see `classes`), in its units.
    `building`: builds under way; `failures`: builds that failed there lately; `load`: percent of all processors. `networked`:
    its agent takes part in networks. A row that is not `live` is of a host that is gone. Columns are views: hold none of them
    over a change of the table.
    """

    live: Bools
    enabled: Bools
    up: Bools
    zone_enabled: Bools
    networked: Bools
    zone: npt.NDArray[np.int32]
    hypervisor: npt.NDArray[np.int32]
    load: npt.NDArray[np.int32]
    building: npt.NDArray[np.int32]
    failures: npt.NDArray[np.int32]
    free: Ints
    capacity: Ints
    min_unit: Ints
    max_unit: Ints
    step_size: Ints

    def __init__(self) -> None:
        self.ids: list[uuid.UUID] = []
        self.names: list[str] = []
        self.index: dict[uuid.UUID, int] = {}
        self.zones: dict[str, int] = {}
        self.hypervisors: dict[str, int] = {}
        self.classes: dict[str, int] = {name: line for line, name in enumerate(CLASSES)}
        # Classes of which some host does not give just any amount: the others need no look at it.
        self.choosy: set[str] = set()
        self.traits, self.aggregates, self.wires = Bits(), Bits(), Bits()
        self.kinds: dict[uuid.UUID, AggregateFacts] = {}
        self._closed: dict[uuid.UUID | None, frozenset[uuid.UUID]] = {}
        self._spare: list[int] = []
        self._room = 0
        self._store: dict[str, npt.NDArray[np.generic]] = {}
        self._resize(64)
        self._expose()

    def __len__(self) -> int:
        """Hosts that are there."""
        return len(self.index)

    @property
    def rows(self) -> int:
        return len(self.ids)

    @property
    def nbytes(self) -> int:
        """Of all columns; names and ids come on top."""
        return sum(column.nbytes for column in self._store.values()) + self.traits.nbytes + self.aggregates.nbytes + self.wires.nbytes

    # What is known.

    def put_hosts(self, facts: Sequence[SchedulingFacts]) -> None:
        """These hosts are there, and like this."""
        rows = np.array([self._row(fact.id) for fact in facts], dtype=np.int64)
        self._expose()
        if not len(rows):
            return
        for row, fact in zip(rows.tolist(), facts, strict=True):
            self.names[row] = fact.name
        self.live[rows] = True
        self.enabled[rows] = [fact.enabled for fact in facts]
        self.up[rows] = [fact.state == HostState.UP for fact in facts]
        self.zone_enabled[rows] = [fact.zone_enabled for fact in facts]
        self.zone[rows] = [self.zones.setdefault(fact.zone, len(self.zones)) for fact in facts]
        self.hypervisor[rows] = [self.hypervisors.setdefault(fact.hypervisor.lower(), len(self.hypervisors)) for fact in facts]
        self.load[rows] = [fact.load_percent for fact in facts]
        sets = [fact.aggregate_ids for fact in facts]
        self.aggregates.put_many(rows, sets, {key: key for key in sets})

    def put_stock(self, host_ids: Iterable[uuid.UUID], stock: Iterable[Stock]) -> None:
        """What these hosts have; a class that is not said, they have nothing of."""
        rows = self._rows_of(host_ids)
        # A class that is new makes the store anew: columns are asked for after all are known.
        lines = [(row, self._line(each[1]), each) for each in stock if (row := self.index.get(each[0])) is not None]
        self._expose()
        for name in _AMOUNTS:
            getattr(self, name)[:, rows] = 0
        if not lines:
            return
        at = np.array([line for _, line, _ in lines]), np.array([row for row, _, _ in lines])
        _, _, capacity, used, least, most, step = (np.array(column) for column in zip(*(each for _, _, each in lines), strict=True))
        self.free[at], self.capacity[at] = capacity - used, capacity
        self.min_unit[at], self.max_unit[at], self.step_size[at] = least, most, step
        for each in np.flatnonzero((least > 1) | (step > 1)).tolist():
            self.choosy.add(lines[each][2][1])

    def put_traits(self, host_ids: Iterable[uuid.UUID], traits: Mapping[uuid.UUID, str]) -> None:
        """`traits`: all that a host has, separated by spaces."""
        known = list(host_ids)
        sets = [traits.get(host_id, "") for host_id in known if host_id in self.index]
        self.traits.put_many(self._rows_of(known), sets, {key: key.split() for key in sets})

    def put_wires(self, host_ids: Iterable[uuid.UUID], plugged: Mapping[uuid.UUID, Collection[str]]) -> None:
        """Hosts that take part in networks, with the wires that they are plugged into; the others do not."""
        for host_id in host_ids:
            if (row := self.index.get(host_id)) is not None:
                self.networked[row] = host_id in plugged
                self.wires.put(row, plugged.get(host_id, ()))

    def put_aggregates(self, kinds: Iterable[AggregateFacts]) -> None:
        """All that there are."""
        self.kinds = {kind.id: kind for kind in kinds}
        self._closed.clear()

    def put_counts(self, name: str, counts: Mapping[uuid.UUID, int]) -> None:
        """`building` or `failures` of all hosts."""
        column = getattr(self, name)
        column[:] = 0
        for host_id, count in counts.items():
            if (row := self.index.get(host_id)) is not None:
                column[row] = count

    def remove(self, host_ids: Iterable[uuid.UUID]) -> None:
        """These hosts are gone."""
        for host_id in host_ids:
            if (row := self.index.pop(host_id, None)) is not None:
                self.live[row] = self.up[row] = False
                self.building[row] = self.failures[row] = 0
                self._spare.append(row)

    def take(self, row: int, amounts: Mapping[str, int], times: int = 1) -> None:
        """Count a choice (or with `times=-1` take it back)."""
        for resource_class, amount in amounts.items():
            if (line := self.classes.get(resource_class)) is not None:
                self.free[line, row] -= times * amount
        self.building[row] += times

    # What is asked.

    def closed_to(self, project_id: uuid.UUID | None) -> frozenset[uuid.UUID]:
        """Aggregates whose hosts do not take instances of this project."""
        if project_id not in self._closed:
            if len(self._closed) > 10_000:
                self._closed.clear()
            self._closed[project_id] = frozenset(
                kind.id for kind in self.kinds.values() if kind.project_ids and project_id not in kind.project_ids
            )
        return self._closed[project_id]

    def zone_of(self, row: int) -> str:
        return next(name for name, code in self.zones.items() if code == self.zone[row])

    def facts(self) -> dict[uuid.UUID, dict[str, object]]:
        """All that the table says, by host: for tests and for who looks into it."""
        zones, hypervisors = ({code: name for name, code in codes.items()} for codes in (self.zones, self.hypervisors))
        return {
            host_id: {
                "name": self.names[row], "zone": zones[int(self.zone[row])], "hypervisor": hypervisors[int(self.hypervisor[row])],
                **{name: getattr(self, name)[row].item() for name in _COLUMNS if name not in ("zone", "hypervisor")},
                **{
                    name: {resource_class: int(getattr(self, name)[line, row]) for resource_class, line in self.classes.items() if self.max_unit[line, row]}
                    for name in _AMOUNTS
                },
                "traits": self.traits.of(row), "aggregates": self.aggregates.of(row), "wires": self.wires.of(row),
            }
            for host_id, row in self.index.items()
        }

    # Rows.

    def _rows_of(self, host_ids: Iterable[uuid.UUID]) -> Ints:
        return np.array([self.index[host_id] for host_id in host_ids if host_id in self.index], dtype=np.int64)

    def _row(self, host_id: uuid.UUID) -> int:
        if (row := self.index.get(host_id)) is not None:
            return row
        if self._spare:
            row = self._spare.pop()
            self.ids[row] = host_id
        else:
            row = len(self.ids)
            self.ids.append(host_id)
            self.names.append("")
            if row >= self._room:
                self._resize(self._room * 2)
        self.index[host_id] = row
        return row

    def _line(self, resource_class: str) -> int:
        if (line := self.classes.get(resource_class)) is None:
            line = self.classes[resource_class] = len(self.classes)
            for name in _AMOUNTS:
                store = self._store[name]
                self._store[name] = np.concatenate([store, np.zeros_like(store[:1])])
        return line

    def _resize(self, room: int) -> None:
        shapes = {name: ((), kind) for name, kind in _COLUMNS.items()} | {name: ((len(self.classes),), np.int64) for name in _AMOUNTS}
        for name, (shape, kind) in shapes.items():
            grown = np.zeros((*shape, room), dtype=kind)
            if (old := self._store.get(name)) is not None:
                grown[..., : self._room] = old
            self._store[name] = grown
        self._room = room

    def _expose(self) -> None:
        """Show the part of the store that is in use."""
        for name, column in self._store.items():
            setattr(self, name, column[..., : self.rows])
        for bits in (self.traits, self.aggregates, self.wires):
            bits.resize(self.rows, self._room)
