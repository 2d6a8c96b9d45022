"""Whether objects of the desired state make sense, before their texts become flows, paths and lines of configuration.

What the control plane signs is well-formed; should it ever not be, the object is left out and told of as a problem, and
everything else goes on.
"""

import ipaddress
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from contracts.network import v2 as network

CODE: Final = "network.invalid"
T = TypeVar("T")

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_PORT_PROTOCOLS: Final = (6, 17, 132)


def sensible(objects: network.Objects) -> tuple[network.Objects, list[network.Problem]]:
    """The objects without those that make no sense, and what is wrong with these."""
    problems: list[network.Problem] = []
    kept = network.Objects(
        networks=list(_kept(objects.networks, _network, problems)),
        ports=list(_kept(objects.ports, _port, problems)),
        members=list(_kept(objects.members, _member, problems)),
        groups=list(_kept(objects.groups, _group, problems)),
        routers=list(_kept(objects.routers, _router, problems)),
        floating=list(_kept(objects.floating, _floating, problems)),
    )
    return kept, problems


def _kept(objects: Iterable[T], check: Callable[[T], object], problems: list[network.Problem]) -> Iterator[T]:
    for each in objects:
        try:
            check(each)
        except ValueError as error:
            kind, id_ = type(each).__name__.lower(), str(getattr(each, "id", ""))[:80]
            problems.append(network.Problem(code=CODE, message=f"{kind}: {error}", object=id_))
        else:
            yield each


def _network(net: network.Network) -> None:
    _id(net.id)
    _id(net.router, empty=True)
    if not 576 <= net.mtu <= 9216:
        raise ValueError(f"MTU {net.mtu}")
    most = {network.Kind.VLAN: 4094, network.Kind.VXLAN: 2**24 - 1}.get(net.kind)
    if most and not 1 <= (net.segment or 0) <= most:
        raise ValueError(f"segment {net.segment} of a {net.kind} network")
    for subnet in net.subnets:
        cidr = _range(subnet.cidr)
        for address in (subnet.gateway, *subnet.dns, *(route.nexthop for route in subnet.routes)):
            _address(address, empty=True)
        for route in subnet.routes:
            _range(route.destination)
        if subnet.gateway and ipaddress.ip_address(subnet.gateway) not in cidr:
            raise ValueError(f"gateway {subnet.gateway} is not in {subnet.cidr}")
        if subnet.ipv6_mode not in ("", "dhcpv6", "slaac"):
            raise ValueError(f"mode {subnet.ipv6_mode[:20]!r}")


def _port(port: network.Port) -> None:
    for id_ in (port.id, port.network, *port.groups):
        _id(id_)
    _id(port.instance, empty=True)
    _mac(port.mac)
    _address(port.host, empty=True)
    for address in port.addresses:
        _address(address.address)
    for pair in port.pairs:
        _range(pair.cidr)
        _mac(pair.mac, empty=True)


def _member(member: network.Member) -> None:
    _id(member.group)
    for address in member.addresses:
        _address(address)


def _group(group: network.Group) -> None:
    _id(group.id)
    for rule in group.rules:
        _rule(rule)


def _rule(rule: network.Rule) -> None:
    if rule.family not in (4, 6):
        raise ValueError(f"family {rule.family}")
    if rule.protocol is not None and not 0 <= rule.protocol <= 255:
        raise ValueError(f"protocol {rule.protocol}")
    most = 65535 if rule.protocol in _PORT_PROTOCOLS else 255
    for number in (rule.first, rule.last):
        if number is not None and not 0 <= number <= most:
            raise ValueError(f"{rule.first} to {rule.last} of protocol {rule.protocol}")
    if rule.cidr and _range(rule.cidr).version != rule.family:
        raise ValueError(f"{rule.cidr} is not IPv{rule.family}")
    _id(rule.group, empty=True)


def _router(router: network.Router) -> None:
    _id(router.id)
    if way := router.out:
        _network(way.network)
        _mac(way.mac, empty=True)
        for address in way.addresses:
            _plain(address)
            ipaddress.ip_interface(address)
        for gateway in way.gateways:
            _address(gateway)


def _floating(floating: network.Floating) -> None:
    for id_ in (floating.id, floating.port, floating.router):
        _id(id_)
    _address(floating.address)
    _address(floating.fixed)


def _id(value: str, *, empty: bool = False) -> None:
    if not (empty and not value) and str(uuid.UUID(value)) != value:
        raise ValueError(f"not a UUID in canonical form: {value[:60]!r}")


def _mac(value: str, *, empty: bool = False) -> None:
    if not (empty and not value) and not _MAC.fullmatch(value):
        raise ValueError(f"MAC {value[:40]!r}")


def _address(value: str, *, empty: bool = False) -> None:
    if not (empty and not value):
        ipaddress.ip_address(_plain(value))


def _range(value: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(_plain(value))


def _plain(value: str) -> str:
    # Python takes any text as the scope of an address ("fe80::1%…").
    if "%" in value:
        raise ValueError(f"address {value[:60]!r}")
    return value
