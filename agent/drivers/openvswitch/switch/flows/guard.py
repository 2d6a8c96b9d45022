"""What a guest may say of itself: its own MAC and addresses (and the pairs it was allowed), never those of others; no DHCP
answers, no router advertisements. ARP, neighbour discovery, DHCP to the host and its metadata pass without asking the
security groups; all other IP is asked about."""

from collections.abc import Iterator

from agent.drivers.openvswitch.switch.flows.flow import (
    BROADCAST,
    METADATA4,
    METADATA6,
    NET,
    Flows,
    Table,
    cookie,
    goto,
)
from agent.drivers.openvswitch.switch.plan import Guest, Plan, Segment, family_of, link_local

_ASK, _PASS = goto(Table.EGRESS), goto(Table.FORWARD)
_NO_MAC = "00:00:00:00:00:00"


def add(flows: Flows, plan: Plan) -> None:
    # Whoever serves DHCP, advertises itself as a router or redirects others is not a guest.
    for what in (
        "udp,tp_src=67,tp_dst=68", "udp6,tp_src=547,tp_dst=546",
        "icmp,icmp_type=5", "icmp6,icmp_type=134", "icmp6,icmp_type=137",
    ):  # fmt: skip
        flows.add(Table.GUARD, 70, what, "drop")
    # Neighbour discovery that is not expressly allowed must not pass as ordinary IPv6.
    for kind in (133, 135, 136):
        flows.add(Table.GUARD, 55, f"icmp6,icmp_type={kind}", "drop")
    for segment in plan.segments:
        _gateway(flows, segment)
        for guest in segment.guests:
            if guest.port.security:
                _guest(flows, segment, guest)


def identities(guest: Guest) -> Iterator[tuple[str, str]]:
    """MAC and address (or range) that a guest may use together."""
    for address in guest.port.addresses:
        yield guest.port.mac, address.address
    for pair in guest.port.pairs:
        yield pair.mac or guest.port.mac, pair.cidr


def _gateway(flows: Flows, segment: Segment) -> None:
    """Nobody's pairs reach as far as to the addresses that the host itself has in the network."""
    net, whose = f"{NET}={segment.number}", cookie(segment.net.id)
    for address in [*segment.gateways(4), METADATA4]:
        for what in (f"arp,arp_spa={address}", f"ip,nw_src={address}"):
            flows.add(Table.GUARD, 65, f"{net},{what}", "drop", whose=whose)
    for address in [*segment.gateways(6), METADATA6, link_local(segment.gateway_mac)]:
        for what in (f"icmp6,icmp_type=136,nd_target={address}", f"ipv6,ipv6_src={address}"):
            flows.add(Table.GUARD, 65, f"{net},{what}", "drop", whose=whose)


def _guest(flows: Flows, segment: Segment, guest: Guest) -> None:
    own, whose = f"in_port={guest.ofport}", cookie(guest.id)
    flows.add(Table.GUARD, 1, own, "drop", whose=whose)
    by_mac: dict[str, list[str]] = {guest.port.mac: []}
    for mac, cidr in identities(guest):
        by_mac.setdefault(mac, []).append(cidr)
    for mac, cidrs in by_mac.items():
        v4 = [cidr for cidr in cidrs if family_of(cidr) == 4]
        v6 = [link_local(mac), *(cidr for cidr in cidrs if family_of(cidr) == 6)]
        for priority, match, action in (
            *_ipv4(mac, v4, segment.gateway_mac),
            *_ipv6(mac, v6, segment.gateway_mac),
            *_discovery(mac, v6),
        ):
            flows.add(Table.GUARD, priority, f"{own},dl_src={mac},{match}", action, whose=whose)


def _ipv4(mac: str, cidrs: list[str], gateway_mac: str) -> Iterator[tuple[int, str, str]]:
    # A client without an address, and one that asks whether an address is free.
    yield 60, f"dl_dst={BROADCAST},udp,nw_src=0.0.0.0,nw_dst=255.255.255.255,tp_src=68,tp_dst=67", _PASS
    yield 60, f"arp,arp_op=1,arp_sha={mac},arp_spa=0.0.0.0", _PASS
    for cidr in cidrs:
        yield 50, f"ip,nw_src={cidr}", _ASK
        yield 60, f"arp,arp_sha={mac},arp_spa={cidr}", _PASS
        for to in (gateway_mac, BROADCAST):
            yield 60, f"dl_dst={to},udp,nw_src={cidr},tp_src=68,tp_dst=67", _PASS
        yield 60, f"dl_dst={gateway_mac},tcp,nw_src={cidr},nw_dst={METADATA4},tp_dst=80", _PASS


def _ipv6(mac: str, cidrs: list[str], gateway_mac: str) -> Iterator[tuple[int, str, str]]:
    for cidr in cidrs:
        yield 50, f"ipv6,ipv6_src={cidr}", _ASK
        yield 60, f"dl_dst={gateway_mac},tcp6,ipv6_src={cidr},ipv6_dst={METADATA6},tp_dst=80", _PASS
        for to in ("ipv6_dst=ff02::1:2", f"dl_dst={gateway_mac}"):
            yield 60, f"udp6,ipv6_src={cidr},{to},tp_src=546,tp_dst=547", _PASS


def _discovery(mac: str, cidrs: list[str]) -> Iterator[tuple[int, str, str]]:
    # An option that is absent reads as zeros.
    for option in (mac, _NO_MAC):
        for cidr in cidrs:
            yield 60, f"icmp6,icmp_type=135,ipv6_src={cidr},nd_sll={option}", _PASS
            for target in cidrs:
                yield 60, f"icmp6,icmp_type=136,ipv6_src={cidr},nd_target={target},nd_tll={option}", _PASS
    for target in cidrs:
        yield 60, f"icmp6,icmp_type=135,ipv6_src=::,nd_target={target},nd_sll={_NO_MAC}", _PASS
    for source in ("::", cidrs[0]):
        yield 60, f"icmp6,icmp_type=133,ipv6_src={source}", _PASS
