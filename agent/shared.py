"""Work that many wait for and that is done once, in a thread of its own: whoever waits may leave, and with the last it ends."""

import threading
from collections.abc import Callable, Hashable
from contextvars import copy_context
from functools import partial

from agent.drivers.base import superseded

# Who waits asks this often whether it still should.
POLL_S = 0.1

Watch = Callable[[], object]


class NobodyWaits(Exception):
    """Raised by the work's `watch`: take back what was begun."""


class _Work:
    def __init__(self) -> None:
        self.waiting = 0
        self.ended = threading.Event()
        self.error: Exception | None = None


class SharedWork:
    """By key, at most one piece of work at a time; any thread may wait."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._under_way: dict[Hashable, _Work] = {}

    def wait(self, key: Hashable, do: Callable[[Watch], object], stopped: Callable[[], bool]) -> None:
        """Wait for the end of what is under way for `key`, or else of `do`, which calls its argument all the time.

        It may have been another's, and may have failed: look whether what it should have made is there. Raises what `do` raised if
        it was begun by this very call; DriverError `command.superseded` once `stopped` says so.
        """
        if stopped():
            raise superseded()
        work, is_mine = self._join(key, do)
        try:
            while not work.ended.wait(POLL_S):
                if stopped():
                    raise superseded()
        finally:
            with self._mutex:
                work.waiting -= 1
        if is_mine and work.error is not None:
            raise work.error

    def __len__(self) -> int:
        return len(self._under_way)

    def _join(self, key: Hashable, do: Callable[[Watch], object]) -> tuple[_Work, bool]:
        with self._mutex:
            work = self._under_way.get(key)
            is_mine = work is None
            if work is None:
                work = _Work()
                # With the context of who began it, so that what it logs says for whom.
                run = partial(copy_context().run, self._do, key, work, do)
                threading.Thread(target=run, name="shared-work", daemon=True).start()
                self._under_way[key] = work
            work.waiting += 1
            return work, is_mine

    def _do(self, key: Hashable, work: _Work, do: Callable[[Watch], object]) -> None:
        try:
            do(partial(self._watch, work))
        except NobodyWaits:
            pass
        except Exception as error:
            work.error = error
        finally:
            with self._mutex:
                del self._under_way[key]
            work.ended.set()

    def _watch(self, work: _Work) -> None:
        with self._mutex:
            if not work.waiting:
                raise NobodyWaits
