"""The desk of one image worker: a few threads, each with one piece of work at a time, woken by messages.

A message only says that there is something to do; what, is read from the database. So one that comes twice is harmless, and
one that is lost is made up for by whoever looks next.
"""

import itertools
import logging
import threading
import uuid
from collections.abc import Iterable

from django.conf import settings
from django.db import Error, connection

from apps.images.names import CONVERT, IMPORT
from apps.images.services import convert, imports, work
from apps.operations.services import workers

log = logging.getLogger(__name__)
JOBS = {IMPORT: imports.carry_out, CONVERT: convert.carry_out}


class Desk:
    """Starts its threads with the first message."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._news = self._busy = 0
        self._stopping = threading.Event()
        # Project → when it had its last turn: whoever asks for many waits behind those who ask for one.
        self._served: dict[uuid.UUID | None, int] = {}
        self._count = itertools.count(1)

    def wake(self, messages: Iterable[str]) -> None:
        """There may be something to do."""
        ids = [found for found in map(work.operation_in, messages) if found is not None]
        with self._changed:
            if not self._threads and not self._stopping.is_set():
                self._threads = [
                    threading.Thread(target=self._run, name=f"images-{number}", daemon=True) for number in range(settings.ENV.image_workers)
                ]
                for thread in self._threads:
                    thread.start()
            self._news += 1
            all_busy = self._busy >= len(self._threads)
            self._changed.notify_all()
        if all_busy:
            self._remember(ids)

    def stop(self, timeout_s: float) -> None:
        """End what is being done; it is put back for other workers."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(timeout_s)

    def _remember(self, ids: list[uuid.UUID]) -> None:
        try:
            workers.known(ids)
        except Error as error:
            log.warning("database: %s", error)
            connection.close()

    def _run(self) -> None:
        seen = 0
        while not self._stopping.is_set():
            seen = self._next(seen)
            try:
                self._work_through()
            finally:
                with self._changed:
                    self._busy -= 1
                connection.close()

    def _next(self, seen: int) -> int:
        with self._changed:
            self._changed.wait_for(lambda: self._news > seen or self._stopping.is_set())
            self._busy += 1
            return self._news

    def _work_through(self) -> None:
        try:
            while not self._stopping.is_set():
                turn = work.run_next(JOBS, stop=self._stopping.is_set, rank=lambda project_id: self._served.get(project_id, 0))
                if turn is None:
                    return
                self._served[turn.project_id] = next(self._count)
        except Error as error:
            log.warning("database: %s; the sweep sends again what waits", error)
        except Exception:
            log.exception("an image worker stumbled; the sweep sends again what waits")
