"""The timeline of one command: what was done on this host, when, and how long it took."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from contracts.report import Event

# A command has some ten steps; the bound keeps a driver that loops from filling the journal.
MAX_EVENTS = 200
MAX_DETAIL_CHARS = 500


class Trace:
    """Collects events; one thread writes, others may read at any time (progress reports)."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._events: list[Event] = []
        self.percent: int | None = None

    @contextmanager
    def step(self, name: str, detail: str = "") -> Iterator[None]:
        """Time what happens inside; the event is recorded when it ends, also when it fails."""
        began = time.perf_counter()
        try:
            yield
        except BaseException as error:
            self.add(name, f"failed: {error}" if not detail else f"{detail}: failed: {error}", _ms_since(began))
            raise
        self.add(name, detail, _ms_since(began))

    def add(self, name: str, detail: str = "", took_ms: float | None = None) -> None:
        """Record an event that ends now. `took_ms` in milliseconds."""
        event = Event(name=name, at=time.time(), detail=detail[:MAX_DETAIL_CHARS], took_ms=took_ms)
        with self._mutex:
            if len(self._events) < MAX_EVENTS:
                self._events.append(event)

    def progress(self, done: float, total: float) -> None:
        """So much of the whole command is done; told in progress reports."""
        self.percent = min(100, int(100 * done / total)) if total > 0 else None

    def events(self) -> list[Event]:
        """A copy of what was recorded so far."""
        with self._mutex:
            return list(self._events)


def _ms_since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 3)
