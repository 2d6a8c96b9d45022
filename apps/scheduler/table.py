"""The hosts as columns: what filters and weighers work on. Made from the database, at most a second old.

What it says is a preference; the claim in the database decides.
"""

import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from apps.hosts import selectors as hosts
from apps.network.selectors import hosts as host_networks
from apps.placement import selectors as placement
from apps.placement.names import DISK_GB, MEMORY_MB, VCPU

CLASSES = (VCPU, MEMORY_MB, DISK_GB)
_TTL_S = 1.0

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass
class HostTable:
    """One row per host, in the order of ids. `free` has a row per resource class of CLASSES, in its units.

    `networked`: its agent takes part in networks; `wires`: physical network → the hosts that are plugged into it.
    """

    ids: list[uuid.UUID]
    names: list[str]
    zones: npt.NDArray[np.object_]
    enabled: Bools
    up: Bools
    free: Ints
    capacity: Ints
    networked: Bools
    wires: dict[str, Bools] = field(default_factory=dict)
    index: dict[uuid.UUID, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.index = {host_id: row for row, host_id in enumerate(self.ids)}

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, row: int, amounts: Mapping[str, int], times: int = 1) -> None:
        """Count a claim (or with `times=-1` its return) until the next reading of the database."""
        for position, resource_class in enumerate(CLASSES):
            self.free[position, row] -= times * amounts.get(resource_class, 0)

    def exhaust(self, host_id: uuid.UUID) -> None:
        """The database said that this host is full: do not offer it until the next reading."""
        self.free[:, self.index[host_id]] = 0


def read() -> HostTable:
    """Make the table from the database: three queries."""
    facts = hosts.scheduling_facts()
    count = len(facts)
    table = HostTable(
        ids=[fact[0] for fact in facts],
        names=[fact[1] for fact in facts],
        zones=np.array([fact[2] for fact in facts], dtype=object),
        enabled=np.array([fact[3] for fact in facts], dtype=np.bool_),
        up=np.array([fact[4] == "up" for fact in facts], dtype=np.bool_),
        free=np.zeros((len(CLASSES), count), dtype=np.int64),
        capacity=np.zeros((len(CLASSES), count), dtype=np.int64),
        networked=np.zeros(count, dtype=np.bool_),
    )
    _read_wires(table)
    positions = {resource_class: position for position, resource_class in enumerate(CLASSES)}
    for provider_id, resource_class, capacity, used in placement.free():
        row, position = table.index.get(provider_id), positions.get(resource_class)
        if row is not None and position is not None:
            table.free[position, row] = capacity - used
            table.capacity[position, row] = capacity
    return table


def _read_wires(table: HostTable) -> None:
    for host_id, wires in host_networks.plugged():
        if (row := table.index.get(host_id)) is not None:
            table.networked[row] = True
            for wire in wires:
                table.wires.setdefault(wire, np.zeros(len(table), dtype=np.bool_))[row] = True


class _Cache:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._table: HostTable | None = None
        self._read_at = 0.0

    def get(self, *, fresh: bool = False) -> HostTable:
        with self._lock:
            if fresh or self._table is None or time.monotonic() - self._read_at > _TTL_S:
                self._table = read()
                self._read_at = time.monotonic()
            return self._table


cache = _Cache()
