"""Ends the process when Celery has silently stopped reading its queues, so that the supervisor starts a new one.

It has happened after broker trouble in many releases (celery/celery#8030, #8091, #10205), with threads most of all. The
test is what matters to users: messages lie in our queue, we have threads to spare, and yet nothing was taken for long.
"""

import os
import time
from collections.abc import Callable
from itertools import islice
from typing import Final

import structlog

from agent.broker import BrokerDown

log = structlog.get_logger(__name__)

CHECK_EVERY_S: Final = 5.0
STUCK_S: Final = 20.0
# Queues looked at per check: a process of a thousand simulated hosts takes turns.
SAMPLE: Final = 32
EXIT_STUCK: Final = 70


class Watchdog:
    """`waiting(queue)`: messages in a queue, raises BrokerDown. `busy()`: no thread is free to take one."""

    def __init__(
        self,
        queues: list[str],
        waiting: Callable[[str], int],
        busy: Callable[[], bool],
        *,
        stuck_s: float = STUCK_S,
        give_up: Callable[[], object] = lambda: os._exit(EXIT_STUCK),
    ) -> None:
        self._queues = queues
        self._waiting = waiting
        self._busy = busy
        self._stuck_s = stuck_s
        self._give_up = give_up
        self._next = 0
        self._taken = 0
        self._seen_taken = 0
        self._stuck_since: dict[str, float] = {}
        self._stopped = False

    def stop(self) -> None:
        """Give up no more: the worker has been told to take nothing."""
        self._stopped = True

    def took(self) -> None:
        """Called for every message that the worker took."""
        self._taken += 1

    def check(self) -> None:
        """Look once. Calls `give_up` when a queue was left alone for `stuck_s` seconds though we were idle."""
        now = time.monotonic()
        if self._taken != self._seen_taken or self._busy():
            self._seen_taken = self._taken
            self._stuck_since.clear()
            return
        try:
            for queue in self._sample():
                if self._waiting(queue):
                    self._stuck_since.setdefault(queue, now)
                else:
                    self._stuck_since.pop(queue, None)
        except BrokerDown:
            self._stuck_since.clear()  # the worker cannot read it either
            return
        if not self._stopped and any(now - since > self._stuck_s for since in self._stuck_since.values()):
            log.critical("worker.stuck", queues=sorted(self._stuck_since), seconds=self._stuck_s)
            self._give_up()

    def _sample(self) -> list[str]:
        # Those that looked stuck are looked at again each time.
        chosen = set(self._stuck_since)
        start, self._next = self._next, (self._next + SAMPLE) % max(1, len(self._queues))
        chosen.update(islice(self._queues[start:] + self._queues[:start], SAMPLE))
        return sorted(chosen)
