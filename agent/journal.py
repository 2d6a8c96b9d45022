"""What this host remembers between restarts: commands it has seen, the newest generation per instance, unsent reports.

A local SQLite file. It is a memory, not the truth: a power cut may lose the last entries, and then a command is simply
carried out again, which the drivers' ensure semantics make harmless. Losing all of it is survivable too, so a file that
SQLite cannot read is put aside and a new one begun.
"""

import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Final, NamedTuple

import structlog

log = structlog.get_logger(__name__)

# Longer than any deadline: what is older can only come back as a command that has expired.
KEEP_S: Final = 3 * 86400.0
MAX_UNSENT: Final = 100_000

# A report that answers no journaled command, kept because the broker was down, is an entry without a key.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (
    id INTEGER PRIMARY KEY,
    host_id TEXT, operation_id TEXT, step TEXT, generation INTEGER, instance_id TEXT,
    at REAL NOT NULL, report TEXT, unsent INTEGER NOT NULL DEFAULT 0, gone INTEGER NOT NULL DEFAULT 0,
    UNIQUE (host_id, operation_id, step, generation)
);
CREATE INDEX IF NOT EXISTS entry_unsent ON entry (id) WHERE unsent;
"""
_SEEN = "SELECT id, report FROM entry WHERE host_id = ? AND operation_id = ? AND step = ? AND generation = ?"
_BEGIN = "INSERT INTO entry (host_id, operation_id, step, generation, instance_id, at) VALUES (?, ?, ?, ?, ?, ?)"
_END = "UPDATE entry SET report = ?, at = ?, unsent = 1, gone = ? WHERE id = ?"
_KEEP = "INSERT INTO entry (report, at, unsent) VALUES (?, ?, 1)"
_UNSENT = "SELECT id, report FROM entry WHERE unsent ORDER BY id LIMIT ?"
_SENT = "UPDATE entry SET unsent = 0 WHERE id = ?"
_NEWEST = "SELECT host_id, instance_id, max(generation) FROM entry WHERE host_id NOTNULL GROUP BY 1, 2"
_OPEN = "SELECT id, host_id, operation_id, instance_id, generation FROM entry WHERE report IS NULL"
_OLD = "SELECT id, host_id, instance_id, generation, gone FROM entry WHERE at < ?"


class Key(NamedTuple):
    """What fences a command: the same four again is a repeat."""

    host_id: str
    operation_id: str
    step: str
    generation: int


class Fence(Enum):
    """What to do with a command. RUN also when it was begun before a crash and never ended."""

    RUN = "run"
    REPEAT = "repeat"
    STALE = "stale"


class Verdict(NamedTuple):
    """`entry`: what to end when it has run. `report`: stored wire text of a repeat. `newest`: generation so far or 0."""

    fence: Fence
    entry: int = 0
    report: str = ""
    newest: int = 0


class _Open(NamedTuple):
    host_id: str
    operation_id: str
    instance_id: str
    generation: int


class Journal:
    """One file for all hosts of the process; any thread may call."""

    def __init__(self, path: Path) -> None:
        """Open or create. Raises sqlite3.Error or OSError if the folder cannot be written."""
        self._lock = threading.Lock()
        try:
            self._db = _open(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise  # no such folder, no permission, disk full: a new file would not help
            aside = path.with_name(f"{path.name}.unreadable-{int(time.time())}")
            log.error("journal.unreadable", error=str(error), moved_to=str(aside))
            path.rename(aside)
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            self._db = _open(path)
        # What every command asks is kept in memory: each statement costs a fight for the interpreter's lock.
        self._newest: dict[str, dict[str, int]] = {}
        for host_id, instance_id, generation in self._db.execute(_NEWEST):
            self._newest.setdefault(host_id, {})[instance_id] = generation
        self._open = {row[0]: _Open(*row[1:]) for row in self._db.execute(_OPEN)}

    def begin(self, key: Key, instance_id: str) -> Verdict:
        """Judge a command and, if it is to run, remember that it was begun."""
        with self._lock:
            newest = self._newest.get(key.host_id, {}).get(instance_id, 0)
            seen = self._db.execute(_SEEN, key).fetchone() if newest else None
            if seen and seen[1] is not None:
                return Verdict(Fence.REPEAT, report=seen[1], newest=newest)
            if key.generation < newest:
                return Verdict(Fence.STALE, newest=newest)
            entry = seen[0] if seen else self._insert(key, instance_id)
            self._open[entry] = _Open(key.host_id, key.operation_id, instance_id, key.generation)
            self._newest.setdefault(key.host_id, {})[instance_id] = key.generation
            return Verdict(Fence.RUN, entry=entry, newest=newest)

    def _insert(self, key: Key, instance_id: str) -> int:
        row = self._db.execute(_BEGIN, (*key, instance_id, time.time())).lastrowid
        assert row is not None
        return row

    def end(self, entry: int, report: str, *, gone: bool) -> None:
        """Store the report of a command, unsent so far.

        `gone`: the instance is no longer here, so that its generation may be forgotten some days from now.
        """
        with self._lock:
            self._db.execute(_END, (report, time.time(), gone, entry))
            self._open.pop(entry, None)

    def stored_report(self, key: Key) -> str | None:
        """The report of a command that has ended, else None."""
        with self._lock:
            row = self._db.execute(_SEEN, key).fetchone()
        return row[1] if row else None

    def newest_generation(self, host_id: str, instance_id: str) -> int:
        """The last generation that this host has worked on for an instance; 0 for none that it remembers."""
        with self._lock:
            return self._newest.get(host_id, {}).get(instance_id, 0)

    def generations(self, host_id: str) -> dict[str, int]:
        """Instance id → newest generation, for all instances of a host."""
        with self._lock:
            return dict(self._newest.get(host_id, {}))

    def unfinished(self, host_id: str) -> list[str]:
        """Ids of operations that were begun here and not ended, and that no newer generation has taken over."""
        with self._lock:
            newest = self._newest.get(host_id, {})
            found = {
                begun.operation_id
                for begun in self._open.values()
                if begun.host_id == host_id and begun.generation >= newest.get(begun.instance_id, 0)
            }
        return sorted(found)

    def keep(self, wires: Iterable[str]) -> None:
        """Store reports as unsent that are not the end of a journaled command."""
        now = time.time()
        with self._transaction() as db:
            db.executemany(_KEEP, [(wire, now) for wire in wires])

    def unsent(self, limit: int) -> list[tuple[int, str]]:
        """The oldest unsent reports: entry and wire text."""
        with self._lock:
            return self._db.execute(_UNSENT, (limit,)).fetchall()

    def sent(self, entries: Iterable[int]) -> None:
        """These reports were delivered to the broker."""
        with self._transaction() as db:
            db.executemany(_SENT, [(entry,) for entry in entries])

    def prune(self, now: float | None = None) -> None:
        """Forget what is older than KEEP_S seconds, and the oldest unsent reports beyond MAX_UNSENT.

        The newest entry of an instance that is still here stays for ever: it holds the generation.
        """
        before = (time.time() if now is None else now) - KEEP_S
        with self._transaction() as db:
            gone: list[int] = []
            for entry, host_id, instance_id, generation, is_gone in db.execute(_OLD, (before,)).fetchall():
                newest = self._newest.get(host_id, {})
                if generation is None or is_gone or generation < newest.get(instance_id, 0):
                    gone.append(entry)
                    self._open.pop(entry, None)
                    if is_gone and newest.get(instance_id) == generation:
                        del newest[instance_id]
            db.executemany("DELETE FROM entry WHERE id = ?", [(entry,) for entry in gone])
            db.execute(
                "UPDATE entry SET unsent = 0 WHERE unsent AND id <= (SELECT max(id) FROM entry WHERE unsent) - ?",
                (MAX_UNSENT,),
            )

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=5.0)
    # NORMAL: no fsync per command. What a power cut takes is done again.
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.executescript(_SCHEMA)
    db.execute("PRAGMA user_version = 1")
    return db
