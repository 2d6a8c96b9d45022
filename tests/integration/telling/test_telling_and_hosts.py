"""What hosts say of themselves and of what they were told: where they are reached, how far they are, what is wrong."""

import uuid

import pytest

from apps.common.context import SYSTEM
from apps.common.errors import Forbidden, NotFound
from apps.network.models import HostNetwork
from apps.network.selectors import hosts as host_selectors
from apps.network.services import tell as telling
from apps.network.services.tell import tell
from contracts import topics
from contracts.network import v2
from tests.support.bus import FakeBus
from tests.support.fixtures import Time
from tests.support.identity import make_actor
from tests.support.telling import Site, World, nothing_new, settle

pytestmark = pytest.mark.django_db(transaction=True)


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
