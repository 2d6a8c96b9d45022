"""A bus that keeps what is sent, so that a test decides what arrives, when, how often, and in which order."""

import threading
from collections.abc import Callable

from apps.common.bus import Message


class FakeBus:
    """Stands in for `apps.common.bus._deliver`. `down`: the broker refuses everything, as when it is not running."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Message] = []
        self.log: list[Message] = []
        self.down = False

    def deliver(self, batch: list[Message]) -> None:
        if self.down:
            raise ConnectionError("the broker is down")
        with self._lock:
            self._waiting += batch
            self.log += batch

    def take(self, wanted: Callable[[Message], bool] = lambda message: True) -> list[Message]:
        """The waiting messages, oldest first; they are gone from the bus then."""
        with self._lock:
            taken = [message for message in self._waiting if wanted(message)]
            self._waiting = [message for message in self._waiting if not wanted(message)]
        return taken

    def take_queue(self, *queues: str) -> list[Message]:
        return self.take(lambda message: message.queue in queues)

    def put_back(self, messages: list[Message]) -> None:
        """They will arrive later, or once more."""
        with self._lock:
            self._waiting += messages

    def wipe(self) -> None:
        """The broker lost all it had."""
        self.take()

    @property
    def waiting(self) -> list[Message]:
        """Without the hints that hosts are to be told of networks, which carry nothing."""
        with self._lock:
            return [message for message in self._waiting if message.items]
