"""Hosts are told what they need of networks, no more, and know it in the end whatever is lost on the way."""

import ipaddress
import uuid
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.db import transaction

from apps.common import clock
from apps.common.bus import Message
from apps.common.context import SYSTEM
from apps.common.errors import Forbidden, NotFound
from apps.common.sql import insert_rows
from apps.hosts.services import presence
from apps.network.models import (
    Change,
    FixedIP,
    HostNetwork,
    Network,
    PhysicalNetwork,
    Port,
    PortGroup,
    SecurityGroup,
    Subnet,
)
from apps.network.payloads import objects
from apps.network.selectors import hosts as host_selectors
from apps.network.services import changes, port_rows
from apps.network.services import tell as telling
from apps.network.services.tell import tell
from contracts import topics
from contracts.envelope import MAX_WIRE_BYTES
from contracts.network import v2
from tests.support.bus import FakeBus
from tests.support.fixtures import Time
from tests.support.identity import make_actor
from tests.support.routing import add_subnet, outside
from tests.support.telling import Site, World, afresh, committed, knows, settle

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sites(bus: FakeBus) -> list[Site]:
    """Three hosts that have said hello and know that there is nothing."""
    made = [Site(bus).start() for _ in range(3)]
    settle(made)
    return made


@pytest.fixture
def world(sites: list[Site]) -> World:
    return World(sites)


def nothing_new(site: Site) -> bool:
    tell()
    return not site.take()


# What a host is told.


def test_a_host_that_says_hello_is_told_its_whole_state_even_if_that_is_nothing(bus: FakeBus) -> None:
    site = Site(bus).start()
    tell()

    (state,) = site.take()

    assert isinstance(state, v2.State)
    assert state.generation == 1
    assert nothing_new(site)


def test_a_port_comes_to_its_host_with_its_network_and_groups_and_to_others_of_the_network_as_a_peer(world: World) -> None:
    first, second, third = world.hosts
    network, group = world.network(mtu=1400), world.group()
    one = world.port(network, first, group, dns_name="web")
    settle(world.hosts)

    two = world.port(network, second)
    tell()
    (change,) = first.take()
    settle(world.hosts)

    assert isinstance(change, v2.Change)
    assert [(port.id, port.here, port.host) for port in change.objects.ports] == [(str(two.pk), False, second.tunnel_address)]
    assert not change.objects.networks
    own = first.desired.ports[str(one.pk)]
    assert (own.here, own.host, own.name, own.groups, own.instance) == (True, "", "web", [str(group.pk)], str(one.device_id))
    assert [address.address for address in own.addresses] == ["10.0.0.2"]
    peer = second.desired.ports[str(one.pk)]
    assert (peer.here, peer.host, peer.groups) == (False, first.tunnel_address, [])
    assert second.desired.networks[str(network.pk)].mtu == 1400
    assert str(group.pk) in first.desired.groups
    assert not second.desired.groups
    assert not third.desired.ports
    assert not third.desired.networks


def test_a_routing_domain_comes_with_all_its_networks_and_goes_with_the_last_port(world: World) -> None:
    first, second, _ = world.hosts
    here, there, router = world.network(), world.network(), world.router()
    world.attach(router, here)
    world.attach(router, there)
    far = world.port(there, second)
    near = world.port(here, first)
    settle(world.hosts)

    assert set(first.desired.networks) == {str(here.pk), str(there.pk)}
    assert set(first.desired.ports) == {str(near.pk), str(far.pk)}
    assert first.desired.networks[str(here.pk)].router == str(router.pk)
    assert all(subnet.routed for network in first.desired.networks.values() for subnet in network.subnets)

    world.unplug(near)
    settle(world.hosts)

    assert not any(knows(first).values())
    assert set(second.desired.ports) == {str(far.pk)}


def test_ports_that_are_on_no_host_are_told_to_nobody(world: World) -> None:
    first, _, _ = world.hosts
    network = world.network()
    port = world.port(network, first)
    settle(world.hosts)

    idle = world.port(network, None)

    assert not Change.objects.exists()
    assert nothing_new(first)
    world.move(idle, first)
    settle(world.hosts)
    assert set(first.desired.ports) == {str(port.pk), str(idle.pk)}
    world.move(idle, None)
    settle(world.hosts)
    assert set(first.desired.ports) == {str(port.pk)}


