"""Address ranges of subnets and what belongs to them, checked: pure arithmetic, no database.

What comes in is text from anywhere; what goes out is in the one form in which addresses are stored.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from hashlib import sha256
from itertools import pairwise
from typing import Any
from uuid import UUID

from apps.common.errors import Invalid
from apps.network.states import Ipv6Mode

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Range = ipaddress.IPv4Network | ipaddress.IPv6Network
Pools = list[list[str]]

_PREFIXES = {4: (8, 30), 6: (64, 126)}
# What no network may have: this host, loopback, link-local (metadata is there), multicast and reserved; and of IPv6 also what
# stands for IPv4 addresses. Ranges that are given to somebody in the Internet are allowed: operators know which are theirs.
_NEVER: dict[int, tuple[tuple[Range, str], ...]] = {
    4: tuple(
        (ipaddress.IPv4Network(cidr), what)
        for cidr, what in (
            ("0.0.0.0/8", "`this network`"), ("127.0.0.0/8", "loopback"), ("169.254.0.0/16", "link-local"),
            ("224.0.0.0/4", "multicast"), ("240.0.0.0/4", "reserved"),
        )
    ),
    6: tuple(
        (ipaddress.IPv6Network(cidr), what)
        for cidr, what in (
            ("::/8", "reserved"), ("fe80::/10", "link-local"), ("ff00::/8", "multicast"), ("fd00:ec2::/64", "the metadata service's"),
        )
    ),
}
# Offsets are stored in 63 bits, and a pool counts its addresses in as many.
MOST_ADDRESSES = 2**62
_MOST_POOLS, _MOST_DNS, _MOST_ROUTES = 16, 8, 32


def parse_cidr(text: str, *, field: str = "cidr") -> Range:
    """A range that a subnet can have. Raises Invalid `subnet.cidr`."""
    try:
        found = ipaddress.ip_network(str(text))
    except ValueError as error:
        raise Invalid("subnet.cidr", f"{field}: expected a network such as 10.64.0.0/20 or fd12:3456::/64 ({error}).", field=field) from None
    least, most = _PREFIXES[found.version]
    if not least <= found.prefixlen <= most:
        raise Invalid(
            "subnet.cidr", f"{field}: expected a prefix length from {least} to {most} for IPv{found.version}, got {found.prefixlen}.",
            field=field,
        )
    for never, what in _NEVER[found.version]:
        if found.overlaps(never):
            raise Invalid("subnet.cidr", f"{field}: {found} reaches into {never}, which is {what}; guests cannot use it.", field=field)
    return found


def parse_mode(family: int, mode: str, cidr: Range) -> str:
    """How guests get their IPv6 addresses; DHCPv6 unless said otherwise. Raises Invalid."""
    if family == 4:
        if mode:
            raise Invalid("subnet.family", f"ipv6_mode: {cidr} is IPv4, for which there is none.", field="ipv6_mode")
        return ""
    if mode and mode not in (Ipv6Mode.DHCPV6, Ipv6Mode.SLAAC):
        raise Invalid("subnet.ipv6_mode", "ipv6_mode: expected dhcpv6 or slaac.", field="ipv6_mode")
    if mode == Ipv6Mode.SLAAC and cidr.prefixlen != 64:
        raise Invalid("subnet.ipv6_mode", f"ipv6_mode: slaac needs a prefix length of 64, {cidr} has {cidr.prefixlen}.", field="ipv6_mode")
    return mode or Ipv6Mode.DHCPV6.value


def parse_address(text: str, *, field: str, code: str) -> Address:
    """One address. Raises Invalid with this code."""
    try:
        found = ipaddress.ip_address(str(text))  # a number would be taken for an address, too
    except ValueError:
        raise Invalid(code, f"{field}: expected an IP address, got {str(text)[:50]!r}.", field=field) from None
    if isinstance(found, ipaddress.IPv6Address) and found.scope_id is not None:
        raise Invalid(code, f"{field}: expected an address without a zone ({found}).", field=field)
    return found


def parse_gateway(text: str, cidr: Range) -> str:
    """An address of the range that a router can have there. Raises Invalid `subnet.gateway`, `subnet.family`."""
    found = parse_address(text, field="gateway", code="subnet.gateway")
    _of_family(found, cidr, "gateway")
    if found not in cidr or not _first(cidr) <= int(found) <= _last(cidr):
        raise Invalid(
            "subnet.gateway", f"gateway: {found} is no address that a router can have in {cidr}; expected one from "
            f"{_text(cidr, _first(cidr))} to {_text(cidr, _last(cidr))}.", field="gateway",
        )
    return str(found)


def first_address(cidr: Range) -> str:
    """The gateway that a subnet has unless told otherwise."""
    return _text(cidr, _first(cidr))


def default_pools(cidr: Range, gateway: str | None) -> Pools:
    """All that hosts can have but the gateway; of large IPv6 ranges the lower end."""
    first, last = _first(cidr), _last(cidr)
    at = int(ipaddress.ip_address(gateway)) if gateway else first - 1
    runs = [(first, last)] if not first <= at <= last else [(first, at - 1), (at + 1, last)]
    found = [[low, min(high, low + MOST_ADDRESSES - 1, int(cidr[0]) + 2**63 - 1)] for low, high in runs if low <= high]
    return [[_text(cidr, low), _text(cidr, high)] for low, high in found if low <= high]


def parse_pools(pools: Sequence[Sequence[str]], cidr: Range, gateway: str | None) -> Pools:
    """Pairs of first and last address, in order. Raises Invalid `subnet.pools`, `subnet.family`, `subnet.gateway_in_pool`."""
    if len(pools) > _MOST_POOLS:
        raise _bad_pool(f"expected at most {_MOST_POOLS} ranges, got {len(pools)}")
    found: list[tuple[int, int]] = []
    for pool in pools:
        if isinstance(pool, str) or len(pool) != 2:
            raise _bad_pool("expected pairs of a first and a last address")
        first, last = (parse_address(end, field="pools", code="subnet.pools") for end in pool)
        _of_family(first, cidr, "pools")
        _of_family(last, cidr, "pools")
        _check_pool(int(first), int(last), cidr, f"{first}-{last}")
        found.append((int(first), int(last)))
    found.sort()
    for (low, high), (later, end) in pairwise(found):
        if later <= high:
            raise _bad_pool(f"{_text(cidr, low)}-{_text(cidr, high)} and {_text(cidr, later)}-{_text(cidr, end)} overlap")
    result = [[_text(cidr, low), _text(cidr, high)] for low, high in found]
    check_gateway_outside(gateway, result)
    return result


def check_gateway_outside(gateway: str | None, pools: Pools) -> None:
    """Raises Invalid `subnet.gateway_in_pool`."""
    if gateway is None:
        return
    at = int(ipaddress.ip_address(gateway))
    for first, last in pools:
        if int(ipaddress.ip_address(first)) <= at <= int(ipaddress.ip_address(last)):
            raise Invalid(
                "subnet.gateway_in_pool", f"The gateway {gateway} is in the pool {first}-{last}, whose addresses are given to guests.",
                field="pools",
            )


def parse_dns(servers: Sequence[str], cidr: Range) -> list[str]:
    """What guests ask for names, in order. Raises Invalid `subnet.dns`, `subnet.family`."""
    found = []
    for text in servers:
        server = parse_address(text, field="dns", code="subnet.dns")
        _of_family(server, cidr, "dns")
        if server.is_multicast or server.is_unspecified or server.is_loopback or server.is_link_local:
            raise Invalid("subnet.dns", f"dns: {server} is no address that guests can ask.", field="dns")
        found.append(str(server))
    if len(set(found)) != len(found) or len(found) > _MOST_DNS:
        raise Invalid("subnet.dns", f"dns: expected at most {_MOST_DNS} servers, each once.", field="dns")
    return found


def parse_routes(routes: Sequence[Mapping[str, Any]], cidr: Range) -> list[dict[str, str]]:
    """Routes that guests are told beside their gateway. Raises Invalid `subnet.routes`, `subnet.family`."""
    found: dict[str, str] = {}
    for route in routes:
        if not isinstance(route, Mapping) or set(route) != {"destination", "nexthop"}:
            raise Invalid("subnet.routes", "routes: expected pairs of `destination` and `nexthop`.", field="routes")
        try:
            destination = ipaddress.ip_network(str(route["destination"]))
        except ValueError as error:
            raise Invalid("subnet.routes", f"routes: destination: expected a network such as 10.9.0.0/16 ({error}).", field="routes") from None
        nexthop = parse_address(route["nexthop"], field="routes", code="subnet.routes")
        _of_family(destination, cidr, "routes")
        _of_family(nexthop, cidr, "routes")
        _check_route(destination, nexthop, cidr)
        if str(destination) in found:
            raise Invalid("subnet.routes", f"routes: {destination} is there twice.", field="routes")
        found[str(destination)] = str(nexthop)
    if len(found) > _MOST_ROUTES:
        raise Invalid("subnet.routes", f"routes: expected at most {_MOST_ROUTES}, got {len(found)}.", field="routes")
    return [{"destination": destination, "nexthop": nexthop} for destination, nexthop in found.items()]


def local_ipv6(owner: UUID) -> str:
    """A /64 of the private range (RFC 4193) that is always the same for this id, and hardly ever that of another."""
    bits = int.from_bytes(sha256(owner.bytes).digest()[:7], "big")
    return str(ipaddress.IPv6Network((0xFD << 120 | bits << 64, 64)))


def overlap(one: str, other: str) -> bool:
    """Whether two ranges have an address in common."""
    first, second = ipaddress.ip_network(one), ipaddress.ip_network(other)
    return first.version == second.version and first.overlaps(second)


def span(cidr: str, first: str, last: str) -> tuple[int, int]:
    """How far two addresses are from the first one of their range."""
    base = int(ipaddress.ip_network(cidr).network_address)
    return int(ipaddress.ip_address(first)) - base, int(ipaddress.ip_address(last)) - base


def _check_route(destination: Range, nexthop: Address, cidr: Range) -> None:
    if destination.prefixlen == 0:
        raise Invalid("subnet.routes", "routes: the default route is the subnet's gateway; set that instead.", field="routes")
    if nexthop not in cidr or not _first(cidr) <= int(nexthop) <= _last(cidr):
        raise Invalid("subnet.routes", f"routes: {nexthop} is not in {cidr}, so guests cannot send anything there.", field="routes")
    if destination.is_multicast or destination.is_loopback:
        raise Invalid("subnet.routes", f"routes: {destination} is no destination for a route.", field="routes")


def _check_pool(first: int, last: int, cidr: Range, shown: str) -> None:
    if first > last:
        raise _bad_pool(f"{shown} ends before it begins")
    if first < _first(cidr) or last > _last(cidr):
        raise _bad_pool(f"{shown} is not within {_text(cidr, _first(cidr))}-{_text(cidr, _last(cidr))}, what hosts of {cidr} can have")
    if last - first >= MOST_ADDRESSES or last - int(cidr[0]) >= 2**63:
        raise _bad_pool(f"{shown} has more addresses than can be kept; expected at most 2^62, in the lower half of the range")


def _bad_pool(what: str) -> Invalid:
    return Invalid("subnet.pools", f"pools: {what}.", field="pools")


def _of_family(found: Address | Range, cidr: Range, field: str) -> None:
    if found.version != cidr.version:
        raise Invalid("subnet.family", f"{field}: {found} is IPv{found.version}, but {cidr} is IPv{cidr.version}.", field=field)


def _first(cidr: Range) -> int:
    """The first address is the network's own; of IPv6 that of all its routers."""
    return int(cidr[0]) + 1


def _last(cidr: Range) -> int:
    return int(cidr[-1]) - (1 if cidr.version == 4 else 0)


def _text(cidr: Range, value: int) -> str:
    return str(ipaddress.IPv4Address(value) if cidr.version == 4 else ipaddress.IPv6Address(value))
