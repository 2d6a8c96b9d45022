"""The table of hosts follows the database: whatever changes, it equals one that is read anew, and it need not read everything."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from apps.common import clock
from apps.common.context import SYSTEM
from apps.hosts.models import Host, HostDelta
from apps.hosts.services import admission, aggregates, deltas, presence, zones
from apps.operations.models import Operation
from apps.placement.models import Inventory, ProviderTrait, ResourceProvider
from apps.placement.services import claims, inventories, traits
from apps.scheduler import feed as feeds
from apps.scheduler.feed import Feed
from apps.scheduler.services import choose
from apps.scheduler.table import HostTable
from tests.support.cloud import Cloud
from tests.support.fixtures import Time
from tests.support.tables import make_request
from tests.support.threads import undisturbed

pytestmark = pytest.mark.django_db(transaction=True)


class Counted(Feed):
    """Counts how often it reads everything."""

    whole = 0

    def _read_all(self) -> HostTable:
        self.whole += 1
        return super()._read_all()


@pytest.fixture
def feed(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Of a cloud of three hosts, read once."""
    for name in ("alpha", "beta", "gamma"):
        cloud.host(name)
    made = Counted()
    monkeypatch.setattr(choose, "feed", made)
    made.current()
    return made


def assert_true(feed: Counted, *, whole: int = 1) -> None:
    """It says what is read anew, and has read everything so often."""
    anew, kept = Feed().current(), feed.current(surely=True)
    assert kept.facts() == anew.facts()
    assert {kind: kept.kinds[kind] for kind in anew.kinds} == anew.kinds
    assert feed.whole == whole


def of(feed: Feed, name: str) -> dict[str, Any]:
    return next(facts for facts in feed.current(surely=True).facts().values() if facts["name"] == name)


def host(cloud: Cloud, name: str) -> Any:
    return next(each for each in cloud.hosts if each.name == name)


def claim(host_id: uuid.UUID, **amounts: int) -> uuid.UUID:
    consumer = uuid.uuid4()
    with transaction.atomic():
        assert claims.claim([claims.Claim(consumer, uuid.uuid4(), host_id, amounts)]) == set()
    return consumer


def release(consumer: uuid.UUID) -> None:
    with transaction.atomic():
        claims.release([consumer])


def in_aggregate(cloud: Cloud) -> None:
    made = aggregates.create(actor=SYSTEM, name="fast", metadata={"disk": "ssd"})
    aggregates.add_host(actor=SYSTEM, aggregate_id=made.pk, host_id=host(cloud, "alpha").id)


def aggregate_changed(cloud: Cloud) -> None:
    in_aggregate(cloud)
    feeds.feed.current()
    made = aggregates.create(actor=SYSTEM, name="ours", project_ids=[cloud.project.pk])
    aggregates.add_host(actor=SYSTEM, aggregate_id=made.pk, host_id=host(cloud, "alpha").id)
    aggregates.update(actor=SYSTEM, aggregate_id=made.pk, metadata={"rack": "7"}, project_ids=[])


