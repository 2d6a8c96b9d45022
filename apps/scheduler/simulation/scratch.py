"""A database of its own for a simulation, in the place of the cloud's for as long as it runs, and gone with it.

In PostgreSQL a database on the same server, `<name of the cloud's>_simulate_…`; otherwise a file. One that was left behind (by a
kill) is deleted when the next one is made: nobody is connected to it, or nobody holds the lock of its file.
"""

import copy
import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.db.utils import ProgrammingError, load_backend

from apps.common.errors import Conflict, Forbidden
from apps.scheduler.feed import feed

KINDS = ("auto", "sqlite")
# What the scheduler's table is read from, and what claims write; all others would take seconds to make.
_TABLES = (("hosts", ""), ("placement", ""), ("operations", "Operation"), ("network", "HostNetwork"))
_LOCK = 0x51  # names a lock that is on no row
_LONGEST = 63
# What is written is thrown away: nobody waits for a disk.
_HURRIED = "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA foreign_keys=ON"


@contextmanager
def database(kind: str = "auto") -> Iterator[None]:
    """Everything that this thread reads and writes in here is in the scratch database, which has the tables of hosts and Placement, and no rows.

    Not for processes that serve anybody: the scheduler's table of hosts is one per process. Raises Forbidden, Conflict.
    """
    home = connections[DEFAULT_DB_ALIAS]
    on_server = home.vendor == "postgresql" and kind == "auto"
    with _on_server(home) if on_server else _in_file() as scratch:
        connections[DEFAULT_DB_ALIAS] = scratch
        feed.forget()
        try:
            _make_tables(scratch)
            yield
        finally:
            feed.forget()
            connections[DEFAULT_DB_ALIAS] = home
            scratch.close()


def _make_tables(scratch: Any) -> None:
    """As the models say, constraints included: the same as migrations make, in a twentieth of the time (a test compares)."""
    with scratch.schema_editor() as editor:
        for context, name in _TABLES:
            for model in [apps.get_model(context, name)] if name else apps.get_app_config(context).get_models():
                editor.create_model(model)


@contextmanager
def _on_server(home: Any) -> Iterator[Any]:
    prefix = f"{str(home.settings_dict['NAME'])[: _LONGEST - 30]}_simulate_"
    name = f"{prefix}{os.getpid()}_{secrets.token_hex(4)}"
    keeper = _connection(home.settings_dict)
    scratch = _connection(home.settings_dict, NAME=name, hurried=True)
    try:
        with keeper.cursor() as cursor:
            # Until we are connected to ours, nobody else may think that it was left behind.
            cursor.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
            _drop_left_behind(cursor, prefix)
            _create(cursor, name)
            _prove(scratch, name)
        keeper.close()
        yield scratch
    finally:
        scratch.close()
        keeper.close()
        _drop(home, name)


def _create(cursor: Any, name: str) -> None:
    try:
        cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
    except ProgrammingError as error:
        message = f"The simulation needs a database of its own: {str(error).strip()} (ALTER ROLE … CREATEDB allows it). Or give --scratch sqlite."
        raise Forbidden("simulation.database", message) from error


def _drop_left_behind(cursor: Any, prefix: str) -> None:
    cursor.execute("SELECT datname FROM pg_database d WHERE NOT EXISTS (SELECT 1 FROM pg_stat_activity a WHERE a.datname = d.datname)")
    left = [each for (each,) in cursor.fetchall() if re.fullmatch(re.escape(prefix) + r"\d+_[0-9a-f]{8}", each)]
    for each in left:
        try:
            cursor.execute(f'DROP DATABASE IF EXISTS "{each}"')
        except DatabaseError:
            continue  # somebody looks into it, or it is not ours: no reason not to go on


def _drop(home: Any, name: str) -> None:
    keeper = _connection(home.settings_dict)
    try:
        with keeper.cursor() as cursor:
            cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    finally:
        keeper.close()


def _prove(scratch: Any, name: str) -> None:
    """Whatever stands between us and the server (a pool, a proxy): claims of a simulation never come to the cloud's own tables."""
    with scratch.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        if (there := cursor.fetchone()[0]) != name:
            raise Conflict("simulation.database", f"Asked for database {name}, the server gave {there}: nothing was simulated.")


@contextmanager
def _in_file() -> Iterator[Any]:
    """Claimed by a lock on the file itself, which ends with the process."""
    folder = settings.ENV.var
    with _alone(folder):
        for path in folder.glob("simulate-*.sqlite3"):
            _remove_if_left_behind(path)
        path = folder / f"simulate-{os.getpid()}-{secrets.token_hex(4)}.sqlite3"
        claimed = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(claimed, fcntl.LOCK_EX)
    scratch = _connection({
        "ENGINE": "django.db.backends.sqlite3", "NAME": str(path), "CONN_MAX_AGE": None,
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "init_command": _HURRIED},
    })
    try:
        yield scratch
    finally:
        scratch.close()
        _remove(path)
        os.close(claimed)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / "simulate.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remove_if_left_behind(path: Path) -> None:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        _remove(path)


def _remove(path: Path) -> None:
    for ending in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


def _connection(given: dict[str, Any], *, hurried: bool = False, **changed: Any) -> Any:
    """One like this, under the name of the usual one; out of no pool, which would know only the cloud's database."""
    made = connections.configure_settings({DEFAULT_DB_ALIAS: {**copy.deepcopy(given), **changed}})[DEFAULT_DB_ALIAS]
    made["OPTIONS"].pop("pool", None)
    if hurried:
        made["OPTIONS"]["options"] = f"{made['OPTIONS'].get('options', '')} -c synchronous_commit=off".strip()
    return load_backend(made["ENGINE"]).DatabaseWrapper(made, DEFAULT_DB_ALIAS)