def test_a_rule_goes_to_the_hosts_of_its_group_and_to_no_other(world: World) -> None:
    first, second, third = world.hosts
    network, group = world.network(), world.group()
    world.port(network, first, group)
    world.port(network, second, group)
    world.port(network, third)
    settle(world.hosts)

    world.rule(group, protocol=6, first=443, last=443, cidr="0.0.0.0/0")
    tell()

    for site in (first, second):
        (change,) = site.take()
        (rule,) = change.objects.groups[0].rules
        assert (rule.ingress, rule.protocol, rule.first, rule.last, rule.cidr) == (True, 6, 443, 443, "0.0.0.0/0")
        assert not change.objects.ports
    assert not third.take()


def test_members_of_a_group_that_rules_name_are_known_wherever_they_are(world: World) -> None:
    first, second, _ = world.hosts
    friends = world.group()
    own = world.group(friends)
    world.port(world.network(), first, own)
    friend = world.port(world.network(), second, friends)
    settle(world.hosts)

    assert first.desired.addresses_of(str(friends.pk)) == {str(friend.fixed_ips.get().address)}
    assert str(friend.pk) not in first.desired.ports

    world.regroup(friend)
    settle(world.hosts)
    assert not first.desired.addresses_of(str(friends.pk))

    world.regroup(friend, friends)
    settle(world.hosts)
    assert first.desired.addresses_of(str(friends.pk))

    world.unplug(friend)
    settle(world.hosts)
    assert not first.desired.members


def test_a_group_that_is_named_no_more_goes_with_its_members(world: World) -> None:
    first, second, _ = world.hosts
    friends, own = world.group(), world.group()
    rule = world.rule(own, remote_group=friends)
    world.port(world.network(), first, own)
    world.port(world.network(), second, friends)
    settle(world.hosts)
    assert first.desired.members

    world.unrule(rule)
    settle(world.hosts)

    assert not first.desired.members


def test_a_floating_ip_is_known_on_all_hosts_of_its_domain_and_moves_with_its_port(world: World) -> None:
    first, second, _ = world.hosts
    external = committed(outside, "203.0.113.0/24")
    network, router = world.network(), world.router(external_network=external)
    world.attach(router, network)
    one, two = world.port(network, first), world.port(network, second)
    settle(world.hosts)
    way_out = first.desired.routers[str(router.pk)].out
    assert way_out is not None
    assert (way_out.network.kind, way_out.addresses) == (v2.Kind.HOST, [])

    made = world.floating(external, one, "203.0.113.7")
    settle(world.hosts)
    for site in (first, second):
        tied = site.desired.floating[str(made.pk)]
        assert (tied.address, tied.fixed, tied.port, tied.router) == ("203.0.113.7", "10.0.0.2", str(one.pk), str(router.pk))

    world.lead(made, two)
    settle(world.hosts)
    assert first.desired.floating[str(made.pk)].port == str(two.pk)

    world.lead(made, None)
    settle(world.hosts)
    assert not first.desired.floating
    assert not second.desired.floating


def test_many_changes_in_one_domain_are_one_message_for_each_host(world: World) -> None:
    first, second, _ = world.hosts
    network = world.network()
    world.port(network, second)
    settle(world.hosts)

    for _ in range(5):
        world.port(network, first)
    tell()

    (for_first,), (for_second,) = first.take(), second.take()
    assert len(for_first.objects.ports) == 6
    assert len(for_second.objects.ports) == 5


# External networks.


def test_each_host_has_an_address_of_its_own_on_a_wire_that_leads_outside_until_the_last_router_goes(world: World) -> None:
    first, second, third = world.hosts
    external, _ = _wired(first, second)
    router, network = world.router(external_network=external), world.network()
    world.attach(router, network)
    one, _, _ = world.port(network, first), world.port(network, second), world.port(network, third)
    settle(world.hosts)

    ways = [site.desired.routers[str(router.pk)].out for site in world.hosts]
    assert ways[0] is not None
    assert ways[1] is not None
    assert ways[0].gateways == ["198.51.100.1"]
    assert ways[0].addresses[0].endswith("/24")
    assert ways[0].addresses != ways[1].addresses
    assert (ways[0].network.kind, ways[0].network.physical) == (v2.Kind.FLAT, "uplink")
    # The third is not plugged in.
    assert ways[2] is None
    assert host_selectors.host_network(actor=SYSTEM, host_id=third.id).lacking[0]["code"] == "wire.missing"
    assert _gateways() == {first.id, second.id}

    world.unplug(one)
    settle(world.hosts)

    assert _gateways() == {second.id}


