"""What changed of hosts is noted where it changes, and read once by everybody who keeps a table of them."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import transaction
from pytest_django import DjangoAssertNumQueries

from apps.common.context import SYSTEM
from apps.hosts import selectors
from apps.hosts.models import DeltaFloor, HostDelta
from apps.hosts.services import admission, aggregates, deltas, enrol, zones
from apps.operations.services.ticker import mark_silent_hosts
from tests.support.cloud import Cloud
from tests.support.fixtures import Time
from tests.support.hosts import FakeHost
from tests.support.threads import undisturbed

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def news() -> Iterator[set[uuid.UUID]]:
    """Hosts that were noted within the block."""
    cursor = deltas.read(None).cursor
    found: set[uuid.UUID] = set()
    yield found
    changed = deltas.read(cursor).changed
    assert changed is not None
    found |= changed


# Reading


def test_who_begins_reads_everything_and_then_only_what_changed() -> None:
    one, two = uuid.uuid4(), uuid.uuid4()
    first = deltas.read(None)
    assert first.changed is None
    assert deltas.read(first.cursor).changed == set()
    deltas.note([one, two, one])
    second = deltas.read(first.cursor)
    assert second.changed == {one, two}
    assert deltas.read(second.cursor).changed == set()


def test_what_is_rolled_back_did_not_change() -> None:
    with news() as found, pytest.raises(ZeroDivisionError), transaction.atomic():
        deltas.note([uuid.uuid4()])
        raise ZeroDivisionError
    assert found == set()


def test_nothing_to_note_costs_nothing(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        deltas.note([])


def test_who_has_not_read_before_they_were_forgotten_reads_everything(time_machine: Time) -> None:
    lagging = deltas.read(None).cursor
    deltas.note([uuid.uuid4()])
    undisturbed()
    current = deltas.read(lagging).cursor
    assert deltas.prune() == 0  # they are young
    time_machine.forward(deltas.KEPT_S + 1)
    fresh = uuid.uuid4()
    deltas.note([fresh])
    assert deltas.prune() == 1
    assert deltas.read(lagging).changed is None
    assert deltas.read(current).changed == {fresh}
    assert HostDelta.objects.count() == 1
    again = deltas.read(deltas.read(lagging).cursor)
    assert again.changed is not None, "who read everything begins anew"


def test_a_cursor_of_another_database_reads_everything() -> None:
    deltas.note([uuid.uuid4()])
    assert deltas.read(deltas.Cursor(2**60)).changed is None
    DeltaFloor.objects.all().delete()
    assert deltas.read(deltas.read(None).cursor).changed == set()


# What is noted


def test_enrolment_and_the_first_hello_are_news_and_a_repeated_hello_is_none(cloud: Cloud, time_machine: Time) -> None:
    with news() as found:
        host = FakeHost(cloud.bus)
    assert found == {host.id}
    with news() as found:
        host.hello()
    assert found == {host.id}
    time_machine.forward(1)
    with news() as found:
        host.hello(repeated=True)
    assert found == set()


def test_renewing_a_key_is_no_news_for_schedulers() -> None:
    enrol.enrol(actor=SYSTEM, name="hv1")
    with news() as found:
        enrol.enrol(actor=SYSTEM, name="hv1", renew=True)
    assert found == set()


def test_a_heartbeat_is_news_when_the_state_the_hypervisor_or_the_load_changed(cloud: Cloud, time_machine: Time) -> None:
    host, quiet = cloud.host(), cloud.host()

    def beat(**said: object) -> set[uuid.UUID]:
        time_machine.forward(1)
        with news() as found:
            host.heartbeat(**said)
            quiet.heartbeat()
        return found

    def load() -> int:
        (facts,) = selectors.scheduling_facts([host.id])
        return facts.load_percent

    assert beat() == set()
    assert beat(load_percent=4) == set() and load() == 0
    assert beat(load_percent=5) == {host.id} and load() == 5
    assert beat(load_percent=9) == set() and load() == 5
    assert beat(load_percent=40) == {host.id} and load() == 40
    assert beat(load_percent=36) == set()
    assert beat(load_percent=36, hypervisor_ok=False) == {host.id}
    assert selectors.scheduling_facts([host.id])[0].state == "hypervisor"
    assert beat(load_percent=36) == {host.id}
    assert beat(load_percent=10**6) == {host.id} and load() == 1000
    assert beat(load_percent=-5) == {host.id} and load() == 0


def test_silence_and_the_return_from_it_are_news(cloud: Cloud, time_machine: Time) -> None:
    host = cloud.host()
    time_machine.forward(1000)
    with news() as found:
        assert mark_silent_hosts() == 1
    assert found == {host.id}
    with news() as found:
        mark_silent_hosts()
    assert found == set()
    with news() as found:
        host.heartbeat()
    assert found == {host.id}


def test_what_operators_change_is_news_of_the_hosts_concerned_only(cloud: Cloud) -> None:
    host, _ = cloud.host("hv1", zone="west"), cloud.host("hv2")
    west = zones.ensure(actor=SYSTEM, name="west")
    fast = aggregates.create(actor=SYSTEM, name="fast")
    changes: list[Callable[[], object]] = [
        lambda: admission.update(actor=SYSTEM, host_id=host.id, enabled=False), lambda: admission.update(actor=SYSTEM, host_id=host.id, enabled=True),
        lambda: zones.update(actor=SYSTEM, zone_id=west.pk, enabled=False),
        lambda: aggregates.add_host(actor=SYSTEM, aggregate_id=fast.pk, host_id=host.id),
        lambda: aggregates.update(actor=SYSTEM, aggregate_id=fast.pk, metadata={"disk": "nvme"}),
        lambda: aggregates.remove_host(actor=SYSTEM, aggregate_id=fast.pk, host_id=host.id),
        lambda: admission.update(actor=SYSTEM, host_id=host.id, zone="default"),
    ]
    for change in changes:
        with news() as found:
            change()
        assert found == {host.id}
    same: list[Callable[[], object]] = [
        lambda: admission.update(actor=SYSTEM, host_id=host.id, zone="default", enabled=True),
        lambda: zones.update(actor=SYSTEM, zone_id=west.pk, enabled=False, description="west"),
        lambda: aggregates.update(actor=SYSTEM, aggregate_id=fast.pk, metadata={"disk": "ssd"}),  # nobody is in it
    ]
    for change in same:
        with news() as found:
            change()
        assert found == set()


def test_a_host_that_is_plugged_into_another_wire_is_news(cloud: Cloud, time_machine: Time) -> None:
    host = cloud.host()
    time_machine.forward(1)
    with news() as found:
        host.wires = ["blue"]
        host.hello()
    assert found == {host.id}


def test_what_a_host_says_it_can_is_news_when_it_changed(cloud: Cloud, time_machine: Time) -> None:
    host = cloud.host()
    for traits, expected in ((["HW_CPU_X86_AVX2"], {host.id}), (["HW_CPU_X86_AVX2"], set()), ([], {host.id})):
        time_machine.forward(1)
        host.traits = traits
        with news() as found:
            host.hello(repeated=True)
        assert found == expected


# What schedulers read


def test_the_facts_of_some_hosts_are_the_facts_of_all_of_them(cloud: Cloud) -> None:
    hosts = [cloud.host(f"hv{number}", zone="west" if number % 2 else "default") for number in range(4)]
    made = [aggregates.create(actor=SYSTEM, name=name) for name in ("fast", "near")]
    for aggregate in made:
        aggregates.add_host(actor=SYSTEM, aggregate_id=aggregate.pk, host_id=hosts[1].id)
    zones.update(actor=SYSTEM, zone_id=zones.ensure(actor=SYSTEM, name="west").pk, enabled=False)
    everything = {facts.id: facts for facts in selectors.scheduling_facts()}
    assert list(everything) == sorted(everything)
    fact = everything[hosts[1].id]
    assert (fact.name, fact.zone, fact.zone_enabled, fact.state) == ("hv1", "west", False, "up")
    assert fact.aggregate_ids == tuple(sorted(aggregate.pk for aggregate in made))
    assert everything[hosts[0].id].zone_enabled and everything[hosts[0].id].aggregate_ids == ()
    some = [hosts[1].id, hosts[2].id, uuid.uuid4()]
    assert selectors.scheduling_facts(some) == [everything[key] for key in sorted(some[:2])]
    many = [*some, *(uuid.uuid4() for _ in range(1500))]
    assert selectors.scheduling_facts(many) == [everything[key] for key in sorted(some[:2])]
    assert selectors.scheduling_facts([]) == []


def test_the_facts_take_three_statements_whatever_their_number(cloud: Cloud, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    for number in range(5):
        cloud.host(f"hv{number}")
    with django_assert_num_queries(3):
        selectors.scheduling_facts()
