"""Group work: what comes in while a batch is being worked on becomes the next batch.

Under load a transaction then carries many messages and its cost is shared; on an idle system a batch is one message and
nobody waits for company (unless `company_s` says so). Messages are hints (the sweep brings back what is lost), so whoever brings one need not wait for
the end of its batch.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from django.db import InterfaceError, OperationalError, connection

log = logging.getLogger(__name__)
# PostgreSQL chose this transaction as the one to end: deadlock, serialization failure. At once again is right.
_ROLLED_BACK = ("40P01", "40001")
T = TypeVar("T")


class Batcher(Generic[T]):
    """Calls `work(items)` in a thread of its own, one batch of at most `most` items at a time, in order of arrival.

    Once `backlog` items wait, `put` blocks, so that the rest waits in the broker where it is seen. For work that costs little
    more for many items than for one, the first item of a batch waits `company_s` for others, and batches begin `apart_s` apart.
    """

    def __init__(
        self, work: Callable[[list[T]], None], *, most: int = 100, backlog: int = 2000, company_s: float = 0, apart_s: float = 0
    ) -> None:
        self._work, self._most, self._backlog = work, most, backlog
        self._company_s, self._apart_s, self._begun = company_s, apart_s, -apart_s
        self._waiting: deque[T] = deque()
        self._changed = threading.Condition()
        self._busy = False
        self._thread: threading.Thread | None = None

    def put(self, items: Iterable[T]) -> None:
        """Have these worked on soon."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < self._backlog)
            self._waiting.extend(items)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="batcher", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def drain(self, timeout_s: float) -> bool:
        """Wait until all that was put is worked on; False if that takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._busy, timeout_s)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting))
            time.sleep(max(self._company_s, self._begun + self._apart_s - time.monotonic(), 0))
            self._begun = time.monotonic()
            with self._changed:
                batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
                self._busy = True
            try:
                self._try(batch)
            finally:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()

    def _try(self, batch: list[T], tries_left: int = 3) -> None:
        try:
            self._work(batch)
        except (OperationalError, InterfaceError) as error:
            if _sqlstate(error) in _ROLLED_BACK and tries_left:
                self._try(batch, tries_left - 1)
                return
            log.warning("database: %s; the sweep will bring %d item(s) again", error, len(batch))
            connection.close()
        except Exception:
            if len(batch) == 1:
                log.exception("this item cannot be worked on: %.500s", batch[0])
                return
            for item in batch:  # one of them spoils the batch: each on its own, so that only the guilty one fails
                self._try([item])


def _sqlstate(error: Exception) -> str:
    return str(getattr(error.__cause__, "sqlstate", None) or "")
