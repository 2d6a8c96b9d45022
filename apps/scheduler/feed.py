"""Keeps the table of hosts true: after one reading of everything, only what has changed is read again.

What was read inside of a transaction may be rolled back with it, and so may what was chosen: such hosts are read again the
next time. Deltas say which hosts others have changed (`apps.hosts.services.deltas`).
"""

import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta

from django.db import connection

from apps.common import clock
from apps.hosts import selectors as hosts
from apps.hosts.services import deltas
from apps.network.selectors import hosts as host_networks
from apps.operations import selectors as operations
from apps.placement import selectors as placement
from apps.scheduler import tuning
from apps.scheduler.table import HostTable
from contracts import topics

# A choice that a claim will check anyway may be made with a table of this age.
_INTERVAL_S = 0.05
# What is counted over all operations, and is a preference only.
_BUILDING_S, _FAILURES_S = 1.0, 15.0

# A choice that is not claimed yet: which host, and how much of it.
Taken = tuple[uuid.UUID, Mapping[str, int]]


class Feed:
    """One per process. Whoever works with its table holds `lock`."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._forget()

    def _forget(self) -> None:
        self._table: HostTable | None = None
        self._cursor: deltas.Cursor | None = None
        # Not settled: chosen (what is free may be otherwise), or read within a transaction.
        self._doubted: set[uuid.UUID] = set()
        self._again: set[uuid.UUID] = set()
        self._read_at = self._building_at = self._failures_at = float("-inf")

    def forget(self) -> None:
        """Read everything the next time."""
        with self.lock:
            self._forget()

    def current(self, *, surely: bool = False, taken: Sequence[Taken] = ()) -> HostTable:
        """The table. `surely`: with all that is committed by now; otherwise a moment old.

        `taken`: choices that stay counted, though the database does not know of them yet.
        """
        with self.lock:
            table = self._table
            if table is None:
                table = self._read_all()
            elif surely or time.monotonic() - self._read_at > _INTERVAL_S:
                _count(table, taken, -1)
                table = self._catch_up(table)
            else:
                return table
            self._count_operations(table, surely=surely)
            _count(table, taken, 1)
            return table

    def expire(self) -> None:
        """Whoever looks next sees all that is committed by then; operations are counted when it is their time."""
        with self.lock:
            self._read_at = float("-inf")

    def doubt(self, host_id: uuid.UUID) -> None:
        """What the table says of this host's capacity is a guess: read it the next time."""
        self._doubted.add(host_id)

    def _catch_up(self, table: HostTable) -> HostTable:
        began = time.monotonic()
        news = deltas.read(self._cursor)
        if news.changed is None:
            return self._read_all()
        # Should it fail, they are read the next time.
        self._again |= news.changed - news.claimed
        self._doubted |= news.claimed
        if self._again:
            _fill(table, self._again, stock_of=self._again | self._doubted)
        elif self._doubted:
            table.put_stock(self._doubted, placement.scheduling_stock(self._doubted))
        inside = connection.in_atomic_block
        if not inside:
            self._again, self._doubted = set(), set()
        # In SQLite the numbers of a transaction that is rolled back are given out a second time.
        if not inside or connection.vendor == "postgresql":
            self._cursor = news.cursor
        self._read_at = began
        return table

    def _read_all(self) -> HostTable:
        """Everything: the first time, and after a gap."""
        self._forget()
        began = time.monotonic()
        cursor = deltas.read(None).cursor
        table = HostTable()
        _fill(table, None)
        self._table, self._read_at = table, began
        # Without a cursor everything is read the next time.
        self._cursor = None if connection.in_atomic_block else cursor
        return table

    def _count_operations(self, table: HostTable, *, surely: bool) -> None:
        now = time.monotonic()
        if now - self._building_at > _BUILDING_S or surely:
            table.put_counts("building", operations.open_by_host(topics.COMPUTE_BUILD))
            self._building_at = now
        if now - self._failures_at > _FAILURES_S:
            since = clock.now() - timedelta(seconds=tuning.current().failures_s)
            table.put_counts("failures", operations.failed_by_host(since))
            self._failures_at = now


def _count(table: HostTable, taken: Sequence[Taken], times: int) -> None:
    for host_id, amounts in taken:
        if (row := table.index.get(host_id)) is not None:
            table.take(row, amounts, times)


def _fill(table: HostTable, host_ids: set[uuid.UUID] | None, *, stock_of: set[uuid.UUID] | None = None) -> None:
    """Read these hosts (None: all) into the table, in six statements; `stock_of`: what is free, of so many."""
    facts = hosts.scheduling_facts(host_ids)
    found = [fact.id for fact in facts]
    if host_ids is None or any(fact.aggregate_ids for fact in facts):
        table.put_aggregates(hosts.scheduling_aggregates())
    table.remove((table.index.keys() if host_ids is None else host_ids) - set(found))
    table.put_hosts(facts)
    table.put_stock(found if stock_of is None else stock_of, placement.scheduling_stock(stock_of))
    table.put_traits(found, placement.scheduling_traits(host_ids))
    table.put_wires(found, dict(host_networks.plugged(host_ids)))


feed = Feed()
