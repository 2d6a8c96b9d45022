"""What the flows of the integration bridge let pass, on real switches of two hosts. Namespaces stand for guests, so that
any frame can be tried; nothing here routes or serves."""

import struct
import time
from collections.abc import Callable

import pytest

from agent.drivers.openvswitch import names
from contracts.network.v2 import Kind, Network, Pair
from tests.real.hosts import frames
from tests.real.hosts.frames import ARP, BROADCAST, IPV4, IPV6, ethernet
from tests.real.switch.rules import ANYTHING, EGRESS, PINGS, ready
from tests.real.switchyard import Guest, Host, Yard, all_heard, unavailable

pytestmark = [pytest.mark.real, pytest.mark.skipif(bool(unavailable()), reason=unavailable())]

ALL_DEVICES = "33:33:00:00:00:01"


def test_guests_of_a_network_reach_each_other_on_one_host_and_on_two(yard: Yard, here: Host, there: Host, net: Network) -> None:
    group = yard.a_group(*EGRESS, *PINGS)
    one, two = (yard.a_guest(net, number, here, groups=[group]) for number in (5, 6))
    far = yard.a_guest(net, 7, there, groups=[group])
    ready(yard, one, two, far)
    for a, b in ((one, two), (one, far), (far, two)):
        for address in b.port.addresses:
            assert a.pings(address.address), (a.port.addresses, address.address)


@pytest.mark.parametrize("kind", [Kind.VXLAN, Kind.VLAN])
def test_networks_with_the_same_addresses_never_meet(yard: Yard, here: Host, there: Host, kind: Kind) -> None:
    nets = [yard.a_network(kind, segment) for segment in (200, 201)]
    mine = yard.a_guest(nets[0], 5, here, security=False)
    others = [yard.a_guest(nets[1], number, host, security=False) for number, host in ((6, here), (7, there))]
    twin = yard.a_guest(nets[0], 7, there, security=False)
    ready(yard)
    for guest in (*others, twin):
        guest.forget()
    told = [
        ethernet(mine.port.mac, BROADCAST, ARP, frames.arp(1, mine.port.mac, "10.64.0.5", BROADCAST, "10.64.0.99")),
        *(ethernet(mine.port.mac, to.port.mac, IPV4, frames.ping("10.64.0.5", "10.64.0.7")) for to in others),
        ethernet(mine.port.mac, "fa:16:3e:99:99:99", IPV4, frames.ping("10.64.0.5", "10.64.0.7")),
        ethernet(mine.port.mac, others[0].port.mac, IPV4, frames.ping("10.64.0.5", "10.64.0.6"), tag=201),
    ]
    mine.send(*told)
    last = ethernet(mine.port.mac, twin.port.mac, IPV4, frames.ping("10.64.0.5", "10.64.0.7", b"the last of all!"))
    mine.send(last)
    assert twin.hears(last)
    for heard in all_heard(*others):
        assert not set(heard) & set(told)


def test_a_guest_on_a_flat_network_cannot_tag_its_way_into_a_vlan(yard: Yard, here: Host, there: Host) -> None:
    flat, vlan = yard.a_network(Kind.FLAT, None), yard.a_network(Kind.VLAN, 300)
    liar = yard.a_guest(flat, 5, here, security=False)
    victim, peer = yard.a_guest(vlan, 6, there, security=False), yard.a_guest(vlan, 7, here, security=False)
    ready(yard)
    lie = ethernet(liar.port.mac, victim.port.mac, IPV4, frames.ping("10.64.0.5", "10.64.0.6"), tag=300)
    truth = ethernet(peer.port.mac, victim.port.mac, IPV4, frames.ping("10.64.0.7", "10.64.0.6"))
    liar.send(lie)
    peer.send(truth)
    heard = victim.heard(20.0, lambda frame: frame == truth)
    assert truth in heard and not [frame for frame in heard if frame[6:12] == frames.mac(liar.port.mac)]


