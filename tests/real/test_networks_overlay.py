"""Guests on two hosts meet over VXLAN and over VLAN, and what is another project's does not even come near them."""

import re
import time

import pytest

from agent.drivers.openvswitch import names
from tests.real.hosts.cast import Cast
from tests.real.hosts.frames import ARP, BROADCAST, IPV4, Sniffer, arp, ethernet, ping
from tests.real.hosts.ground import UNDERLAY, WIRE
from tests.real.hosts.host import WIRE_NIC
from tests.real.hosts.place import wait_until

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]


@pytest.mark.parametrize("family", [4, 6])
def test_guests_of_a_vxlan_network_on_two_hosts_ping_each_other(cast: Cast, family: int) -> None:
    cast.r1.comes_to_ping(cast.r2.address(family))
    cast.r3.comes_to_ping(cast.r1.address(family))
    cast.b2.comes_to_ping(cast.b1.address(family))


@pytest.mark.parametrize("family", [4, 6])
def test_guests_of_a_vlan_on_two_hosts_ping_each_other(cast: Cast, family: int) -> None:
    cast.v1.comes_to_ping(cast.v2.address(family))


@pytest.mark.parametrize("family", [4, 6])
def test_a_router_joins_networks_of_a_project_between_any_hosts(cast: Cast, family: int) -> None:
    cast.r1.comes_to_ping(cast.v2.address(family))
    cast.r3.comes_to_ping(cast.v1.address(family))
    cast.v1.comes_to_ping(cast.r1.address(family))


def test_two_projects_may_have_the_same_addresses_on_the_same_hosts(cast: Cast) -> None:
    assert (cast.r1.address(), cast.r2.address()) == (cast.b1.address(), cast.b2.address())
    assert (cast.r1.host, cast.r2.host) == (cast.b1.host, cast.b2.host)
    for guest, colour in ((cast.r1, "red"), (cast.b1, "blue")):
        guest.shell(f"echo {colour} >/tmp/colour")
        guest.offer(7300, "cat /tmp/colour")
    assert cast.r2.shell(f"timeout 15 nc {cast.r1.address()} 7300").strip() == "red"
    assert cast.b2.shell(f"timeout 15 nc {cast.b1.address()} 7300").strip() == "blue"


def test_on_the_underlay_each_project_is_in_a_vxlan_of_its_own_and_no_guest_hears_the_other(cast: Cast) -> None:
    red, blue = {cast.r1.mac(), cast.r2.mac()}, {cast.b1.mac(), cast.b2.mac()}
    addresses = cast.r2.address(), cast.b2.address()
    one, two, _ = cast.yard.hosts
    with (
        Sniffer(cast.yard.ground, UNDERLAY) as underlay, Sniffer(two, cast.b2.tap()) as blue_tap,
        Sniffer(two, cast.r2.tap()) as red_tap, Sniffer(one, cast.b1.tap()) as other_blue_tap,
    ):
        cast.r1.shell("ip neigh flush dev eth0; arping -c 1 -w 1 10.64.15.250; true")  # a question that goes to everybody
        cast.r1.shell(f"ping -c 3 -i 0.1 {addresses[0]}")
        cast.b1.shell(f"ping -c 3 -i 0.1 {addresses[1]}")
        carried = [inner for frame in underlay.heard() if (inner := frame.inner())]
        assert {frame.vni for frame in carried if frame.source in red} == {cast.red_net["segment"]}
        assert {frame.vni for frame in carried if frame.source in blue} == {cast.blue_net["segment"]}
        assert red_tap.heard_like(lambda frame: frame.source == cast.r1.mac())
        assert not red_tap.heard_like(lambda frame: frame.source in blue)
        assert blue_tap.heard_like(lambda frame: frame.source == cast.b1.mac())
        assert not blue_tap.heard_like(lambda frame: frame.source in red)
        assert not other_blue_tap.heard_like(lambda frame: frame.source in red)


def test_hosts_without_a_port_in_a_network_get_none_of_its_frames(cast: Cast) -> None:
    with Sniffer(cast.third, "eth0") as nic:
        cast.b1.shell("arping -c 2 -w 2 10.64.15.250; true")
        cast.b1.shell(f"ip neigh flush dev eth0; ping -c 2 -i 0.1 {cast.b2.address()}")
        cast.r1.shell(f"ping -c 1 {cast.r3.address()}")
        seen = {inner.vni for frame in nic.heard() if (inner := frame.inner())}
    assert seen == {cast.red_net["segment"]}


