"""Which address of this host other hosts send VXLAN to."""

import socket
from urllib.parse import urlsplit

from agent.config import Config

# Addresses for documentation: nothing is sent, the kernel is only asked by which way it would go.
_FAR_AWAY = (("192.0.2.1", socket.AF_INET), ("2001:db8::1", socket.AF_INET6))


def tunnel_address(config: Config) -> str:
    """As configured, or the one that reaches the broker, or that of the default route; empty if there is none at all."""
    if config.tunnel_address:
        return config.tunnel_address
    places = [*_addresses(urlsplit(config.broker_url).hostname or ""), *_FAR_AWAY]
    return next((own for address, family in places if (own := _source(address, family))), "")


def _addresses(host: str) -> list[tuple[str, int]]:
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM) if host else []
    except OSError:
        return []
    return [(str(where[0]), family) for family, _, _, _, where in found]


def _source(address: str, family: int) -> str:
    """The source address with which the kernel would send there; empty if it would not, or only to itself."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))
            own = str(probe.getsockname()[0])
    except OSError:
        return ""
    return "" if own.startswith(("127.", "fe80:")) or own in ("::1", address) else own
