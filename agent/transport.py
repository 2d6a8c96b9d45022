"""Kombu's Redis transport, made cheap for a process that reads many queues and handles many small messages.

Kombu makes a new `redis.Redis` object for every publish, acknowledgement and bookkeeping entry; with redis-py 8 that
takes longer than the command itself (0.1 ms, three times per message). And it writes out the names of all queues anew
for every BRPOP: some 2 ms with a thousand. What is sent to Redis stays the same, byte for byte.
"""

from collections.abc import Iterable
from time import monotonic
from typing import Any

import kombu.transport
from kombu.transport import redis


class RoundRobin:
    """Whose turn it is among the queues: the one after the last that had something (kombu's `cycle` interface)."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._places: dict[str, int] = {}
        self._packed: list[bytes] = []
        self._first = 0

    def update(self, names: Iterable[str]) -> None:
        self._names = list(names)
        self._packed = []  # packed when first wanted: kombu adds one queue at a time
        self._first = 0

    def consume(self, n: int) -> list[str]:
        return (self._names[self._first :] + self._names[: self._first])[:n]

    def rotate(self, last_used: str) -> None:
        self._pack()
        self._first = (self._places.get(last_used, -1) + 1) % max(1, len(self._names))

    def brpop(self, timeout_s: float) -> bytes:
        """The BRPOP command for all queues, as it goes over the wire."""
        self._pack()
        wait = str(timeout_s).encode()
        head = b"*%d\r\n$5\r\nBRPOP\r\n" % (len(self._names) + 2)
        keys = b"".join(self._packed[self._first :] + self._packed[: self._first])
        return head + keys + b"$%d\r\n%b\r\n" % (len(wait), wait)

    def _pack(self) -> None:
        if len(self._packed) != len(self._names):
            encoded = [name.encode() for name in self._names]
            self._packed = [b"$%d\r\n%b\r\n" % (len(name), name) for name in encoded]
            self._places = {name: place for place, name in enumerate(self._names)}


class Channel(redis.Channel):
    """Shares one client per pool, and sends prepared BRPOP commands."""

    queue_order_strategy = RoundRobin
    _shared: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:
            return super()._create_client(asynchronous=True)
        # Safe between threads: the object only borrows connections from its pool.
        if self._shared is None or self._shared.connection_pool is not self.pool:
            self._shared = super()._create_client()
        return self._shared

    @property
    def active_queues(self) -> list[str]:
        queues: list[str] = super().active_queues if self.active_fanout_queues else self._active_queues
        return queues

    def _brpop_start(self, timeout: float | None = None) -> None:
        cycle = self._queue_cycle
        if self.priority_steps != [0] or self.global_keyprefix or not isinstance(cycle, RoundRobin):
            super()._brpop_start(timeout)
        elif self.active_queues:
            self._in_poll = self.client.connection
            self._brpop_sent_at = monotonic()
            command = cycle.brpop((self.brpop_timeout if timeout is None else timeout) or 0)
            self.client.connection.send_packed_command([command])


class Transport(redis.Transport):
    """What `redis:` and `rediss:` URLs mean in this process, once `install` was called."""

    Channel = Channel


def install() -> None:
    """Have kombu use this transport for Redis URLs."""
    for scheme in ("redis", "rediss"):
        kombu.transport.TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
        kombu.transport._transport_cache.pop(scheme, None)
