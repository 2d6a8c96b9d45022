"""What the flows are made of: the desired state joined with the numbers of this host's switch. Pure."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from agent.drivers.openvswitch import names
from agent.drivers.openvswitch.allotment import Allotment, Pool, policy_key
from agent.network.desired import Desired
from contracts.network import v2 as network


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """A port of this host that is plugged in. `ofport`: its OpenFlow number."""

    port: network.Port
    ofport: int
    zone: int
    policy: int

    @property
    def id(self) -> str:
        return self.port.id


@dataclass(slots=True, kw_only=True)
class Segment:
    """A network on this host. Numbers of ports of the bridge are None where there is no such port (yet).

    `down`: ports of this host that get and send nothing. `remote`: ports that are on other hosts. `outside`: number and MAC
    of the host's own device on an external network.
    """

    net: network.Network
    number: int
    gateway: int | None = None
    tunnel: int | None = None
    wire: int | None = None
    outside: int | None = None
    outside_mac: str = ""
    guests: list[Guest] = field(default_factory=list)
    down: list[network.Port] = field(default_factory=list)
    remote: list[network.Port] = field(default_factory=list)

    @property
    def gateway_mac(self) -> str:
        return names.gateway_mac(self.net.id)

    @property
    def out(self) -> int | None:
        """Number of the port that leads to other hosts."""
        return self.tunnel if self.net.kind is network.Kind.VXLAN else self.wire

    @property
    def faraway(self) -> bool:
        """May there be MACs on other hosts that nobody told of? On wires, behind ports without security, in the world."""
        return not self.tunnelled or self.outside is not None or any(not port.security for port in self.remote)

    @property
    def tunnelled(self) -> bool:
        return self.net.kind is network.Kind.VXLAN

    def gateways(self, family: int) -> list[str]:
        """Addresses of the distributed gateway."""
        found = [subnet.gateway for subnet in self.net.subnets if subnet.routed and subnet.gateway]
        return [address for address in found if family_of(address) == family]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`policies`: number → security groups of it. `conjunctions`: id of a group that rules name → its number.
    `tracked`: IP protocols that the datapath's connection tracking knows."""

    segments: list[Segment]
    policies: dict[int, tuple[str, ...]]
    conjunctions: dict[str, int]
    groups: Mapping[str, network.Group]
    members: dict[str, list[str]]
    host_mac: str
    tracked: frozenset[int]


def external_networks(desired: Desired) -> dict[str, network.WayOut]:
    """Id of an external network → the way out over it, as far as it goes over the bridge."""
    ways = [router.out for router in desired.routers.values() if router.out]
    return {way.network.id: way for way in ways if way.network.kind is not network.Kind.HOST}


def networks_on_bridge(desired: Desired) -> dict[str, network.Network]:
    """All networks that have something to do with this host's bridge."""
    external = {id_: way.network for id_, way in external_networks(desired).items()}
    own = {net.id: net for net in desired.networks.values() if net.kind is not network.Kind.HOST}
    return external | own


def tunnelled(nets: Mapping[str, network.Network], desired: Desired) -> set[str]:
    """Ids of those networks on the bridge whose frames may come from, or go to, other hosts in VXLAN.

    Others need no device: the kernel lets a VNI be one device's only, and several installations may share a machine. It is the
    routing domain that counts: what other hosts have of it may be sent here by their routers.
    """
    own = {net.id: desired.domain_of(net) for net in desired.networks.values()}
    spread = {own[port.network] for port in desired.ports.values() if not port.here and port.host and port.network in own}
    return {
        net.id for net in nets.values()
        if net.kind is network.Kind.VXLAN and net.segment is not None and (net.id not in own or own[net.id] in spread)
    }


def make(
    desired: Desired,
    *,
    ofports: Mapping[str, int],
    wires: Mapping[str, int],
    allotment: Allotment,
    host_id: str,
    tracked: frozenset[int],
) -> Plan:
    """`ofports`: device on the bridge → number. `wires`: physical network → number. Raises Exhausted."""
    external = external_networks(desired)
    segments = {
        id_: _segment(net, external.get(id_), ofports, wires, allotment)
        for id_, net in sorted(networks_on_bridge(desired).items())
    }
    policies: dict[int, tuple[str, ...]] = {}
    for port in sorted(desired.ports.values(), key=lambda port: port.id):
        if segment := segments.get(port.network):
            _place(segment, port, ofports, allotment, policies)
    named = {
        rule.group
        for groups in policies.values()
        for id_ in groups
        if id_ in desired.groups
        for rule in desired.groups[id_].rules
        if rule.group
    }
    return Plan(
        segments=list(segments.values()),
        policies=policies,
        conjunctions={id_: allotment.number(Pool.GROUP, id_) for id_ in sorted(named)},
        groups=desired.groups,
        members=_members(desired, named),
        host_mac=names.host_mac(host_id),
        tracked=tracked,
    )


def _segment(
    net: network.Network,
    way: network.WayOut | None,
    ofports: Mapping[str, int],
    wires: Mapping[str, int],
    allotment: Allotment,
) -> Segment:
    return Segment(
        net=net,
        number=allotment.number(Pool.NETWORK, net.id),
        gateway=ofports.get(names.gateway_port(net.id)),
        tunnel=ofports.get(names.vxlan(net.id)),
        wire=wires.get(net.physical) if net.kind in (network.Kind.FLAT, network.Kind.VLAN) else None,
        outside=ofports.get(names.outside_port(net.id)) if way else None,
        outside_mac=way.mac if way else "",
    )


def _place(
    segment: Segment,
    port: network.Port,
    ofports: Mapping[str, int],
    allotment: Allotment,
    policies: dict[int, tuple[str, ...]],
) -> None:
    if not port.here:
        segment.remote.append(port)
        return
    ofport = ofports.get(names.tap(port.id))
    if ofport is None or not port.up:
        segment.down.append(port)
        return
    policy = 0
    if port.security:
        policy = allotment.number(Pool.POLICY, policy_key(port.groups))
        policies[policy] = tuple(sorted(set(port.groups)))
    zone = allotment.number(Pool.ZONE, port.id)
    segment.guests.append(Guest(port=port, ofport=ofport, zone=zone, policy=policy))


def _members(desired: Desired, groups: set[str]) -> dict[str, list[str]]:
    """Address → groups, of those given, that its port is in."""
    found: dict[str, set[str]] = {}
    for member in desired.members.values():
        if member.group in groups:
            for address in member.addresses:
                found.setdefault(address, set()).add(member.group)
    return {address: sorted(ids) for address, ids in sorted(found.items())}


@cache
def family_of(address: str) -> int:
    """4 or 6, of an address or a range."""
    return 6 if ":" in address else 4


@cache
def link_local(mac: str) -> str:
    """The IPv6 address that a device gives itself from its MAC."""
    first, *rest = (int(part, 16) for part in mac.split(":"))
    eui = bytes([first ^ 2, *rest[:2], 0xFF, 0xFE, *rest[2:]])
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + eui))
