"""Zones and aggregates while others use them, and deltas whose transactions end in another order than they began."""

import threading
import uuid
from collections.abc import Callable
from functools import partial

import pytest
from django.db import connection, transaction

from apps.common.context import SYSTEM
from apps.common.errors import CloudError
from apps.hosts.models import Aggregate, AggregateHost, Host, Zone
from apps.hosts.services import admission, aggregates, deltas, enrol, zones
from apps.placement.models import ProviderAggregate, ResourceProvider
from apps.placement.services import inventories, providers
from tests.support.postgres import Deadlocks
from tests.support.threads import errors, one_within_the_other, together, unexpected

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_zone_is_deleted_or_gets_its_host_but_never_both() -> None:
    for attempt in range(12):
        zone = zones.create(actor=SYSTEM, name=f"west-{attempt}")
        host = enrol.enrol(actor=SYSTEM, name=f"old-{attempt}").host
        results = together([
            partial(enrol.enrol, actor=SYSTEM, name=f"hv-{attempt}", zone=zone.name),
            partial(zones.delete, actor=SYSTEM, zone_id=zone.pk),
            partial(admission.update, actor=SYSTEM, host_id=host.pk, zone=zone.name),
        ])
        assert unexpected(results, CloudError) == []
        used = Host.objects.filter(zone=zone.name).exists()
        assert used == Zone.objects.filter(pk=zone.pk).exists()


def test_an_aggregate_is_deleted_or_gets_its_host_but_never_both(deadlocks: Deadlocks) -> None:
    host = enrol.enrol(actor=SYSTEM, name="hv1").host
    inventories.report(provider_id=host.pk, name="hv1", totals={"VCPU": 8})
    for attempt in range(12):
        made = aggregates.create(actor=SYSTEM, name=f"fast-{attempt}")
        results = together([
            partial(aggregates.add_host, actor=SYSTEM, aggregate_id=made.pk, host_id=host.pk),
            partial(aggregates.delete, actor=SYSTEM, aggregate_id=made.pk),
        ])
        assert unexpected(results, CloudError) == []
        there = Aggregate.objects.filter(pk=made.pk).exists()
        assert there == AggregateHost.objects.filter(aggregate_id=made.pk).exists()
        assert there == ProviderAggregate.objects.filter(aggregate_id=made.pk).exists()
    assert deadlocks() == 0, deadlocks.details()


def test_hosts_that_come_and_go_at_once_are_in_placement_as_they_are_in_the_end(deadlocks: Deadlocks) -> None:
    hosts = [enrol.enrol(actor=SYSTEM, name=f"hv{number}").host.pk for number in range(3)]
    for host_id in hosts:
        inventories.report(provider_id=host_id, name=str(host_id), totals={"VCPU": 8})
    made = [aggregates.create(actor=SYSTEM, name=f"a{number}").pk for number in range(3)]

    def churn(aggregate_id: uuid.UUID, host_id: uuid.UUID) -> None:
        for _ in range(5):
            aggregates.add_host(actor=SYSTEM, aggregate_id=aggregate_id, host_id=host_id)
            aggregates.remove_host(actor=SYSTEM, aggregate_id=aggregate_id, host_id=host_id)
        aggregates.add_host(actor=SYSTEM, aggregate_id=aggregate_id, host_id=host_id)

    assert errors(together([partial(churn, aggregate_id, host_id) for aggregate_id in made for host_id in hosts])) == []
    pairs = set(AggregateHost.objects.values_list("host_id", "aggregate_id"))
    assert len(pairs) == 9
    assert set(ProviderAggregate.objects.values_list("provider_id", "aggregate_id")) == pairs
    assert deadlocks() == 0, deadlocks.details()


@pytest.mark.parametrize("moves_first", [True, False], ids=["move first", "hello first"])
@pytest.mark.parametrize("joins", [True, False], ids=["joins", "leaves"])
def test_a_host_that_moves_while_it_says_its_first_hello_is_in_placement_where_it_is(joins: bool, moves_first: bool) -> None:
    """Neither of the two transactions sees what the other has written, so one of them waits."""
    made = aggregates.create(actor=SYSTEM, name="fast")
    host = enrol.enrol(actor=SYSTEM, name="hv1").host
    move: Callable[[], object] = partial(aggregates.add_host, actor=SYSTEM, aggregate_id=made.pk, host_id=host.pk)
    if not joins:
        move()
        move = partial(aggregates.remove_host, actor=SYSTEM, aggregate_id=made.pk, host_id=host.pk)
    hello = partial(inventories.report, provider_id=host.pk, name=host.name, totals={"VCPU": 8})
    one_within_the_other(*((move, hello) if moves_first else (hello, move)))
    assert ProviderAggregate.objects.filter(provider_id=host.pk).exists() is joins


def test_a_client_that_takes_a_hosts_name_during_its_first_hello_does_not_keep_it_out() -> None:
    host = enrol.enrol(actor=SYSTEM, name="hv1").host
    one_within_the_other(
        partial(providers.create, actor=SYSTEM, name="hv1"),
        partial(inventories.report, provider_id=host.pk, name=host.name, totals={"VCPU": 8}),
    )
    assert ResourceProvider.objects.get(pk=host.pk).name == f"hv1 {host.pk}"


def test_a_delta_whose_transaction_ends_late_is_read_all_the_same() -> None:
    early, late = uuid.uuid4(), uuid.uuid4()
    begun, go = threading.Event(), threading.Event()

    def slow() -> None:
        try:
            with transaction.atomic():
                deltas.note([early])
                begun.set()
                assert go.wait(30)
        finally:
            connection.close()

    cursor = deltas.read(None).cursor
    thread = threading.Thread(target=slow)
    thread.start()
    assert begun.wait(30)
    deltas.note([late])  # begun later, ended earlier
    first = deltas.read(cursor)
    assert first.changed == {late}
    go.set()
    thread.join()
    second = deltas.read(first.cursor)
    assert second.changed is not None and early in second.changed
    assert deltas.read(second.cursor).changed == set()
