"""What changed of hosts, for schedulers that keep all of them in memory: noted where it changes, read in order.

A delta says which host, not what: whoever reads it looks afresh, so reading one twice is harmless. In PostgreSQL a delta bears
the number of its transaction; whoever has read all with a snapshot reads the next time what was under way then, and what
came after it: each delta once, however long some other transaction lasts. (Ids alone would not do: they are taken before the
commit, and one that comes late would be passed over.) SQLite has one writer at a time, so ids are in the order of commits.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from django.db import connection, transaction
from django.db.models import Max

from apps.common import clock
from apps.common.sql import as_uuid, fetch_prepared, insert_rows
from apps.hosts.models import DeltaFloor, HostDelta

# Whoever has not read for so long reads everything instead.
KEPT_S = 900.0
# No transaction has this number.
_NEVER = 2**62


@dataclass(frozen=True)
class Cursor:
    """How far somebody has read: all below `next`, except for what was `under_way`."""

    next: int
    under_way: tuple[int, ...] = ()

    @property
    def oldest(self) -> int:
        """What it has not read is from here on."""
        return min(self.next, *self.under_way) if self.under_way else self.next


@dataclass(frozen=True)
class News:
    """`changed`: hosts to look at afresh, `None` where deltas are missing and everything must be read; of those among them that are
    `claimed` only what is free has changed. `cursor`: for the next time."""

    changed: set[uuid.UUID] | None
    cursor: Cursor
    claimed: frozenset[uuid.UUID] = frozenset()


def note(host_ids: Iterable[uuid.UUID], *, claims_only: bool = False) -> None:
    """These hosts change in the caller's transaction; `claims_only`: no more of them than what is free. One statement."""
    now = clock.now()
    rows = [HostDelta(tick=0, host_id=host_id, claims_only=claims_only, at=now) for host_id in set(host_ids)]
    if not rows:
        return
    if connection.vendor != "postgresql":
        insert_rows(rows)
        return
    statement = f"{noting('unnest(CAST(%s AS uuid[])) AS host_id')} RETURNING 1"
    fetch_prepared(statement, [claims_only, now, [row.host_id for row in rows]])


def noting(source: str) -> str:
    """The same as a part of PostgreSQL's statement that changes them: the column `host_id` of `source`. It takes `claims_only` and the time."""
    return f"""
        INSERT INTO {HostDelta._meta.db_table} (tick, host_id, claims_only, at)
        SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint), host_id, CAST(%s AS boolean), CAST(%s AS timestamptz) FROM {source}
    """


def read(cursor: Cursor | None) -> News:
    """What changed since `cursor`; None as the cursor of who is about to read everything. One statement, one snapshot.

    To be called before what it names is read, never in the same snapshot.
    """
    since = cursor or Cursor(_NEVER)
    if connection.vendor == "postgresql":
        rows = fetch_prepared(_statement(), [since.next, list(since.under_way)])
    else:
        rows = fetch_prepared(_statement_alone(), [since.next])
    begin, lost, under_way = next((row[1], row[2] or 0, row[4] or ()) for row in rows if row[0] is None)
    # In SQLite nothing may be left of what was pruned, and numbers begin anew.
    begin = max(begin, lost + 1)
    now = Cursor(begin, tuple(number for number in under_way if number is not None))
    # A cursor beyond what the database has given out yet is of another one: restored from a backup, or moved.
    if cursor is None or cursor.oldest <= lost or cursor.next > begin:
        return News(None, now)
    changed = {as_uuid(row[0]) for row in rows if row[0] is not None}
    return News(changed, now, frozenset(changed - {as_uuid(row[0]) for row in rows if row[0] is not None and not row[3]}))


@cache
def _statement() -> str:
    """The own transaction is under way, too, though a snapshot does not say so: it may note more, or come to nothing."""
    delta, floor = HostDelta._meta.db_table, DeltaFloor._meta.db_table
    return f"""
        SELECT
            NULL, CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint), (SELECT tick FROM {floor}), false,
            ARRAY(
                SELECT CAST(CAST(number AS text) AS bigint) FROM pg_snapshot_xip(pg_current_snapshot()) AS number
            ) || CAST(CAST(pg_current_xact_id_if_assigned() AS text) AS bigint)
        UNION ALL SELECT host_id, 0, 0, claims_only, NULL FROM {delta} WHERE tick >= %s
        UNION ALL SELECT host_id, 0, 0, claims_only, NULL FROM {delta} WHERE tick = ANY(CAST(%s AS bigint[]))
    """


@cache
def _statement_alone() -> str:
    delta, floor = HostDelta._meta.db_table, DeltaFloor._meta.db_table
    return f"""
        SELECT NULL, (SELECT COALESCE(MAX(id), 0) + 1 FROM {delta}), (SELECT tick FROM {floor}), 0, NULL
        UNION ALL SELECT host_id, 0, 0, claims_only, NULL FROM {delta} WHERE id >= %s
    """


def prune() -> int:
    """Forget what all have read by now, or will not ask for; returns how many."""
    key = "tick" if connection.vendor == "postgresql" else "pk"
    with transaction.atomic():
        old = HostDelta.objects.filter(at__lt=clock.now() - timedelta(seconds=KEPT_S))
        last = old.aggregate(last=Max(key))["last"]
        # What is still under way may have a number below, and note something: nobody would find it above the floor.
        last = None if last is None else min(last, _oldest() - 1) if key == "tick" else last
        if last is None:
            return 0
        DeltaFloor.objects.update_or_create(pk=1, defaults={"tick": last})
        deleted, _ = HostDelta.objects.filter(**{f"{key}__lte": last}).delete()
    return deleted


def _oldest() -> int:
    """The number of the oldest transaction that is under way in PostgreSQL, or of the next one."""
    rows = fetch_prepared("SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)", [])
    return int(rows[0][0])