def test_a_question_for_an_address_reaches_whom_it_is_about_and_nobody_else(yard: Yard, here: Host, there: Host, net: Network) -> None:
    me, you = yard.a_guest(net, 5, here), yard.a_guest(net, 6, there)
    bystanders = [yard.a_guest(net, 7, here), yard.a_guest(net, 8, there)]
    ready(yard)
    question = ethernet(me.port.mac, BROADCAST, ARP, frames.arp(1, me.port.mac, "10.64.0.5", BROADCAST, "10.64.0.6"))
    me.send(question)
    assert any(frame[12:] == question[12:] for frame in you.heard(20.0, lambda frame: frame[12:] == question[12:]))
    for heard in all_heard(*bystanders):
        assert not [frame for frame in heard if frame[12:] == question[12:]]


def test_nothing_comes_back_out_of_the_wire_or_the_tunnel(yard: Yard, here: Host, there: Host, net: Network) -> None:
    me = yard.a_guest(net, 5, here, security=False)
    far = [yard.a_guest(net, number, there, security=False) for number in (6, 7)]
    ready(yard)
    shout = ethernet(me.port.mac, BROADCAST, 0x88B5, b"anybody out there? " * 4)
    me.send(shout)
    assert all(guest.hears(shout) for guest in far)
    assert not [heard for heard in all_heard(me, *far) if shout in heard]  # nor twice


# --- what is a lie -----------------------------------------------------------------------------------------------------

Lie = Callable[[Guest, Guest], bytes]
_STRANGER = "fa:16:3e:11:11:11"


def _ip(source: str) -> Lie:
    return lambda me, you: ethernet(me.port.mac, you.port.mac, IPV6 if ":" in source else IPV4, frames.ping(
        source, "fd00:64::6" if ":" in source else "10.64.0.6"))


LIES: dict[str, Lie] = {
    "mac": lambda me, you: ethernet(_STRANGER, you.port.mac, IPV4, frames.ping("10.64.0.5", "10.64.0.6")),
    "ipv4": _ip("10.64.0.77"),
    "ipv4 of the other": _ip("10.64.0.6"),
    "ipv6": _ip("fd00:64::77"),
    "ipv6 link-local": _ip("fe80::1"),
    "arp address": lambda me, you: ethernet(
        me.port.mac, you.port.mac, ARP, frames.arp(2, me.port.mac, "10.64.0.1", you.port.mac, "10.64.0.6")),
    "arp request with the gateway's address": lambda me, you: ethernet(
        me.port.mac, BROADCAST, ARP, frames.arp(1, me.port.mac, "10.64.0.1", BROADCAST, "10.64.0.6")),
    "arp mac": lambda me, you: ethernet(
        me.port.mac, you.port.mac, ARP, frames.arp(2, _STRANGER, "10.64.0.5", you.port.mac, "10.64.0.6")),
    "neighbour advertisement": lambda me, you: ethernet(
        me.port.mac, you.port.mac, IPV6, frames.neighbour_advertisement("fd00:64::5", "fd00:64::1", me.port.mac, to="fd00:64::6")),
    "neighbour advertisement to all": lambda me, you: ethernet(
        me.port.mac, ALL_DEVICES, IPV6, frames.neighbour_advertisement("fd00:64::5", "fd00:64::1", me.port.mac)),
    "neighbour advertisement with a foreign mac": lambda me, you: ethernet(
        me.port.mac, you.port.mac, IPV6, frames.neighbour_advertisement("fd00:64::5", "fd00:64::5", _STRANGER, to="fd00:64::6")),
    "router advertisement": lambda me, you: ethernet(
        me.port.mac, ALL_DEVICES, IPV6, frames.router_advertisement(frames.link_local(me.port.mac), me.port.mac, "fd99::")),
    "router advertisement to one": lambda me, you: ethernet(
        me.port.mac, you.port.mac, IPV6, frames.router_advertisement(frames.link_local(me.port.mac), me.port.mac, "fd99::")),
    "dhcp offer": lambda me, you: ethernet(
        me.port.mac, you.port.mac, IPV4, frames.dhcp_offer("10.64.0.5", you.port.mac, "10.64.0.66")),
    "dhcp offer to all": lambda me, you: ethernet(
        me.port.mac, BROADCAST, IPV4, frames.dhcp_offer("10.64.0.5", you.port.mac, "10.64.0.66")),
    "dhcpv6 advertisement": lambda me, you: ethernet(
        me.port.mac, you.port.mac, IPV6, frames.udp("fd00:64::5", "fd00:64::6", 547, 546, b"\2\0\0\0")),
    "redirect": lambda me, you: ethernet(
        me.port.mac, you.port.mac, IPV6, frames.icmpv6("fd00:64::5", "fd00:64::6", 137, 0, bytes(36))),
    "tagged": lambda me, you: ethernet(me.port.mac, you.port.mac, IPV4, frames.ping("10.64.0.5", "10.64.0.6"), tag=2),
    "another protocol": lambda me, you: ethernet(me.port.mac, you.port.mac, 0x88CC, bytes(40)),
}  # fmt: skip


