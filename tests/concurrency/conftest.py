"""Concurrency is tested on PostgreSQL: SQLite has one writer at a time."""

import threading
from typing import TYPE_CHECKING, Any

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
    from apps.scheduler.feed import Feed
    from apps.scheduler.services import choose

    class OfThread(threading.local):
        def __init__(self) -> None:
            self.own = Feed()

        def __getattr__(self, name: str) -> Any:
            return getattr(self.own, name)

    monkeypatch.setattr(choose, "feed", OfThread())


@pytest.fixture
def deadlocks(postgres: "PrivatePostgres") -> Deadlocks:
    """How many deadlocks the server has ended since the test began."""
    return Deadlocks(postgres)
