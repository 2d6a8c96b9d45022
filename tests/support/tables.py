"""Tables of hosts made of words, without any database."""

import threading
import uuid
from collections.abc import Sequence
from typing import Any

from apps.hosts.selectors import AggregateFacts, SchedulingFacts
from apps.scheduler.feed import Taken
from apps.scheduler.request import Request
from apps.scheduler.table import HostTable

ROOMY = {"VCPU": 64, "MEMORY_MB": 65536, "DISK_GB": 1000}
AMOUNTS = {"VCPU": 2, "MEMORY_MB": 1024, "DISK_GB": 10}
_WORDS: dict[str, Any] = {
    "zone": "a", "enabled": True, "up": True, "zone_enabled": True, "networked": True, "wires": (), "traits": "", "aggregates": (),
    "hypervisor": "libvirt", "load": 0, "building": 0, "failures": 0, "units": {},
}


def host_id(number: int) -> uuid.UUID:
    return uuid.UUID(int=number)


def aggregate(number: int, *, projects: Sequence[uuid.UUID] = (), **metadata: str) -> AggregateFacts:
    return AggregateFacts(uuid.UUID(int=1000 + number), f"aggregate{number}", metadata, frozenset(projects))


def make_table(
    *hosts: dict[str, Any], aggregates: Sequence[AggregateFacts] = (), first: int = 0, into: HostTable | None = None
) -> HostTable:
    """Host n has the id n and the name `host<n>`; amounts by class are what is free, `units` is class → (min, max, step).

    `first`: the number of the first; `into`: a table that has others.
    """
    table, rows = HostTable() if into is None else into, [{**_WORDS, **ROOMY, **host} for host in hosts]
    ids = [host_id(number) for number in range(first, first + len(rows))]
    table.put_aggregates(aggregates)
    table.put_hosts([
        SchedulingFacts(
            key, f"host{key.int}", row["zone"], row["enabled"], "up" if row["up"] else "down", row["zone_enabled"], row["hypervisor"],
            row["load"], tuple(each.id for each in row["aggregates"]),
        )
        for key, row in zip(ids, rows, strict=True)
    ])
    table.put_stock(ids, [
        (key, name, max(0, amount), max(0, -amount), *row["units"].get(name, (1, 2**31 - 1, 1)))
        for key, row in zip(ids, rows, strict=True)
        for name, amount in row.items()
        if name.isupper()
    ])
    table.put_traits(ids, {key: row["traits"] for key, row in zip(ids, rows, strict=True)})
    table.put_wires(ids, {key: row["wires"] for key, row in zip(ids, rows, strict=True) if row["networked"]})
    for name in ("building", "failures"):
        table.put_counts(name, {key: row[name] for key, row in zip(ids, rows, strict=True)})
    return table


def make_request(**fields: Any) -> Request:
    return Request(**{"instance_id": uuid.uuid4(), "amounts": dict(AMOUNTS), **fields})


class FixedFeed:
    """In the place of the scheduler's feed: a table that nobody else changes; `next` is what the next sure reading finds."""

    def __init__(self, table: HostTable) -> None:
        self.table, self.next = table, table
        self.lock = threading.RLock()
        self.doubted: list[uuid.UUID] = []

    def current(self, *, surely: bool = False, taken: Sequence[Taken] = ()) -> HostTable:
        if surely:
            self.table = self.next
        return self.table

    def doubt(self, key: uuid.UUID) -> None:
        self.doubted.append(key)