def test_what_is_not_its_own_to_say_reaches_nobody(yard: Yard, here: Host, there: Host) -> None:
    net = yard.a_network()
    group = yard.a_group(*EGRESS, *ANYTHING)
    me, near, far = (yard.a_guest(net, number, host, groups=[group]) for number, host in ((5, here), (6, here), (7, there)))
    gateway = here.add_gateway(net)
    ready(yard)
    for guest in (near, far, gateway):
        guest.forget()
    lies = {f"{name} to {you.port.mac}": lie(me, you) for name, lie in LIES.items() for you in (near, far)}
    me.send(*lies.values())
    truths = [ethernet(me.port.mac, you.port.mac, IPV4, frames.ping("10.64.0.5", f"10.64.0.{number}"))
              for number, you in ((6, near), (7, far))]  # fmt: skip
    me.send(*truths)
    for guest, truth in ((near, truths[0]), (far, truths[1]), (gateway, b"")):
        heard = guest.heard(20.0 if truth else 0.8, lambda frame, truth=truth: frame == truth)  # type: ignore[misc]
        assert not truth or truth in heard
        assert [name for name, lie in lies.items() if lie in heard] == []


def test_a_lie_is_counted_as_its_ports(yard: Yard, here: Host) -> None:
    net = yard.a_network()
    me, you = (yard.a_guest(net, number, here) for number in (5, 6))
    ready(yard)
    before = here.dropped(me), here.dropped(you)
    me.send(LIES["ipv4"](me, you), LIES["mac"](me, you))
    until = time.monotonic() + 30
    while here.dropped(me) < before[0] + 2:
        assert time.monotonic() < until
    assert here.dropped(you) == before[1]


def test_an_allowed_pair_is_its_own_to_say(yard: Yard, here: Host, there: Host) -> None:
    net = yard.a_network()
    group = yard.a_group(*EGRESS, *ANYTHING)
    pair = Pair(cidr="10.64.0.100/32")
    me, heir = (yard.a_guest(net, number, host, groups=[group], pairs=[pair]) for number, host in ((5, here), (6, there)))
    you = yard.a_guest(net, 7, there, groups=[group])
    ready(yard)
    me.send(said := ethernet(me.port.mac, you.port.mac, IPV4, frames.ping("10.64.0.100", "10.64.0.7")))
    assert you.hears(said)
    # Whoever takes the address over tells everybody; who asks for it reaches both that may have it.
    heir.send(claim := ethernet(heir.port.mac, BROADCAST, ARP, frames.arp(1, heir.port.mac, "10.64.0.100", BROADCAST, "10.64.0.100")))
    assert me.hears(claim) and you.hears(claim)
    you.send(question := ethernet(you.port.mac, BROADCAST, ARP, frames.arp(1, you.port.mac, "10.64.0.7", BROADCAST, "10.64.0.100")))
    assert me.hears(question) and heir.hears(question)


