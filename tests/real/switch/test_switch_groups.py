"""Security groups on real switches of two hosts: what comes in, what goes out, and whose connections end."""

import os
import socket

import pytest

from contracts.network.v2 import Rule
from tests.real.hosts import frames
from tests.real.hosts.frames import IPV4, ethernet
from tests.real.switch.rules import ANYTHING, EGRESS, PINGS, ready, tcp
from tests.real.switch.talk import Talk
from tests.real.switchyard import Guest, Host, Yard, unavailable

pytestmark = [pytest.mark.real, pytest.mark.skipif(bool(unavailable()), reason=unavailable())]


def test_nothing_comes_in_that_no_rule_allows_and_answers_do(yard: Yard, pair: tuple[Guest, Guest]) -> None:
    client, server = pair
    assert not client.pings("10.64.0.6", within_s=0.5) and not client.pings("fd00:64::6", within_s=0.5)
    yard.change(server.port, groups=[*server.port.groups, yard.a_group(*PINGS)])
    ready(yard)
    assert client.pings("10.64.0.6") and client.pings("fd00:64::6")
    assert not server.pings("10.64.0.5", within_s=0.5)


def test_a_range_of_ports_is_exactly_that(yard: Yard, pair: tuple[Guest, Guest]) -> None:
    client, server = pair
    rule = Rule(ingress=True, family=4, protocol=6, first=999, last=1025)
    yard.change(server.port, groups=[*server.port.groups, yard.a_group(rule)])
    ready(yard)
    for port, allowed in ((998, False), (999, True), (1000, True), (1024, True), (1025, True), (1026, False)):
        with Talk(client, server, port) as talk:
            assert talk.opens() if allowed else talk.is_refused(), port


def test_closing_a_port_ends_who_is_connected_and_nobody_else(yard: Yard, pair: tuple[Guest, Guest]) -> None:
    client, server = pair
    closing, staying = yard.a_group(tcp(22)), yard.a_group(tcp(80))
    yard.change(server.port, groups=[*server.port.groups, closing, staying])
    ready(yard)
    with Talk(client, server, 22) as doomed, Talk(client, server, 80) as kept:
        assert doomed.opens() and kept.opens() and doomed.passes() and kept.passes()
        yard.change(server.port, groups=[*server.port.groups, staying])
        ready(yard)
        assert doomed.is_cut()
        assert kept.passes()
        yard.change(server.port, groups=[*server.port.groups, closing, staying])
        ready(yard)
        assert kept.passes()
    with Talk(client, server, 22) as again:
        assert again.opens()


def test_a_stream_of_answers_ends_with_its_rule(yard: Yard, pair: tuple[Guest, Guest]) -> None:
    client, server = pair
    opened = yard.a_group(Rule(ingress=True, family=4, protocol=17, first=5000, last=5000))
    yard.change(server.port, groups=[*server.port.groups, opened])
    ready(yard)
    asker, streamer = client.socket(socket.AF_INET, socket.SOCK_DGRAM), server.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with asker, streamer:
        asker.settimeout(20.0)
        streamer.settimeout(20.0)
        streamer.bind(("10.64.0.6", 5000))
        asker.sendto(b"begin", ("10.64.0.6", 5000))
        _, back = streamer.recvfrom(100)
        streamer.sendto(b"one", back)
        assert asker.recv(100) == b"one"
        yard.change(server.port, groups=server.port.groups)
        ready(yard)
        streamer.sendto(b"two", back)
        asker.settimeout(0.4)
        with pytest.raises(TimeoutError):
            asker.recv(100)


def test_rules_about_a_group_follow_its_members(yard: Yard, here: Host, pair: tuple[Guest, Guest]) -> None:
    client, server = pair
    friends = yard.a_group()
    yard.change(server.port, groups=[*server.port.groups, yard.a_group(tcp(80, group=friends))])
    ready(yard)
    with Talk(client, server, 80) as talk:
        assert talk.is_refused()
    yard.change(client.port, groups=[*client.port.groups, friends])
    ready(yard)
    with Talk(client, server, 80) as talk:
        assert talk.opens() and talk.passes()
        yard.change(client.port, groups=client.port.groups)
        ready(yard)
        assert talk.is_cut()


def test_a_rule_about_a_range_lets_that_in_and_nothing_else(yard: Yard, here: Host, pair: tuple[Guest, Guest]) -> None:
    client, server = pair
    for cidr, allowed in (("10.64.0.4/31", True), ("10.64.0.6/31", False), ("0.0.0.0/0", True)):
        yard.change(server.port, groups=[*server.port.groups, yard.a_group(tcp(80, cidr=cidr))])
        ready(yard)
        with Talk(client, server, 80) as talk:
            assert talk.opens() if allowed else talk.is_refused(), cidr


def test_what_may_not_leave_does_not_leave(yard: Yard, here: Host, there: Host) -> None:
    net = yard.a_network()
    mute, welcome = yard.a_group(Rule(ingress=False, family=4, protocol=6, first=80, last=80)), yard.a_group(*EGRESS, *ANYTHING)
    client, server = yard.a_guest(net, 5, here, groups=[mute]), yard.a_guest(net, 6, there, groups=[welcome])
    ready(yard, client, server)
    assert not client.pings("10.64.0.6", within_s=0.5)
    for port, allowed in ((80, True), (81, False)):
        with Talk(client, server, port) as talk:
            assert talk.opens() if allowed else talk.is_refused()


def test_large_packets_in_pieces_are_asked_about_as_a_whole(yard: Yard, pair: tuple[Guest, Guest]) -> None:
    client, server = pair
    yard.change(server.port, groups=[*server.port.groups, yard.a_group(Rule(ingress=True, family=4, protocol=17, first=5000, last=5000))])
    ready(yard)
    large = os.urandom(4000)
    with client.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker, server.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        for guest in pair:
            guest.run("ip", "link", "set", "eth0", "mtu", "1450")
        listener.settimeout(20.0)
        listener.bind(("10.64.0.6", 5000))
        asker.sendto(large, ("10.64.0.6", 5000))
        assert listener.recv(8000) == large
        asker.sendto(large, ("10.64.0.6", 5001))
        listener.settimeout(0.4)
        with pytest.raises(TimeoutError):
            listener.recv(8000)


def test_protocols_that_are_not_tracked_pass_by_their_rules(yard: Yard, pair: tuple[Guest, Guest]) -> None:
    client, server = pair
    gre = ethernet(client.port.mac, server.port.mac, IPV4, frames.ipv4("10.64.0.5", "10.64.0.6", 47, b"\0\0\x08\0" + bytes(30)))
    client.send(gre)
    assert not server.hears(gre, 0.4)
    yard.change(server.port, groups=[*server.port.groups, yard.a_group(Rule(ingress=True, family=4, protocol=47, group=client.port.groups[0]))])
    ready(yard)
    client.send(gre)
    assert server.hears(gre)
