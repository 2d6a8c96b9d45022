"""Locks by key: one per instance, made when wanted and forgotten when nobody holds or waits for it."""

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager


class _Entry:
    __slots__ = ("lock", "wanted_by")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.wanted_by = 0


class KeyedLocks:
    """Mutual exclusion per key, for any number of keys, in the memory of those in use."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._entries: dict[Hashable, _Entry] = {}

    @contextmanager
    def hold(self, key: Hashable) -> Iterator[None]:
        """Wait until nobody else holds `key`, then hold it."""
        with self._mutex:
            entry = self._entries.setdefault(key, _Entry())
            entry.wanted_by += 1
        try:
            with entry.lock:
                yield
        finally:
            with self._mutex:
                entry.wanted_by -= 1
                if not entry.wanted_by:
                    del self._entries[key]

    def __len__(self) -> int:
        return len(self._entries)