def test_a_pair_that_covers_the_gateway_does_not_make_anybody_the_gateway(yard: Yard, here: Host) -> None:
    net = yard.a_network()
    group, pair = yard.a_group(*EGRESS, *ANYTHING), Pair(cidr="10.64.0.0/24")
    me = yard.a_guest(net, 5, here, groups=[group], pairs=[pair])
    you = yard.a_guest(net, 6, here, groups=[group])
    ready(yard)
    gateway = net.subnets[0].gateway
    claim = ethernet(me.port.mac, BROADCAST, ARP, frames.arp(1, me.port.mac, gateway, BROADCAST, gateway))
    lie = ethernet(me.port.mac, you.port.mac, IPV4, frames.ping(gateway, "10.64.0.6"))
    fine = ethernet(me.port.mac, you.port.mac, IPV4, frames.ping("10.64.0.77", "10.64.0.6"))
    for frame in (claim, lie, fine):
        me.send(frame)
    assert you.hears(fine)
    assert not you.hears(claim, within_s=0.3) and not you.hears(lie, within_s=0.3)


def test_without_port_security_a_guest_says_what_it_likes_in_its_network(yard: Yard, here: Host, there: Host) -> None:
    net = yard.a_network()
    me, near, far = (yard.a_guest(net, number, host, security=False) for number, host in ((5, here), (6, here), (7, there)))
    ready(yard)
    for you in (near, far):
        strange = ethernet(_STRANGER, you.port.mac, IPV4, frames.ping("192.0.2.77", "192.0.2.78"))
        me.send(strange)
        assert you.hears(strange)


def test_a_port_that_is_down_says_and_hears_nothing(yard: Yard, here: Host, net: Network) -> None:
    group = yard.a_group(*EGRESS, *PINGS)
    me, you = (yard.a_guest(net, number, here, groups=[group]) for number in (5, 6))
    ready(yard, me, you)
    assert me.pings("10.64.0.6")
    yard.change(you.port, up=False)
    ready(yard)
    assert not me.pings("10.64.0.6", within_s=0.5) and not you.pings("10.64.0.5", within_s=0.5)
    yard.change(you.port, up=True)
    ready(yard)
    assert me.pings("10.64.0.6")


# --- the gateway -------------------------------------------------------------------------------------------------------


def tcp_packet(source: str, target: str, source_port: int, target_port: int, flags: int = 0x12) -> bytes:
    head = struct.pack("!HHIIBBHHH", source_port, target_port, 1, 1, 5 << 4, flags, 1000, 0, 0)
    pseudo = frames.packed(source) + frames.packed(target) + struct.pack("!BBH", 0, 6, len(head))
    return frames.ipv4(source, target, 6, head[:16] + struct.pack("!H", frames.checksum(pseudo + head)) + head[18:])


def test_requests_to_the_host_reach_its_gateway_only(yard: Yard, here: Host, there: Host, net: Network) -> None:
    me, open_guest = yard.a_guest(net, 5, here), yard.a_guest(net, 6, here, security=False)
    gateways = [host.add_gateway(net) for host in (here, there)]
    ready(yard)
    asks = [
        ethernet(me.port.mac, BROADCAST, IPV4, frames.udp("0.0.0.0", "255.255.255.255", 68, 67, b"discover")),
        ethernet(me.port.mac, "33:33:00:01:00:02", IPV6, frames.udp(frames.link_local(me.port.mac), "ff02::1:2", 546, 547, b"solicit")),
        ethernet(me.port.mac, "33:33:00:00:00:02", IPV6, frames.icmpv6(frames.link_local(me.port.mac), "ff02::2", 133, 0, bytes(4))),
        ethernet(me.port.mac, BROADCAST, ARP, frames.arp(1, me.port.mac, "10.64.0.5", BROADCAST, "10.64.0.1")),
        ethernet(me.port.mac, BROADCAST, ARP, frames.arp(1, me.port.mac, "10.64.0.5", BROADCAST, "169.254.169.254")),
    ]  # fmt: skip
    for ask in asks:
        me.send(ask)
        assert gateways[0].hears(ask), ask.hex()
    guests, gateways_ = all_heard(open_guest, gateways[1])
    assert not set(asks[:3]) & set(guests)
    assert not set(asks) & set(gateways_)


