"""Ranges for the pairs between routers and the world.

Each router's pair has one of 16,192 ranges of four addresses that nobody else in the namespace of its outer end has, and
an IPv6 range made from it by counting, so that it is nobody else's either.
"""

import fcntl
import hashlib
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address
from pathlib import Path

# Installations on one machine choose one at a time.
LOCK = Path("/run/lock/cloudsite-transit")
# 169.254.1.0 to 169.254.254.255 in ranges of four, 169.254.169.0/24 (clouds' own services) left out.
LINK_LOCAL = IPv4Network("169.254.0.0/16")
_FIRST, _RANGES = int(IPv4Address("169.254.1.0")), 254 * 64
_TAKEN_BY_CLOUDS = IPv4Network("169.254.169.0/24")
_IPV6_BASE = int(IPv6Address("fdc5:10d5:17e0::"))

_mutex = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class End:
    """Both addresses of one family. `range`: all of the pair."""

    version: int
    outer: str
    inner: str
    prefix_length: int
    range: str

    @property
    def outer_interface(self) -> str:
        return f"{self.outer}/{self.prefix_length}"

    @property
    def inner_interface(self) -> str:
        return f"{self.inner}/{self.prefix_length}"


@dataclass(frozen=True)
class Transit:
    """One pair's range."""

    network: IPv4Network

    @classmethod
    def of(cls, interface: str) -> "Transit | None":
        """The transit that an address of the outer end belongs to."""
        if ":" in interface:
            return None
        parsed = IPv4Interface(interface)
        if parsed.network.prefixlen != 30 or parsed.ip not in LINK_LOCAL or parsed.ip != parsed.network[1]:
            return None
        return cls(parsed.network)

    def ends(self, *, ipv6: bool) -> list[End]:
        outer, inner = self.network[1], self.network[2]
        four = End(version=4, outer=str(outer), inner=str(inner), prefix_length=30, range=str(self.network))
        if not ipv6:
            return [four]
        first, outer6, inner6 = (str(IPv6Address(_IPV6_BASE + int(each))) for each in (self.network[0], outer, inner))
        return [four, End(version=6, outer=outer6, inner=inner6, prefix_length=126, range=f"{first}/126")]


def candidates(router_id: str) -> Iterator[Transit]:
    """Every range, beginning at a place that the router's id gives."""
    start = int.from_bytes(hashlib.blake2b(router_id.encode(), digest_size=4).digest(), "big")
    for step in range(_RANGES):
        candidate = IPv4Network((_FIRST + (start + step) % _RANGES * 4, 30))
        if not candidate.subnet_of(_TAKEN_BY_CLOUDS):
            yield Transit(candidate)


def choose(router_id: str, taken: Iterable[str]) -> Transit | None:
    """The first range in which no address of `taken` (with prefix length) lies; None: all are taken."""
    used = {IPv4Network((int(IPv4Interface(each).ip) & ~3, 30)) for each in taken if ":" not in each}
    return next((each for each in candidates(router_id) if each.network not in used), None)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """While ranges of the host's own namespace are chosen and taken."""
    with _mutex, LOCK.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
