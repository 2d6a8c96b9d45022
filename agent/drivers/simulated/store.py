"""Where simulated domains outlive their agent: one SQLite file for all simulated hosts of a process."""

import sqlite3
import threading
from pathlib import Path

import msgspec

from contracts.compute.v1 import PowerState

# A deleted machine leaves its row without `machine`, for the count.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS machine (
    host_id TEXT NOT NULL, instance_id TEXT NOT NULL, machine BLOB, built INTEGER NOT NULL,
    PRIMARY KEY (host_id, instance_id)
) WITHOUT ROWID;
"""
_CREATE = """INSERT INTO machine VALUES (?, ?, ?, 1)
    ON CONFLICT DO UPDATE SET machine = excluded.machine, built = built + 1"""
_CHANGE = "UPDATE machine SET machine = ? WHERE host_id = ? AND instance_id = ?"
_ALL = "SELECT machine FROM machine WHERE host_id = ? AND machine NOTNULL"
_BUILT = "SELECT built FROM machine WHERE host_id = ? AND instance_id = ?"


class Machine(msgspec.Struct, array_like=True, kw_only=True):
    """A simulated domain. `addresses` with prefix length, such as `10.64.0.7/20`; `boots` counts its starts."""

    instance_id: str
    name: str
    vcpus: int
    memory_mb: int
    addresses: list[str]
    power_state: PowerState = PowerState.RUNNING
    boots: int = 1


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Machine)


class Store:
    """Keeps machines, and how often each was built from nothing, deleted ones included; any thread may call."""

    def __init__(self, path: Path | str = ":memory:") -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # A killed agent must find its machines again; a power cut takes simulated machines with it anyway.
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.executescript(_SCHEMA)

    def machines(self, host_id: str) -> dict[str, Machine]:
        """All machines of a host by instance id."""
        with self._lock:
            rows = self._db.execute(_ALL, (host_id,)).fetchall()
        machines = (_decoder.decode(row[0]) for row in rows)
        return {machine.instance_id: machine for machine in machines}

    def create(self, host_id: str, machine: Machine) -> None:
        """A machine was made from nothing."""
        with self._lock:
            self._db.execute(_CREATE, (host_id, machine.instance_id, _encoder.encode(machine)))

    def change(self, host_id: str, machine: Machine) -> None:
        with self._lock:
            self._db.execute(_CHANGE, (_encoder.encode(machine), host_id, machine.instance_id))

    def remove(self, host_id: str, instance_id: str) -> None:
        with self._lock:
            self._db.execute(_CHANGE, (None, host_id, instance_id))

    def built(self, host_id: str, instance_id: str) -> int:
        """How many times the instance was made from nothing on this host."""
        with self._lock:
            row = self._db.execute(_BUILT, (host_id, instance_id)).fetchone()
        return row[0] if row else 0

    def close(self) -> None:
        with self._lock:
            self._db.close()
