"""Whatever is lost, late or twice on the way: in the end a host knows what it needs."""

from unittest import mock

import pytest

from apps.hosts.services import presence
from apps.network.models import Change, HostNetwork
from apps.network.services import tell as telling
from apps.network.services.tell import tell
from contracts import topics
from contracts.network import v2
from tests.support.bus import FakeBus
from tests.support.fixtures import Time
from tests.support.telling import World, afresh, knows, nothing_new, settle

pytestmark = pytest.mark.django_db(transaction=True)


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
    time_machine.stand()
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
