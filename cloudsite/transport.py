"""Kombu's Redis transport with one client object per pool.

Kombu makes a new `redis.Redis` for every command that it sends; with redis-py 8 that takes longer than the command itself.
The agent does the same and more (agent/transport.py); the two sides share no code but contracts.
"""

from typing import Any

import kombu.transport
from kombu.transport import redis


class Channel(redis.Channel):
    """Shares one client; it only borrows connections from its pool, so threads may share it too."""

    _shared: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:
            return super()._create_client(asynchronous=True)
        if self._shared is None or self._shared.connection_pool is not self.pool:
            self._shared = super()._create_client()
        return self._shared


class Transport(redis.Transport):
    """What `redis:` and `rediss:` URLs mean in this process, once `install` was called."""

    Channel = Channel


def install() -> None:
    """Have kombu use this transport for Redis URLs."""
    for scheme in ("redis", "rediss"):
        kombu.transport.TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
        kombu.transport._transport_cache.pop(scheme, None)
