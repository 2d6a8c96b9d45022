"""The way between two ports: in one network, or through the router that joins their networks. Pure."""

import ipaddress
from dataclasses import dataclass

from apps.network.states import NetworkKind
from apps.network.trace.ends import ASK
from apps.network.trace.facts import Address, Facts, Hop, Host, Network, Port, Subnet


@dataclass(frozen=True, kw_only=True)
class Next:
    """Where a guest sends a packet first. `on_link`: to the receiver itself; else to `gateway`, "" if it has no route."""

    on_link: bool = False
    gateway: str = ""


def next_hop(network: Network, subnet: Subnet, to: str) -> Next:
    """As the guest decides, with what it is told of its subnet."""
    address = ipaddress.ip_address(to)
    if address in subnet.range:
        return Next(on_link=True)
    fitting = [(ipaddress.ip_network(destination), hop) for destination, hop in subnet.routes]
    better = [(each.prefixlen, hop) for each, hop in fitting if address.version == each.version and address in each]
    if better:
        return Next(gateway=max(better)[1])
    # On a wire the gateway may be somebody else's router; elsewhere nobody answers unless one of ours has it.
    return Next(gateway=subnet.gateway if subnet.router is not None or network.on_wire else "")


def between(facts: Facts, source: Port, target: Port, pair: tuple[Address, Address]) -> list[Hop]:
    """All hops between the ports' own."""
    own, other = pair
    same = source.network.id == target.network.id
    if same and ipaddress.ip_address(other.address) in own.subnet.range:
        detail = f"Both are in the network {source.network.name}: frames go straight to {other.address}."
        return [Hop(name="route", ok=True, detail=detail), *_carried(facts, source, target, target.network, "transport")]
    hops = [sent(facts, source, own, other.address), _joined(source, target, own, other)]
    hops += _carried(facts, source, target, target.network, "transport")
    if not same:
        hops += _carried(facts, target, source, source.network, "transport.back")
    back = sent(facts, target, other, own.address, name="answers")
    return [*hops, back]


def sent(facts: Facts, port: Port, own: Address, to: str, *, name: str = "route") -> Hop:
    """Does the guest send packets for `to` to its router?"""
    subnet = own.subnet
    found = next_hop(port.network, subnet, to)
    if found.on_link:
        return Hop(
            name=name, ok=False,
            detail=f"{to} lies in {subnet.cidr}, the own subnet of {port.label}: it is looked for in the network {port.network.name} and "
            "never sent to a router.",
            fix="Give one of the networks another range.",
        )
    if not found.gateway:
        if subnet.gateway:
            return Hop(
                name=name, ok=False, detail=f"{port.label} has no default route: nobody serves the gateway of {subnet.cidr}, which is attached to no router.",
                fix=f"Attach the subnet {subnet.cidr} to a router.",
            )
        return Hop(
            name=name, ok=False, detail=f"{port.label} has no default route: its subnet {subnet.cidr} has no gateway.",
            fix=f"Give the subnet {subnet.cidr} a gateway, and attach it to a router.",
        )
    if subnet.router is None or found.gateway != subnet.gateway:
        return Hop(
            name=name, ok=None, detail=f"{port.label} sends packets for {to} to {found.gateway}, which is no router of this cloud.",
            fix=f"See whether {found.gateway} forwards them.",
        )
    return Hop(name=name, ok=True, detail=f"{port.label} sends packets for {to} to its gateway {found.gateway}, on its own host.")


def _joined(source: Port, target: Port, own: Address, other: Address) -> Hop:
    """Does one router join both subnets, and is it up?"""
    mine, theirs = own.subnet.router, other.subnet.router
    missing = [each.subnet.cidr for each in (own, other) if each.subnet.router is None]
    if missing:
        one = next((router for router in (mine, theirs) if router is not None), None)
        via = f"the router {one.name}" if one else "one router"
        what = " and ".join(missing)
        return Hop(name="router", ok=False, detail=f"No router joins the two subnets: {what} is attached to none.", fix=f"Attach {what} to {via}.")
    assert mine is not None and theirs is not None
    if mine.id != theirs.id:
        return Hop(
            name="router", ok=False,
            detail=f"{own.subnet.cidr} is attached to the router {mine.name}, {other.subnet.cidr} to {theirs.name}; routers are not joined.",
            fix=f"Attach both subnets to one router, or reach {target.label} by a floating IP.",
        )
    if not mine.up:
        return Hop(name="router", ok=False, detail=f"The router {mine.name} is administratively down.", fix="Set admin_up of the router.")
    return Hop(name="router", ok=True, detail=f"The router {mine.name} joins {own.subnet.cidr} and {other.subnet.cidr}.")


def _carried(facts: Facts, source: Port, target: Port, network: Network, name: str) -> list[Hop]:
    """From host to host, in the network in which packets arrive."""
    here, there = source.host, target.host
    if here is None or there is None:
        return []
    if here.id == there.id:
        return [Hop(name=name, ok=True, detail="Both are on the same host.")] if name == "transport" else []
    return [_tunnelled(facts, here, there, network, name) if network.kind == NetworkKind.VXLAN else _wired(facts, here, there, network, name)]


def _tunnelled(facts: Facts, here: Host, there: Host, network: Network, name: str) -> Hop:
    for host in (here, there):
        if not host.tunnel:
            label = f"Host {host.name}" if facts.hosts_shown else "A host"
            fix = f"Set tunnel_address in the agent's configuration on {host.name}." if facts.hosts_shown else ASK
            return Hop(name=name, ok=False, detail=f"{label} has not said to which address others send VXLAN.", fix=fix)
    clash = ""
    if here.tunnel == there.tunnel:
        clash = "both say that they have the same tunnel address"
    elif (":" in here.tunnel) != (":" in there.tunnel):
        clash = "one has an IPv4 tunnel address and the other an IPv6 one"
    if clash:
        who = f"Hosts {here.name} and {there.name}" if facts.hosts_shown else "The two hosts"
        fix = "Set tunnel_address in their agents' configurations." if facts.hosts_shown else ASK
        return Hop(name=name, ok=False, detail=f"{who} cannot exchange VXLAN: {clash}.", fix=fix)
    how = f"VXLAN {network.segment} from {here.tunnel} ({here.name}) to {there.tunnel} ({there.name})" if facts.hosts_shown else "a tunnel"
    return Hop(name=name, ok=True, detail=f"Between the hosts {network.name} goes by {how}.")


def _wired(facts: Facts, here: Host, there: Host, network: Network, name: str) -> Hop:
    without = [host.name for host in (here, there) if network.wire not in host.wires]
    if without:
        if not facts.hosts_shown:
            return Hop(name=name, ok=False, detail=f"Not both hosts are plugged into the wire of {network.name}.", fix=ASK)
        return Hop(
            name=name, ok=False, detail=f"Not plugged into the wire {network.wire} of {network.name}: {', '.join(without)}.",
            fix=f"Name {network.wire} under `physical` in the agent's configuration there.",
        )
    how = (f"VLAN {network.segment} on " if network.segment else "") + f"the wire {network.wire}" if facts.hosts_shown else "a wire"
    return Hop(name=name, ok=True, detail=f"Between the hosts {network.name} goes by {how}.")