def test_on_the_wire_each_project_has_a_tag_of_its_own_and_no_guest_hears_the_other(cast: Cast) -> None:
    macs = {cast.v1.mac(), cast.v2.mac()}
    two = cast.yard.hosts[1]
    with Sniffer(cast.yard.ground, WIRE) as wire, Sniffer(two, cast.w2.tap()) as stranger, Sniffer(two, cast.v2.tap()) as friend:
        cast.v1.shell(f"ip neigh flush dev eth0; ping -c 3 -i 0.1 {cast.v2.address()}")
        cast.w2.shell("arping -c 1 -w 1 10.20.0.250; true")
        wait_until(lambda: wire.heard_like(lambda frame: frame.source == cast.w2.mac()), "its question comes to the wire", 30)
        assert {frame.tag for frame in wire.heard() if frame.source in macs} == {cast.red_vlan["segment"]}
        assert {frame.tag for frame in wire.heard() if frame.source == cast.w2.mac()} == {cast.blue_vlan["segment"]}
        assert friend.heard_like(lambda frame: frame.source == cast.v1.mac())
        assert not friend.heard_like(lambda frame: frame.source == cast.w2.mac())
        assert not stranger.heard_like(lambda frame: frame.source in macs)


def test_what_hosts_route_never_bears_the_shared_gateway_mac_on_a_wire(cast: Cast) -> None:
    shared = {names.gateway_mac(net["id"]) for net in (cast.red_net, cast.red_vlan)}
    with Sniffer(cast.yard.ground, WIRE) as wire, Sniffer(cast.yard.ground, UNDERLAY) as underlay:
        cast.r1.shell(f"ping -c 2 -i 0.1 {cast.v2.address()}")
        cast.v1.shell(f"ping -c 2 -i 0.1 {cast.r3.address()}")
        routed = wire.heard_like(lambda frame: frame.tag == cast.red_vlan["segment"] and frame.target == cast.v2.mac())
        carried = [inner for frame in underlay.heard() if (inner := frame.inner())]
        assert routed
        assert not {frame.source for frame in wire.heard()} & shared
        assert not {frame.source for frame in carried} & shared


def test_a_tag_that_is_nobodys_and_frames_without_one_reach_no_guest(cast: Cast) -> None:
    stranger = "02:00:00:00:00:99"
    question = arp(1, stranger, "10.20.0.77", "00:00:00:00:00:00", cast.v2.address())
    outside = cast.yard.outside
    with Sniffer(cast.yard.hosts[1], cast.v2.tap()) as tap, outside.raw(WIRE_NIC) as nic:
        for tag in (None, 555, 4094):
            nic.send(ethernet(stranger, BROADCAST, ARP, question, tag=tag))
        nic.send(ethernet(stranger, cast.v2.mac(), IPV4, ping("10.20.0.77", cast.v2.address())))
        nic.send(ethernet(stranger, BROADCAST, ARP, question, tag=cast.red_vlan["segment"]))
        until = time.monotonic() + 30
        while not (heard := tap.heard_like(lambda frame: frame.source == stranger)):
            assert time.monotonic() < until, "not even the one with the right tag came"
            time.sleep(0.02)
    assert len(heard) == 1


def test_nobody_on_the_wire_may_be_the_gateway(cast: Cast) -> None:
    gateway = names.gateway_mac(cast.red_vlan["id"])
    claim = arp(2, "02:00:00:00:00:99", "10.20.0.1", cast.v2.mac(), cast.v2.address())
    tag = cast.red_vlan["segment"]
    cast.v2.comes_to_ping("10.20.0.1")
    with Sniffer(cast.yard.hosts[1], cast.v2.tap()) as tap, cast.yard.outside.raw(WIRE_NIC) as nic:
        nic.send(ethernet("02:00:00:00:00:99", cast.v2.mac(), ARP, claim, tag=tag))
        nic.send(ethernet(gateway, cast.v2.mac(), IPV4, ping("10.20.0.1", cast.v2.address()), tag=tag))
        # What is allowed comes through the same way later, so the others had their time.
        nic.send(ethernet("02:00:00:00:00:98", BROADCAST, ARP, arp(1, "02:00:00:00:00:98", "10.20.0.78", "00:00:00:00:00:00", cast.v2.address()), tag=tag))
        until = time.monotonic() + 30
        while not tap.heard_like(lambda frame: frame.source == "02:00:00:00:00:98"):
            assert time.monotonic() < until, "not even what is allowed came"
            time.sleep(0.02)
        assert not tap.heard_like(lambda frame: frame.source == "02:00:00:00:00:99" or b"cloudsite-frames" in frame.raw)
    neighbour = cast.v2.shell("ip neigh show 10.20.0.1")
    assert re.search(r"lladdr (\S+)", neighbour)[1] == gateway
