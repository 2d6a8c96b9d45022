"""Broadcast and multicast, as little of it as will do: questions for an address go to whoever has it, requests to the host
go to the host, and nothing else goes to guests, but to those whose port security is off.
"""

from collections.abc import Callable, Iterator
from ipaddress import ip_network

from agent.drivers.openvswitch.switch.flows.flow import (
    NET,
    SOURCE,
    Flows,
    Source,
    Table,
    actions,
    cookie,
    goto,
    outputs,
)
from agent.drivers.openvswitch.switch.plan import Guest, Plan, Segment, family_of, link_local
from contracts.network import v2 as network

_FROM_GUESTS = (Source.GUEST, Source.OPEN)


def add(flows: Flows, plan: Plan) -> None:
    for segment in plan.segments:
        _known(flows, segment)
        _pairs(flows, segment)
        _to_the_host(flows, segment)
        _from_the_host(flows, segment)
        _anything_else(flows, segment)


def _asks(address: str) -> str:
    """The question for an address: ARP, or neighbour solicitation."""
    if family_of(address) == 4:
        return f"arp,arp_tpa={address}"
    return f"icmp6,icmp_type=135,nd_target={address}"


def _known(flows: Flows, segment: Segment) -> None:
    net = f"{NET}={segment.number}"
    for guest in segment.guests:
        for address in _addresses(guest.port):
            steps = f"output:{guest.ofport}"
            flows.add(Table.SPREAD, 40, f"{net},{_asks(address)}", steps, whose=cookie(guest.id))
    if segment.out is None:
        return
    for port in segment.remote:
        if not port.host:
            continue  # nowhere, or reserved: others may have the address by way of pairs
        # Through a tunnel to that host alone; a wire is shared anyway.
        to = f"set_field:{port.mac}->eth_dst" if segment.tunnelled else ""
        for address in _addresses(port):
            steps = actions(to, goto(Table.OUT))
            flows.add(Table.SPREAD, 40, f"{net},{_asks(address)}", steps, whose=cookie(port.id))


def _addresses(port: network.Port) -> Iterator[str]:
    yield link_local(port.mac)
    for address in port.addresses:
        yield address.address


def _pairs(flows: Flows, segment: Segment) -> None:
    """Addresses that several ports may take over from each other: asked of all of them; told to everybody."""
    net, whose = f"{NET}={segment.number}", cookie(segment.net.id)
    cidrs = sorted({pair.cidr for port in _ports(segment) for pair in port.pairs})
    for cidr in cidrs:

        def holds(port: network.Port, cidr: str = cidr) -> bool:
            return any(pair.cidr == cidr for pair in port.pairs)

        # Longer prefixes first, all of them before what nobody is known to have.
        length = ip_network(cidr, strict=False).prefixlen
        priority = 25 + (length * 10) // (32 if family_of(cidr) == 4 else 128)
        steps = _flood(segment, holds)
        flows.add(Table.SPREAD, priority, f"{net},{_asks(cidr)}", steps, whose=whose)
        address = cidr.partition("/")[0]
        everybody = _flood(segment, lambda port: True)
        if family_of(cidr) == 4 and length == 32:
            match = f"{net},arp,arp_spa={address},arp_tpa={address}"
            flows.add(Table.SPREAD, 45, match, everybody, whose=whose)
        elif length == 128:
            flows.add(Table.SPREAD, 45, f"{net},icmp6,icmp_type=136,nd_target={address}", everybody, whose=whose)


def _ports(segment: Segment) -> list[network.Port]:
    return [*(guest.port for guest in segment.guests), *segment.remote]


def _flood(segment: Segment, whom: Callable[[network.Port], bool]) -> str:
    """To the gateway, to guests that are meant, and to other hosts if there are such; a frame never leaves where it came in."""
    here = outputs([*_host_ports(segment), *(guest.ofport for guest in segment.guests if whom(guest.port))])
    far = segment.faraway or any(whom(port) for port in segment.remote)
    return actions(*here, goto(Table.OUT) if far and segment.out is not None else "")


def _host_ports(segment: Segment) -> list[int]:
    return [port for port in (segment.gateway, segment.outside) if port is not None]


def _open(port: network.Port) -> bool:
    return not port.security


def _to_the_host(flows: Flows, segment: Segment) -> None:
    if segment.gateway is None:
        return
    net, whose = f"{NET}={segment.number}", cookie(segment.net.id)
    for source in _FROM_GUESTS:
        for what in ("udp,tp_dst=67", "udp6,tp_dst=547", "icmp6,icmp_type=133"):
            match = f"{net},{SOURCE}={source.value},{what}"
            flows.add(Table.SPREAD, 60, match, f"output:{segment.gateway}", whose=whose)


def _from_the_host(flows: Flows, segment: Segment) -> None:
    """Advertisements and DHCP answers of the gateway are for this host's guests only; other hosts make their own."""
    net, whose = f"{NET}={segment.number}", cookie(segment.net.id)
    everybody = actions(*outputs(guest.ofport for guest in segment.guests))
    for what in ("udp,tp_src=67,tp_dst=68", "icmp6,icmp_type=134", "icmp6,icmp_type=136"):
        match = f"{net},{SOURCE}={Source.GATEWAY.value},{what}"
        flows.add(Table.SPREAD, 60, match, everybody, whose=whose)


def _anything_else(flows: Flows, segment: Segment) -> None:
    net, whose = f"{NET}={segment.number}", cookie(segment.net.id)
    open_guests = [guest for guest in segment.guests if _open(guest.port)]
    steps = _flood(segment, _open)
    for what in ("arp", "icmp6,icmp_type=135"):
        flows.add(Table.SPREAD, 20, f"{net},{what}", steps, whose=whose)
    # From the wire: what nobody is known to have is for the host's own device there, never for the gateway.
    arrived = actions(*outputs(_and_outside(segment, open_guests)))
    for what in ("arp", "icmp6,icmp_type=135"):
        flows.add(Table.SPREAD, 21, f"{net},{SOURCE}={Source.WIRE.value},{what}", arrived, whose=whose)
    flows.add(Table.SPREAD, 15, f"{net},{SOURCE}={Source.WIRE.value}", arrived, whose=whose)
    onward = goto(Table.OUT) if segment.out is not None else ""
    # The host's device on an external network speaks to everybody: an address may have moved to it.
    told = actions(*outputs(guest.ofport for guest in segment.guests), onward)
    flows.add(Table.SPREAD, 22, f"{net},{SOURCE}={Source.OUTSIDE.value}", told, whose=whose)
    open_steps = actions(*outputs(_and_outside(segment, open_guests)), onward)
    flows.add(Table.SPREAD, 15, f"{net},{SOURCE}={Source.OPEN.value}", open_steps, whose=whose)
    if open_guests:
        flows.add(Table.SPREAD, 10, net, actions(*outputs(guest.ofport for guest in open_guests)), whose=whose)


def _and_outside(segment: Segment, guests: list[Guest]) -> list[int]:
    return [*(guest.ofport for guest in guests), *([segment.outside] if segment.outside is not None else [])]