CHANGES: dict[str, Callable[[Cloud], Any]] = {
    "claim": lambda cloud: claim(host(cloud, "alpha").id, VCPU=3, MEMORY_MB=100),
    "claim and release": lambda cloud: release(claim(host(cloud, "alpha").id, VCPU=3)),
    "disabled": lambda cloud: admission.set_enabled(actor=SYSTEM, name="alpha", enabled=False),
    "zone": lambda cloud: (zones.ensure(actor=SYSTEM, name="north"), admission.update_named(actor=SYSTEM, name="alpha", zone="north")),
    "zone disabled": lambda cloud: zones.update(actor=SYSTEM, zone_id=zones.ensure(actor=SYSTEM, name="default").pk, enabled=False),
    "hypervisor lost": lambda cloud: host(cloud, "alpha").heartbeat(hypervisor_ok=False, hypervisor_error="gone"),
    "load": lambda cloud: host(cloud, "alpha").heartbeat(load_percent=80),
    "inventory": lambda cloud: inventories.adjust(actor=SYSTEM, provider_id=host(cloud, "alpha").id, resource_class="VCPU", reserved=3),
    "less memory": lambda cloud: host(cloud, "alpha").hello({"VCPU": 16, "MEMORY_MB": 512, "DISK_GB": 200}),
    "another class": lambda cloud: host(cloud, "alpha").hello({"VCPU": 16, "MEMORY_MB": 512, "CUSTOM_GPU": 2}),
    "traits": lambda cloud: traits.set_of(actor=SYSTEM, provider_id=host(cloud, "alpha").id, names=["HW_CPU_X86_AVX2", "STORAGE_DISK_SSD"]),
    "aggregate": in_aggregate,
    "aggregate changed": aggregate_changed,
    "new host": lambda cloud: cloud.host("delta"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_others_change_of_a_host_reaches_the_table(cloud: Cloud, feed: Counted, what: str) -> None:
    before = feed.current().facts()
    CHANGES[what](cloud)
    assert_true(feed)
    if what != "claim and release":
        assert feed.current().facts() != before


def test_wires_reach_the_table(cloud: Cloud, feed: Counted) -> None:
    alpha = host(cloud, "alpha")
    alpha.wires = ["physnet1"]
    alpha.hello()
    assert_true(feed)
    assert of(feed, "alpha")["wires"] == {"physnet1"}


def test_a_silent_host_is_down_in_the_table(cloud: Cloud, feed: Counted, time_machine: Time) -> None:
    time_machine.forward(3600)
    assert presence.mark_silent()
    assert_true(feed)
    assert not of(feed, "alpha")["up"]


def test_a_host_that_is_gone_leaves_the_table_and_another_may_have_its_row(cloud: Cloud, feed: Counted) -> None:
    remove(host(cloud, "beta").id)
    assert_true(feed)
    assert {each["name"] for each in feed.current().facts().values()} == {"alpha", "gamma"}
    cloud.host("delta", VCPU=3)
    assert_true(feed)
    assert feed.current().rows == 3


def remove(host_id: uuid.UUID) -> None:
    with transaction.atomic():
        Inventory.objects.filter(provider_id=host_id).delete()
        ProviderTrait.objects.filter(provider_id=host_id).delete()
        ResourceProvider.objects.filter(pk=host_id).delete()
        Host.objects.filter(pk=host_id).delete()
        deltas.note([host_id])


def test_an_unchanged_table_reads_no_host(cloud: Cloud, feed: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    feed.current(surely=True)
    feed.current(surely=True)
    read: list[set[uuid.UUID] | None] = []
    fill = feeds._fill

    def watched(table: HostTable, ids: set[uuid.UUID] | None, **more: Any) -> None:
        read.append(ids)
        fill(table, ids, **more)

    monkeypatch.setattr(feeds, "_fill", watched)
    claim(host(cloud, "alpha").id, VCPU=1)
    feed.current(surely=True)
    assert read == ([] if connection.vendor == "postgresql" else [{host(cloud, "alpha").id}]), "a claim changes only what is free"
    admission.set_enabled(actor=SYSTEM, name="beta", enabled=False)
    feed.current(surely=True)
    assert read[-1:] == [{host(cloud, "beta").id}]
    assert_true(feed)


def test_after_a_gap_everything_is_read_anew(cloud: Cloud, feed: Counted, time_machine: Time) -> None:
    claim(host(cloud, "alpha").id, VCPU=3)
    undisturbed()
    time_machine.forward(deltas.KEPT_S + 1)
    assert deltas.prune()
    assert not HostDelta.objects.exists()
    assert_true(feed, whole=2)
    assert of(feed, "alpha")["free"]["VCPU"] == 64 - 3
    assert_true(feed, whole=2)


def test_a_scheduler_that_was_restarted_knows_what_the_one_before_has_done(cloud: Cloud, feed: Counted) -> None:
    claim(host(cloud, "alpha").id, VCPU=3)
    again = Counted()
    assert of(again, "alpha")["free"]["VCPU"] == 61
    claim(host(cloud, "alpha").id, VCPU=3)
    assert_true(again)
    assert_true(feed)


# What is not settled.


def test_a_choice_that_came_to_nothing_is_forgotten(cloud: Cloud, feed: Counted) -> None:
    with transaction.atomic():
        (choice,) = choose.choose([make_request()])
        transaction.set_rollback(True)
    assert of_id(feed, choice.host_id)["free"]["VCPU"] == 64
    assert_true(feed)


def test_what_was_read_within_a_transaction_that_came_to_nothing_is_read_again(cloud: Cloud, feed: Counted) -> None:
    alpha = host(cloud, "alpha").id
    with transaction.atomic():
        claims.claim([claims.Claim(uuid.uuid4(), uuid.uuid4(), alpha, {"VCPU": 3})])
        assert of(feed, "alpha")["free"]["VCPU"] == 61
        transaction.set_rollback(True)
    claim(host(cloud, "beta").id, VCPU=1)
    assert_true(feed)
    assert of(feed, "alpha")["free"]["VCPU"] == 64


def test_a_table_that_was_first_read_within_a_transaction_is_read_again_outside(cloud: Cloud, feed: Counted) -> None:
    fresh = Counted()
    with transaction.atomic():
        claims.claim([claims.Claim(uuid.uuid4(), uuid.uuid4(), host(cloud, "alpha").id, {"VCPU": 3})])
        fresh.current()
        transaction.set_rollback(True)
    assert_true(fresh, whole=2)


def test_choices_of_a_batch_stay_counted_when_the_table_is_brought_up_to_date(cloud: Cloud, feed: Counted) -> None:
    with transaction.atomic():
        choices = choose.choose([make_request(amounts={"VCPU": 64}) for _ in range(5)])
    assert sorted(choice.host_name for choice in choices) == ["", "", "alpha", "beta", "gamma"]
    assert_true(feed)


def of_id(feed: Counted, key: uuid.UUID | None) -> dict[str, Any]:
    assert key is not None
    return feed.current(surely=True).facts()[key]


def test_a_refusal_is_never_made_by_a_table_that_is_old(cloud: Cloud, feed: Counted) -> None:
    consumers = [claim(each.id, MEMORY_MB=16384) for each in cloud.hosts]
    feed.current(surely=True)
    release(consumers[1])
    (choice,) = choose.choose([make_request()])
    assert choice.host_name == "beta"


# What is counted over operations.


def test_builds_under_way_and_builds_that_failed_lately_are_counted_by_host(cloud: Cloud, feed: Counted) -> None:
    first, at, command = cloud.placed()
    assert of(feed, at.name)["building"] == 1
    at.failed(command)
    assert of(feed, at.name)["building"] == 0
    again = Feed()
    assert of(again, at.name)["failures"] == 1
    Operation.objects.filter(resource_id=first.pk).update(attempt=1)
    Operation.objects.filter(resource_id=first.pk).update(created_at=clock.now() - timedelta(days=1))
    assert_true(feed)
