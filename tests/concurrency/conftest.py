"""Concurrency is tested on PostgreSQL: SQLite has one writer at a time."""

import threading
from typing import TYPE_CHECKING

import pytest

from tests.support.postgres import Deadlocks

if TYPE_CHECKING:
    from tests.support.postgres import PrivatePostgres


@pytest.fixture(autouse=True)
def _on_postgres(postgres: "PrivatePostgres") -> None:
    """Skips elsewhere."""


@pytest.fixture(autouse=True)
def _own_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread stands for a process here, so each scheduler has a table of hosts of its own."""
    from apps.scheduler import table

    local = threading.local()

    def get(*, fresh: bool = False) -> table.HostTable:
        if fresh or not hasattr(local, "cache"):
            local.cache = table._Cache()
        made: table.HostTable = table._Cache.get(local.cache, fresh=fresh)
        return made

    monkeypatch.setattr(table.cache, "get", get)
    return


@pytest.fixture
def deadlocks(postgres: "PrivatePostgres") -> Deadlocks:
    """How many deadlocks the server has ended since the test began."""
    return Deadlocks(postgres)
