"""States of any size, changes in any order: what a host knows is what it would be told afresh."""

import ipaddress
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from apps.common import clock
from apps.common.bus import Message
from apps.common.sql import insert_rows
from apps.network.models import Change, FixedIP, Network, Port, PortGroup, SecurityGroup
from apps.network.payloads import objects
from apps.network.services import changes, port_rows
from apps.network.services.tell import tell
from contracts import topics
from contracts.envelope import MAX_WIRE_BYTES
from tests.support.bus import FakeBus
from tests.support.fixtures import Time
from tests.support.routing import outside
from tests.support.telling import Site, World, afresh, committed, knows, settle

pytestmark = pytest.mark.django_db(transaction=True)


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