def test_a_full_external_network_leaves_a_host_without_a_way_out_and_the_rest_in_order(world: World) -> None:
    first, second, _ = world.hosts
    external, subnet = _wired(first, second, cidr="198.51.100.0/30")
    router, network = world.router(external_network=external), world.network()
    world.attach(router, network)
    world.port(network, first)
    settle(world.hosts)
    assert first.desired.routers[str(router.pk)].out is not None

    world.port(network, second)
    settle(world.hosts)

    assert second.desired.routers[str(router.pk)].out is None
    assert second.desired.ports
    (lacking,) = HostNetwork.objects.get(pk=second.id).lacking
    assert lacking["object"] == str(external.pk)


def _wired(*sites: Site, cidr: str = "198.51.100.0/24") -> tuple[Network, Subnet]:
    wire = PhysicalNetwork.objects.create(name="uplink")
    external = Network.objects.create(name="wired", kind="flat", physical_network=wire, external=True, shared=True)
    subnet = committed(add_subnet, external, cidr)
    for site in sites:
        site.wires = ["uplink"]
        site.start()
    settle(sites)
    return external, subnet


def _gateways() -> set[uuid.UUID]:
    return {each for each in Port.objects.filter(device_kind="host_gateway").values_list("device_id", flat=True) if each}


# What is lost, late or twice.


def test_a_host_that_missed_a_message_asks_and_knows_all_in_the_end(bus: FakeBus, world: World) -> None:
    first, _, _ = world.hosts
    network = world.network()
    world.port(network, first)
    tell()
    bus.wipe()
    world.port(network, first)
    tell()

    first.take()

    assert first.asked == 1
    settle(world.hosts)
    assert len(first.desired.ports) == 2


def test_messages_that_overtake_each_other_or_come_twice_do_no_harm(bus: FakeBus, world: World) -> None:
    first, _, _ = world.hosts
    network = world.network()
    world.port(network, first)
    tell()
    early = bus.take_queue(topics.network_queue(first.name))
    world.port(network, first)
    tell()
    late = bus.take_queue(topics.network_queue(first.name))

    first.take([*late, *early, *late, *early])
    settle(world.hosts)
    first.take([*early, *late])

    assert len(first.desired.ports) == 2
    assert knows(first) == afresh(first)


def test_a_change_that_nobody_has_told_is_told_by_the_ticker_after_a_while(world: World, time_machine: Time) -> None:
    first, _, _ = world.hosts
    port = world.port(world.network(), first, world.group())

    assert telling.tell_overlooked() == 0  # somebody is about to
    time_machine.forward(4)

    assert telling.tell_overlooked() == 1
    first.take()
    assert str(port.pk) in first.desired.ports


def test_a_lost_message_is_noticed_by_the_heartbeat_when_it_is_long_gone(
    bus: FakeBus, world: World, time_machine: Time
) -> None:
    first, _, _ = world.hosts
    world.port(world.network(), first)
    tell()
    bus.wipe()

    time_machine.forward(1)
    first.heartbeat()
    assert nothing_new(first)  # it may still be under way

    time_machine.forward(20)
    first.heartbeat()
    tell()

    assert isinstance(first.take()[0], v2.State)
    assert first.desired.ports


def test_a_teller_that_is_killed_before_it_commits_leaves_everything_to_the_next(world: World) -> None:
    first, _, _ = world.hosts
    world.port(world.network(), first)

    with mock.patch.object(telling, "update_rows", side_effect=SystemExit), pytest.raises(SystemExit):
        tell()

    assert Change.objects.exists()
    settle(world.hosts)
    assert first.desired.ports


def test_a_teller_that_is_killed_between_commit_and_sending_costs_time_only(world: World, time_machine: Time) -> None:
    first, _, _ = world.hosts
    world.port(world.network(), first)

    with mock.patch.object(telling, "_send", side_effect=SystemExit), pytest.raises(SystemExit):
        tell()

    assert not Change.objects.exists()
    time_machine.forward(20)
    first.heartbeat()
    settle(world.hosts)
    assert first.desired.ports


def test_a_broker_that_is_down_loses_nothing(bus: FakeBus, world: World, time_machine: Time) -> None:
    first, _, _ = world.hosts
    bus.down = True
    world.port(world.network(), first)
    tell()
    bus.down = False

    time_machine.forward(20)
    first.heartbeat()
    settle(world.hosts)

    assert first.desired.ports


