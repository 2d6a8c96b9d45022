"""From the desired state to what the guests of each network here are told. Pure."""

import ipaddress
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from agent.drivers.openvswitch import names
from agent.drivers.openvswitch.services.frames import link_local
from agent.labels import is_domain, label
from agent.network.desired import Desired
from contracts.network import v2 as network

METADATA, METADATA6 = "169.254.169.254", "fd00:ec2::254"
ON_LINK = "0.0.0.0"  # the next hop that DHCP calls "none"
DEFAULT_DOMAIN = "cloud.internal"


@dataclass(frozen=True, kw_only=True)
class Offer:
    """One IPv4 address by DHCP with all that belongs to it. `routes`: destination → next hop, ON_LINK for none."""

    address: str
    prefix_length: int
    server: str
    gateway: str
    dns: tuple[str, ...]
    routes: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Guest:
    """A port of this host. `addresses6`: those given by DHCPv6."""

    hostname: str
    offers: tuple[Offer, ...]
    addresses6: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Prefix:
    """An IPv6 prefix as advertised, always on the link. `autonomous`: guests make an address in it by themselves."""

    cidr: str
    autonomous: bool = False


@dataclass(frozen=True, kw_only=True)
class Link:
    """A network as its guests here are served. `guests`: by MAC. `routes6`: is the host a default router for IPv6?"""

    network_id: str
    namespace: str
    device: str
    mac: str
    mtu: int
    domain: str
    guests: dict[str, Guest]
    prefixes: tuple[Prefix, ...]
    managed: bool
    routes6: bool
    dns6: tuple[str, ...]


def links(desired: Desired) -> dict[str, Link]:
    """Network id → how it is served, for networks that have ports here."""
    here: defaultdict[str, list[network.Port]] = defaultdict(list)
    # A tenant's own router may hold the gateway address of a subnet.
    held: defaultdict[str, set[str]] = defaultdict(set)
    for port in desired.ports.values():
        held[port.network].update(each.address for each in port.addresses)
        if port.here:
            here[port.network].append(port)
    return {
        id_: _link(desired, desired.networks[id_], ports, held[id_])
        for id_, ports in here.items()
        if id_ in desired.networks and desired.networks[id_].kind is not network.Kind.HOST
    }


def domain_name(net: network.Network) -> str:
    """DNS domain of a network's guests."""
    return net.domain if is_domain(net.domain) else DEFAULT_DOMAIN


def hostname(port: network.Port) -> str:
    """One label: the port's name, or else made from its first address."""
    made = label(port.name)
    if made and made != "localhost":
        return made
    first = next((each.address for each in port.addresses), port.id)
    return "host-" + label(first.replace(":", "-").replace(".", "-"))


def _link(desired: Desired, net: network.Network, ports: Iterable[network.Port], held: set[str]) -> Link:
    served = {subnet.id: subnet for subnet in net.subnets if subnet.dhcp}
    sixes = [subnet for subnet in served.values() if _version(subnet) == 6]
    mac = names.gateway_mac(net.id)
    routed6 = any(subnet.routed for subnet in sixes)
    prefixes = [Prefix(cidr=subnet.cidr, autonomous=subnet.ipv6_mode == "slaac") for subnet in sixes]
    if prefixes and not routed6:
        # There is no way to it but over the link itself.
        prefixes.append(Prefix(cidr=f"{METADATA6}/128"))
    return Link(
        network_id=net.id,
        namespace=names.namespace(desired.domain_of(net)),
        device=names.gateway(net.id),
        mac=mac,
        mtu=net.mtu,
        domain=domain_name(net),
        guests={port.mac: _guest(net, port, served, held) for port in ports},
        prefixes=tuple(prefixes),
        managed=any(subnet.ipv6_mode != "slaac" for subnet in sixes),
        routes6=routed6,
        dns6=tuple(dict.fromkeys(server for subnet in sixes for server in _dns6(subnet, mac))),
    )


def _guest(net: network.Network, port: network.Port, served: dict[str, network.Subnet], held: set[str]) -> Guest:
    mine = [
        (str(ipaddress.ip_address(each.address)), served[each.subnet])
        for each in port.addresses
        if each.subnet in served
    ]
    return Guest(
        hostname=hostname(port),
        offers=tuple(_offer(net, address, subnet, held) for address, subnet in mine if _version(subnet) == 4),
        addresses6=tuple(address for address, subnet in mine if subnet.ipv6_mode == "dhcpv6"),
    )


def _offer(net: network.Network, address: str, subnet: network.Subnet, held: set[str]) -> Offer:
    at_gateway = subnet.gateway if subnet.routed else ""
    gateway = subnet.gateway if subnet.routed or _others_route(net, subnet, held) else ""
    routes = [(route.destination, route.nexthop) for route in subnet.routes if _is(route.destination, 4)]
    routes.append((f"{METADATA}/32", at_gateway or ON_LINK))
    if gateway and all(destination != "0.0.0.0/0" for destination, _ in routes):
        routes.append(("0.0.0.0/0", gateway))
    return Offer(
        address=address,
        prefix_length=ipaddress.ip_network(subnet.cidr).prefixlen,
        server=at_gateway or METADATA,
        gateway=gateway,
        dns=tuple(server for server in subnet.dns if _is(server, 4)) or (at_gateway or METADATA,),
        routes=tuple(routes),
    )


def _others_route(net: network.Network, subnet: network.Subnet, held: set[str]) -> bool:
    """May somebody other than the host be the subnet's gateway: a guest, or a router on the wire?"""
    return subnet.gateway in held or net.kind in (network.Kind.FLAT, network.Kind.VLAN)


def _dns6(subnet: network.Subnet, mac: str) -> tuple[str, ...]:
    own = subnet.gateway if subnet.routed and subnet.gateway else link_local(mac)
    return tuple(server for server in subnet.dns if _is(server, 6)) or (own,)


def _version(subnet: network.Subnet) -> int:
    return ipaddress.ip_network(subnet.cidr).version


def _is(text: str, version: int) -> bool:
    return ipaddress.ip_network(text, strict=False).version == version
