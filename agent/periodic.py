"""A thread that does one thing every so often, and survives when it fails."""

import threading
import time
from collections.abc import Callable

import structlog

log = structlog.get_logger(__name__)


class Periodic:
    """Calls `work` every `interval_s` seconds in a daemon thread, at once after `wake`, until `stop`."""

    def __init__(self, name: str, interval_s: float, work: Callable[[], object]) -> None:
        self._interval_s = interval_s
        self._work = work
        self._stopping = False
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Do it now instead of at the next tick."""
        self._woken.set()

    def stop(self, timeout_s: float = 2.0) -> None:
        """End the thread; waits for a call that is under way at most `timeout_s` seconds."""
        self._stopping = True
        self._woken.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)

    def _loop(self) -> None:
        while not self._stopping:
            began = time.monotonic()
            self._woken.clear()
            try:
                self._work()
            except Exception:
                log.exception("periodic.failed", thread=self._thread.name)
            self._woken.wait(max(0.0, self._interval_s - (time.monotonic() - began)))