def test_an_agent_that_starts_with_nothing_is_told_everything(world: World) -> None:
    first, _, _ = world.hosts
    world.port(world.network(), first)
    settle(world.hosts)
    known = knows(first)

    first.desired, first.network_generation = type(first.desired)(), 0
    first.start()
    settle(world.hosts)

    assert knows(first) == known


def test_an_agent_that_starts_with_what_it_had_is_told_nothing(world: World) -> None:
    first, _, _ = world.hosts
    world.port(world.network(), first)
    settle(world.hosts)

    first.start()

    assert nothing_new(first)


def test_a_host_that_is_ahead_of_a_restored_database_is_told_something_newer(world: World) -> None:
    first, _, _ = world.hosts
    world.port(world.network(), first)
    settle(world.hosts)
    ahead = first.desired.generation
    HostNetwork.objects.filter(pk=first.id).update(generation=1, applied=1)

    first.heartbeat()
    settle(world.hosts)

    assert first.desired.generation > ahead
    assert knows(first) == afresh(first)


def test_a_host_that_is_down_gets_no_heap_of_messages_but_its_whole_state_when_it_is_back(
    bus: FakeBus, world: World, time_machine: Time
) -> None:
    first, _, _ = world.hosts
    network = world.network()
    world.port(network, first)
    settle(world.hosts)
    time_machine.forward(1000)
    presence.mark_silent()

    for _ in range(3):
        world.port(network, first)
        tell()
    assert not bus.take_queue(topics.network_queue(first.name))

    first.heartbeat()
    tell()
    (state,) = first.take()
    assert isinstance(state, v2.State)
    assert len(first.desired.ports) == 4


def test_a_host_that_asks_all_the_time_is_told_once_until_that_must_be_lost(
    bus: FakeBus, world: World, time_machine: Time
) -> None:
    first, _, _ = world.hosts
    time_machine.forward(5)
    for _ in range(5):
        first.ask()
        tell()
        time_machine.forward(1)

    assert len(bus.take_queue(topics.network_queue(first.name))) == 1
    time_machine.forward(10)
    first.ask()
    tell()
    assert len(first.take()) == 1
    # It has that, and asks for more: at once, but not more than once a second.
    first.ask()
    assert nothing_new(first)
    time_machine.forward(2)
    tell()
    assert len(first.take()) == 1


def test_everybody_is_told_everything_now_and_then(world: World, time_machine: Time) -> None:
    first, _, _ = world.hosts
    assert nothing_new(first)

    time_machine.forward(3700)
    for _ in range(3):
        tell()

    assert isinstance(first.take()[0], v2.State)
    assert nothing_new(first)


# Hosts and their addresses.


def test_peers_learn_where_a_host_is_reached_now(world: World) -> None:
    first, second, _ = world.hosts
    network = world.network()
    port = world.port(network, first)
    world.port(network, second)
    settle(world.hosts)

    first.tunnel_address = "2001:db8::7"
    first.start()
    settle(world.hosts)

    assert second.desired.ports[str(port.pk)].host == "2001:db8::7"


def test_a_host_whose_agent_is_too_old_is_told_nothing_until_it_is_not(bus: FakeBus, world: World) -> None:
    old = Site(bus, speaks=list(topics.COMMANDS)).start()
    world.port(world.network(), old)
    assert nothing_new(old)

    old.speaks = [*topics.COMMANDS, *topics.STATES]
    old.start()
    settle([old])

    assert old.desired.ports


def test_what_a_host_says_is_there_for_the_operator(world: World) -> None:
    first, _, _ = world.hosts
    world.port(world.network(), first)
    settle(world.hosts)
    assert not host_selectors.applied([first.id])[first.id].up_to_date

    first.told(took_ms=12.5, problems=[v2.Problem(code="wire.missing", message="no physnet1", object="x")], mended=["a flow\0"])

    said = host_selectors.host_network(actor=SYSTEM, host_id=first.id)
    assert (said.applied, said.took_ms, said.problems[0]["message"]) == (first.desired.generation, 12.5, "no physnet1")
    assert said.mended[0]["what"] == "a flow�"
    assert host_selectors.applied([first.id])[first.id].up_to_date
    assert host_selectors.applied([first.id])[first.id].problems == {"x": "no physnet1"}

    first.told()
    assert not host_selectors.host_network(actor=SYSTEM, host_id=first.id).problems


