"""Concurrency is tested on PostgreSQL: SQLite has one writer at a time."""

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.postgres import PrivatePostgres


@pytest.fixture(autouse=True)
def _on_postgres(postgres: "PrivatePostgres") -> None:
    """Skips elsewhere."""


@pytest.fixture(autouse=True)
def _own_tables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
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
def deadlocks(postgres: "PrivatePostgres") -> Iterator["Deadlocks"]:
    """How many deadlocks the server has ended since the test began."""
    return Deadlocks(postgres)


class Deadlocks:
    def __init__(self, server: "PrivatePostgres") -> None:
        self._server = server
        self._before = self._count()

    def _count(self) -> int:
        return self._server.log().count("deadlock detected")

    def __call__(self) -> int:
        return self._count() - self._before

    def details(self) -> str:
        """The last ones, as the server tells them."""
        return self._server.log()[-6000:]