def test_what_the_gateway_answers_arrives_whatever_the_security_groups_say(yard: Yard, here: Host, net: Network) -> None:
    me = yard.a_guest(net, 5, here, groups=[yard.a_group()])
    gateway = here.add_gateway(net)
    ready(yard)
    mac, local = names.gateway_mac(net.id), frames.link_local(names.gateway_mac(net.id))
    answers = [
        ethernet(mac, me.port.mac, IPV4, frames.dhcp_offer("10.64.0.1", me.port.mac, "10.64.0.5")),
        ethernet(mac, BROADCAST, IPV4, frames.dhcp_offer("10.64.0.1", me.port.mac, "10.64.0.5")),
        ethernet(mac, me.port.mac, IPV6, frames.udp(local, frames.link_local(me.port.mac), 547, 546, b"advertise")),
        ethernet(mac, ALL_DEVICES, IPV6, frames.router_advertisement(local, mac, "fd00:64::")),
        ethernet(mac, me.port.mac, ARP, frames.arp(2, mac, "10.64.0.1", me.port.mac, "10.64.0.5")),
        ethernet(mac, me.port.mac, IPV4, tcp_packet("169.254.169.254", "10.64.0.5", 80, 40000)),
    ]
    for answer in answers:
        gateway.send(answer)
        assert me.hears(answer), answer.hex()
    for refused in (
        ethernet(mac, me.port.mac, IPV4, frames.udp("10.64.0.1", "10.64.0.5", 53, 4000, b"unasked")),
        ethernet(mac, me.port.mac, IPV4, tcp_packet("10.64.0.1", "10.64.0.5", 80, 40000)),
    ):
        gateway.send(refused)
        assert not me.hears(refused, 0.3)


def test_the_gateways_mac_never_leaves_the_host(yard: Yard, here: Host, there: Host, net: Network) -> None:
    far = yard.a_guest(net, 7, there, groups=[yard.a_group(*ANYTHING)])
    yard.a_guest(net, 5, here)
    gateway = here.add_gateway(net)
    ready(yard)
    packet = frames.ping("10.64.9.9", "10.64.0.7")
    gateway.send(ethernet(names.gateway_mac(net.id), far.port.mac, IPV4, packet))
    assert far.hears(ethernet(names.host_mac(here.id), far.port.mac, IPV4, packet))


def test_from_other_hosts_nobody_speaks_as_the_gateway(yard: Yard, here: Host, there: Host, net: Network) -> None:
    me = yard.a_guest(net, 5, here, security=False)
    liar = yard.a_guest(net, 7, there, security=False)
    ready(yard)
    lies = [
        ethernet(liar.port.mac, me.port.mac, ARP, frames.arp(2, liar.port.mac, "10.64.0.1", me.port.mac, "10.64.0.5")),
        ethernet(liar.port.mac, me.port.mac, IPV6, frames.neighbour_advertisement("fe80::1", "fd00:64::1", liar.port.mac, to="fd00:64::5")),
        ethernet(liar.port.mac, ALL_DEVICES, IPV6, frames.router_advertisement("fe80::1", liar.port.mac, "fd99::")),
        ethernet(liar.port.mac, me.port.mac, IPV4, frames.dhcp_offer("10.64.0.7", me.port.mac, "10.64.0.66")),
        ethernet(names.gateway_mac(net.id), me.port.mac, IPV4, frames.ping("10.64.0.7", "10.64.0.5")),
    ]
    liar.send(*lies)
    liar.send(truth := ethernet(liar.port.mac, me.port.mac, IPV4, frames.ping("10.64.0.7", "10.64.0.5")))
    heard = me.heard(20.0, lambda frame: frame == truth)
    assert truth in heard and not set(lies) & set(heard)