def test_a_host_that_takes_nothing_is_late_however_often_it_is_told_and_one_that_is_at_it_is_not(
    bus: FakeBus, world: World, time_machine: Time
) -> None:
    first, second, _ = world.hosts
    for site in world.hosts:
        site.told()
    assert {row.behind_since for row in HostNetwork.objects.all()} == {None}
    network = world.network()
    for _ in range(4):
        for site in (first, second):
            world.port(network, site)
        tell()
        bus.take_queue(topics.network_queue(first.name))
        second.take()
        world.port(network, second)
        tell()  # the second host is always one behind
        time_machine.forward(20)
        for site in (first, second):
            site.told()
            site.heartbeat()

    late = {row.pk: row.is_late for row in HostNetwork.objects.all()}
    assert (late[first.id], late[second.id]) == (True, False)
    assert [row.pk for row in host_selectors.in_trouble()] == [first.id]

    settle(world.hosts)
    for site in (first, second):
        site.told()
    assert not host_selectors.in_trouble()


def test_an_operator_has_a_host_told_everything_again_and_a_tenant_has_not(world: World) -> None:
    first, _, _ = world.hosts
    with pytest.raises(Forbidden):
        telling.tell_again(actor=make_actor(world.project), host_id=first.id)
    with pytest.raises(NotFound):
        telling.tell_again(actor=SYSTEM, host_id=uuid.uuid4())

    telling.tell_again(actor=SYSTEM, host_id=first.id)
    tell()

    assert isinstance(first.take()[0], v2.State)


# What comes back before anybody noticed that it was gone.


def test_a_host_that_left_a_network_and_came_back_has_missed_nothing_of_it(world: World) -> None:
    first, second, _ = world.hosts
    network = world.network()
    mine, peer = world.port(network, first), world.port(network, second)
    settle(world.hosts)

    world.unplug(peer)
    world.unplug(mine)
    telling._round(1)  # tells of the peer, when the first host has no port there and has not been told so
    world.port(network, first)
    settle(world.hosts)

    assert str(peer.pk) not in first.desired.ports
    assert knows(first) == afresh(first)


def test_a_network_that_left_a_router_and_came_back_is_known_as_it_is(world: World) -> None:
    first, second, _ = world.hosts
    here, there, router = world.network(), world.network(), world.router()
    world.attach(router, here)
    world.attach(router, there)
    world.port(here, first)
    far = world.port(there, second)
    settle(world.hosts)

    world.unplug(far)
    world.detach(there)
    telling._round(1)
    world.attach(router, there)
    settle(world.hosts)

    assert not [port for port in first.desired.ports.values() if port.network == str(there.pk)]
    assert knows(first) == afresh(first)


def test_members_that_changed_while_no_rule_named_their_group_are_known_when_one_does_again(world: World) -> None:
    first, second, _ = world.hosts
    friends, own = world.group(), world.group()
    rule = world.rule(own, remote_group=friends)
    world.port(world.network(), first, own)
    friend = world.port(world.network(), second, friends)
    settle(world.hosts)

    world.regroup(friend)
    world.unrule(rule)
    telling._round(1)
    world.rule(own, remote_group=friends)
    settle(world.hosts)

    assert not first.desired.addresses_of(str(friends.pk))


def test_rules_that_changed_while_a_host_was_out_of_the_group_are_known_when_it_is_in_again(world: World) -> None:
    first, _, _ = world.hosts
    group = world.group()
    port = world.port(world.network(), first, group)
    settle(world.hosts)

    world.rule(group, cidr="192.0.2.0/24")
    world.regroup(port)
    telling._round(1)
    world.regroup(port, group)
    settle(world.hosts)

    assert len(first.desired.groups[str(group.pk)].rules) == 1


# More than one envelope takes.


def crowd(world: World, network: Network, site: Site, group: SecurityGroup, count: int) -> None:
    """Ports with an address and a membership each, as rows."""
    subnet = world.subnets[network.pk]
    ports = [
        Port(
            network=network, project_id=world.project.pk, mac=port_rows.new_mac(), device_id=uuid.uuid4(), host_id=site.id,
            dns_name=f"guest-{number}",
        )
        for number in range(count)
    ]
    base = ipaddress.ip_network(subnet.cidr).network_address + 10
    with transaction.atomic():
        insert_rows(ports)
        insert_rows([FixedIP(subnet=subnet, port=port, address=str(base + number)) for number, port in enumerate(ports)])
        insert_rows([PortGroup(port_id=port.pk, group_id=group.pk) for port in ports])
        changes.ports(ports)


