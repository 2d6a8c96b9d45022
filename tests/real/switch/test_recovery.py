"""Agents and switches that start anew, hands that take things out, ports that go: what is right stays, the rest is mended."""

import time

import pytest

from agent.drivers.command import run
from agent.drivers.openvswitch import names
from contracts.network.v2 import Network
from tests.real.hosts import frames
from tests.real.hosts.frames import BROADCAST, IPV4, ethernet
from tests.real.switch.rules import PINGS, ready, tcp
from tests.real.switch.talk import Talk
from tests.real.switchyard import Guest, Host, Yard, unavailable

pytestmark = [pytest.mark.real, pytest.mark.skipif(bool(unavailable()), reason=unavailable())]


def test_converging_again_changes_nothing(yard: Yard, here: Host, net: Network) -> None:
    yard.a_guest(net, 5, here)
    ready(yard)
    before = {line.split("cookie=")[1].split(", duration")[0] + line.split("table=")[1] for line in _static(here)}
    ready(yard)
    assert before == {line.split("cookie=")[1].split(", duration")[0] + line.split("table=")[1] for line in _static(here)}


def _static(host: Host) -> list[str]:
    return [",".join(part for part in line.split(", ") if not part.startswith(("duration", "n_", "idle", "hard"))) + ", duration"
            for line in host.switch.openflow.dump()]  # fmt: skip


def test_a_restarted_agent_cuts_nothing(yard: Yard, pair: tuple[Guest, Guest], here: Host, there: Host) -> None:
    client, server = pair
    yard.change(server.port, groups=[*server.port.groups, yard.a_group(tcp(80))])
    ready(yard)
    ages = {host: host.oldest_flow_s() for host in yard.hosts}
    with Talk(client, server, 80) as talk:
        assert talk.opens()
        for host in yard.hosts:
            host.restart_agent()
        ready(yard)
        assert talk.passes()
    assert all(host.oldest_flow_s() > ages[host] for host in yard.hosts)


def test_a_restarted_switch_is_noticed_and_gets_its_flows_again(yard: Yard, pair: tuple[Guest, Guest], there: Host) -> None:
    client, server = pair
    yard.change(server.port, groups=[*server.port.groups, yard.a_group(*PINGS)])
    ready(yard)
    assert client.pings("10.64.0.6")
    there.woken.clear()
    there.restart_ovs()
    assert there.woken.wait(60)
    there.converge()
    assert there.findings.problems == []
    assert client.pings("10.64.0.6")


def test_a_port_taken_out_by_hand_is_noticed_and_put_back(yard: Yard, pair: tuple[Guest, Guest], here: Host, there: Host) -> None:
    client, server = pair
    yard.change(server.port, groups=[*server.port.groups, yard.a_group(*PINGS)])
    ready(yard)
    net_id = server.port.network
    for device in (names.tap(server.port.id), names.vxlan(net_id)):
        there.woken.clear()
        there.vsctl("del-port", "br-int", device)
        assert there.woken.wait(60)
        until = time.monotonic() + 30
        while not there.converge().mended:  # what woke it may have been an echo of something before
            assert time.monotonic() < until
        assert there.findings.mended == [f"{device} was not on the bridge any more"]
        assert client.pings("10.64.0.6")


def test_a_tunnel_device_deleted_by_hand_is_made_again(yard: Yard, pair: tuple[Guest, Guest], there: Host) -> None:
    client, server = pair
    yard.change(server.port, groups=[*server.port.groups, yard.a_group(*PINGS)])
    ready(yard)
    run("ip", "link", "delete", names.vxlan(server.port.network), namespace=there.namespace)
    until = time.monotonic() + 60
    while not client.pings("10.64.0.6", within_s=0.5):
        assert time.monotonic() < until
        there.converge()


def test_a_gateway_made_anew_is_plugged_in_again(yard: Yard, here: Host, net: Network) -> None:
    me = yard.a_guest(net, 5, here)
    gateway = here.add_gateway(net)
    ready(yard)
    gateway.close()
    gateway = here.add_gateway(net)
    ask = ethernet(me.port.mac, BROADCAST, IPV4, frames.udp("0.0.0.0", "255.255.255.255", 68, 67, b"discover"))
    until = time.monotonic() + 60
    while True:
        here.converge()
        me.send(ask)
        if gateway.hears(ask, 0.5):
            break
        assert time.monotonic() < until


def test_flows_deleted_by_hand_are_found_missing(yard: Yard, pair: tuple[Guest, Guest], there: Host) -> None:
    client, server = pair
    yard.change(server.port, groups=[*server.port.groups, yard.a_group(*PINGS)])
    ready(yard)
    there.ofctl("del-flows", "br-int", "table=45")
    until = time.monotonic() + 30
    while client.pings("10.64.0.6", within_s=0.3):  # the switch forgets what it made of them some time later
        assert time.monotonic() < until
    there.switch._rounds = 0  # not the round in which everything is compared anyway, and nothing told
    there.converge()
    assert len(there.findings.mended) == 1 and "flows instead of" in there.findings.mended[0]
    assert client.pings("10.64.0.6")


def test_of_a_port_that_is_gone_nothing_is_left(yard: Yard, pair: tuple[Guest, Guest], here: Host, there: Host) -> None:
    client, server = pair
    yard.change(server.port, groups=[*server.port.groups, yard.a_group(tcp(80))])
    ready(yard)
    with Talk(client, server, 80) as talk:
        assert talk.opens() and talk.passes()
        assert "10.64.0.5" in there.connections()
        del yard.ports[server.port.id]
        ready(yard)
        assert talk.is_cut()
    for host in yard.hosts:
        flows = "\n".join(host.switch.openflow.dump())
        assert server.port.mac not in flows and "10.64.0.6" not in flows
    assert "10.64.0.5" not in there.connections()
    assert server.port.mac not in here.fdb()


def test_a_guest_that_moves_is_found_where_it_is(yard: Yard, pair: tuple[Guest, Guest], here: Host, there: Host) -> None:
    client, server = pair
    moved = yard.change(server.port, groups=[*server.port.groups, yard.a_group(*PINGS)], host=here.address)
    there.unplug(server)
    twin = here.plug(moved)
    ready(yard, twin)
    assert client.pings("10.64.0.6")


def test_a_flood_goes_to_hosts_with_ports_in_the_network_only(yard: Yard, here: Host, there: Host) -> None:
    net, other = yard.a_network(segment=7001), yard.a_network(segment=7002)
    yard.a_guest(net, 5, here)
    yard.a_guest(net, 6, there)
    yard.a_guest(other, 5, here)
    ready(yard)
    assert f"00:00:00:00:00:00 dev {names.vxlan(net.id)} dst {there.address}" in here.fdb()
    assert f"dev {names.vxlan(other.id)} dst" not in here.fdb()