def test_a_state_of_any_size_arrives_whether_whole_or_as_a_change(bus: FakeBus, world: World) -> None:
    first, second, third = world.hosts
    network, group = world.network("10.0.0.0/16"), world.group()
    world.rule(group, remote_group=group)
    crowd(world, network, first, group, 10_000)
    settle(world.hosts)
    bus.log.clear()

    world.port(network, second, group)  # everything of the network comes to this host by one change
    settle(world.hosts)

    wires = [wire for message in bus.log if message.queue == topics.network_queue(second.name) for wire in message.items]
    assert sum(map(len, wires)) > MAX_WIRE_BYTES > max(map(len, wires))
    assert (len(second.desired.ports), len(second.desired.members)) == (10_001, 10_001)
    assert knows(second) == afresh(second)
    assert not third.desired.ports
    assert not any(site.asked for site in world.hosts)


def test_very_many_ports_that_go_at_once_fit_as_well(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "PART_BYTES", 500)
    first, second, _ = world.hosts
    network = world.network()
    ports = [world.port(network, first) for _ in range(40)]
    world.port(network, second)
    settle(world.hosts)

    for port in ports:
        world.unplug(port)
    settle(world.hosts)

    assert len(second.desired.ports) == 1
    assert not second.asked


# Whatever happens.


@pytest.fixture(params=[objects.PART_BYTES, 600])
def _cut(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bodies in one piece, as nearly all are, and in many."""
    monkeypatch.setattr(objects, "PART_BYTES", request.param)


@pytest.mark.usefixtures("_cut")
@pytest.mark.parametrize("seed", range(6))
def test_changes_lead_where_a_whole_state_would_whatever_happens_in_between(sites: list[Site], seed: int) -> None:
    world = World(sites, seed=seed)
    external = committed(outside, "203.0.113.0/24")
    for _ in range(4):
        world.network()
        world.group()
    for _ in range(2):
        world.router(external_network=external)
    world.attach(world.routers[0], world.networks[0])
    for number in range(3):
        world.floating(external, world.port(world.networks[0], sites[0]), f"203.0.113.{number + 10}")
    for _ in range(60):
        world.random.choice(world.steps())()
        if world.random.random() < 0.4:
            tell(most=world.random.choice([1, 3, 100]))
        for site in sites:
            if world.random.random() < 0.3:
                site.take()
    settle(sites)

    known = [knows(site) for site in sites]

    for site, before in zip(sites, known, strict=True):
        assert before == afresh(site)
    assert any(site.desired.ports for site in sites)
    assert not any(site.asked for site in sites)


@pytest.mark.usefixtures("_cut")
@pytest.mark.parametrize("seed", range(3))
def test_loss_and_disorder_are_made_up_for_whatever_happens(bus: FakeBus, sites: list[Site], time_machine: Time, seed: int) -> None:
    world = World(sites, seed=seed + 100)
    for _ in range(3):
        world.network()
        world.group()
    world.router()
    for _ in range(40):
        world.random.choice(world.steps())()
        tell()
        for site in sites:
            waiting = bus.take_queue(topics.network_queue(site.name))
            single = [Message(message.queue, message.task, (wire,)) for message in waiting for wire in message.items]
            kept = [message for message in single if world.random.random() < 0.6]
            world.random.shuffle(kept)
            if world.random.random() < 0.5:
                site.take(kept)
            else:
                bus.put_back(kept)
    for _ in range(3):
        time_machine.forward(20)
        for site in sites:
            site.heartbeat()
        settle(sites)

    known = [knows(site) for site in sites]

    for site, before in zip(sites, known, strict=True):
        assert before == afresh(site)


def test_noting_changes_costs_one_statement_and_one_hint(bus: FakeBus, world: World, django_assert_num_queries: Any) -> None:
    network = world.network()
    world.port(network, world.hosts[0])
    bus.take()
    ports = list(Port.objects.filter(network=network))

    with django_assert_num_queries(3), transaction.atomic():  # with BEGIN and COMMIT
        changes.ports(ports)
        changes.ports([Port(network=network, host_id=None)])

    assert [message.task for message in bus.take()] == [topics.TELL_HOSTS]
    assert Change.objects.latest("pk").at > clock.now() - timedelta(seconds=60)
