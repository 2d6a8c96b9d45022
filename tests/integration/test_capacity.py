"""Capacity: claims, ceilings, and the refusal that says how near it was."""

import uuid
from dataclasses import replace
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from apps.common.context import SYSTEM
from apps.hosts.services import deltas
from apps.placement import selectors
from apps.placement.models import Allocation, Consumer, Inventory, ResourceProvider
from apps.placement.services import claims, inventories
from apps.placement.services.claims import Claim
from apps.scheduler import selectors as scheduler
from apps.scheduler.explain import kept, words
from tests.support.audit import assert_consistent, assert_nothing_is_claimed
from tests.support.cloud import Cloud, make_flavor, make_project, operation_of, refusal
from tests.support.identity import make_actor

pytestmark = pytest.mark.django_db(transaction=True)


def provider(**totals: int) -> uuid.UUID:
    key = uuid.uuid4()
    inventories.report(provider_id=key, name=f"host-{key}", totals=totals or {"VCPU": 4, "MEMORY_MB": 1000})
    return key


def inventory(key: uuid.UUID, name: str = "MEMORY_MB") -> Inventory:
    return Inventory.objects.get(provider_id=key, resource_class=name)


def wants(key: uuid.UUID, consumer: uuid.UUID | None = None, **amounts: int) -> Claim:
    return Claim(consumer or uuid.uuid4(), uuid.uuid4(), key, amounts)


def test_what_is_claimed_is_counted_and_recorded() -> None:
    key, consumer = provider(), uuid.uuid4()
    assert claims.claim([wants(key, consumer, VCPU=2, MEMORY_MB=300)]) == set()
    assert (inventory(key).used, inventory(key, "VCPU").used) == (300, 2)
    assert selectors.held(consumer) == {"VCPU": 2, "MEMORY_MB": 300}
    assert selectors.mismatches() == []


def test_the_last_bit_can_be_claimed_and_not_one_more() -> None:
    key = provider(MEMORY_MB=1000)
    assert claims.claim([wants(key, MEMORY_MB=1000)]) == set()
    assert claims.claim([wants(key, MEMORY_MB=1)]) == {key}
    assert inventory(key).used == 1000


def test_a_claim_that_fails_in_one_class_takes_nothing_of_the_others() -> None:
    key = provider(VCPU=100, MEMORY_MB=10)
    assert claims.claim([wants(key, VCPU=1, MEMORY_MB=11)]) == {key}
    assert inventory(key, "VCPU").used == 0
    assert Allocation.objects.count() == 0


def test_of_many_claims_those_on_a_full_provider_fail_and_all_others_are_made() -> None:
    roomy, full, other = provider(MEMORY_MB=1000), provider(MEMORY_MB=100), provider(MEMORY_MB=1000)
    winners = [wants(roomy, MEMORY_MB=500), wants(other, MEMORY_MB=1000), wants(roomy, MEMORY_MB=500)]
    losers = [wants(full, MEMORY_MB=60), wants(full, MEMORY_MB=60)]
    assert claims.claim([winners[0], losers[0], winners[1], losers[1], winners[2]]) == {full}
    assert selectors.consumers() == {each.consumer_id for each in winners}
    assert inventory(full).used == 0
    assert selectors.mismatches() == []


def test_a_class_that_the_provider_does_not_have_is_a_refusal() -> None:
    key = provider(VCPU=4)
    assert claims.claim([wants(key, VCPU=1, DISK_GB=1)]) == {key}
    assert claims.claim([wants(uuid.uuid4(), VCPU=1)]) != set()
    assert inventory(key, "VCPU").used == 0


def test_a_second_claim_of_one_consumer_on_one_provider_is_refused_by_the_database() -> None:
    key, consumer = provider(), uuid.uuid4()
    claims.claim([wants(key, consumer, VCPU=1)])
    with pytest.raises(IntegrityError), transaction.atomic():
        claims.claim([wants(key, consumer, VCPU=1)])
    assert inventory(key, "VCPU").used == 1


def test_releasing_gives_all_back_and_releasing_again_nothing_more() -> None:
    one, two = provider(), provider()
    consumer, other = uuid.uuid4(), uuid.uuid4()
    claims.claim([wants(one, consumer, VCPU=2, MEMORY_MB=300), wants(two, consumer, VCPU=1), wants(one, other, VCPU=1)])
    for _ in range(2):
        with transaction.atomic():
            claims.release([consumer, uuid.uuid4()])
        assert selectors.consumers() == {other}
        assert (inventory(one, "VCPU").used, inventory(one).used, inventory(two, "VCPU").used) == (1, 0, 0)


@pytest.mark.parametrize("column", ["used", "ceiling"])
def test_the_database_refuses_overcommitment_whatever_the_code_does(column: str) -> None:
    key = provider(MEMORY_MB=1000)
    claims.claim([wants(key, MEMORY_MB=900)])
    value = {"used": 1001, "ceiling": 899}[column]
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE placement_inventory SET {column} = {value}")
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE placement_inventory SET used = -1")


@pytest.mark.parametrize("amount", [0, -1])
def test_the_database_refuses_an_allocation_of_nothing(amount: int) -> None:
    key, holder = provider(), Consumer.objects.create(pk=uuid.uuid4())
    with pytest.raises(IntegrityError), transaction.atomic():
        Allocation.objects.create(consumer=holder, provider_id=key, resource_class="VCPU", amount=amount)


def test_a_consumer_is_there_as_long_as_it_holds_something() -> None:
    key, consumer, user = provider(), uuid.uuid4(), uuid.uuid4()
    claims.claim([replace(wants(key, consumer, VCPU=1), user_id=user)])
    row = Consumer.objects.get()
    assert (row.pk, row.user_id, row.type, row.generation, row.managed) == (consumer, str(user), "INSTANCE", 1, True)
    claims.claim([wants(provider(), consumer, VCPU=1)])
    row.refresh_from_db()
    assert row.generation == 2
    claims.release([consumer])
    assert not Consumer.objects.exists()
    assert selectors.empty_consumers() == set()


def test_every_claim_and_return_raises_the_generations_of_its_providers_and_of_no_others() -> None:
    one, two, full = provider(), provider(), provider(MEMORY_MB=1)
    before = dict(ResourceProvider.objects.values_list("pk", "generation"))
    consumer = uuid.uuid4()
    claims.claim([wants(one, consumer, VCPU=1, MEMORY_MB=1), wants(full, MEMORY_MB=2)])
    after = dict(ResourceProvider.objects.values_list("pk", "generation"))
    assert {key: after[key] - before[key] for key in before} == {one: 1, two: 0, full: 0}
    claims.release([consumer])
    assert ResourceProvider.objects.get(pk=one).generation == before[one] + 2


def test_schedulers_are_told_of_the_hosts_whose_room_changes() -> None:
    one, two, full = provider(), provider(), provider(MEMORY_MB=1)
    cursor, consumer = deltas.read(None).cursor, uuid.uuid4()
    claims.claim([wants(one, consumer, VCPU=1), wants(full, MEMORY_MB=2)])
    news = deltas.read(cursor)
    assert news.changed == {one}
    claims.release([consumer])
    assert one in (deltas.read(news.cursor).changed or ())
    assert two not in (deltas.read(cursor).changed or ())


@pytest.mark.parametrize(("amount", "fits"), [(1, False), (2, True), (3, False), (4, True), (6, False)])
def test_amounts_that_an_inventory_does_not_give_are_refused(amount: int, fits: bool) -> None:
    key = provider(VCPU=100)
    inventories.adjust(actor=SYSTEM, provider_id=key, resource_class="VCPU", min_unit=2, max_unit=4, step_size=2)
    assert claims.claim([wants(key, VCPU=amount)]) == (set() if fits else {key})
    # Two that fit alone fit together, even if their sum is more than one may have.
    assert claims.claim([wants(key, VCPU=4), wants(key, VCPU=4)]) == set()


@pytest.mark.parametrize("batch", [1, 40])
def test_a_claim_takes_one_statement_however_many_consumers_there_are(batch: int, django_assert_num_queries: Any) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time, and no statement that does it all")
    keys = [provider(VCPU=1000, MEMORY_MB=100_000) for _ in range(3)]
    wanted = [wants(keys[number % 3], VCPU=1, MEMORY_MB=1) for number in range(batch)]
    with transaction.atomic(), django_assert_num_queries(1):
        assert claims.claim(wanted) == set()
    with transaction.atomic(), django_assert_num_queries(1):
        claims.release([each.consumer_id for each in wanted])
    assert not Inventory.objects.exclude(used=0).exists()


def test_a_provider_with_claims_cannot_be_deleted() -> None:
    key = provider()
    claims.claim([wants(key, VCPU=1)])
    with pytest.raises(IntegrityError), transaction.atomic():
        ResourceProvider.objects.filter(pk=key).delete()


# What operators set and hosts report.


def test_a_ratio_lets_more_be_claimed_than_there_is() -> None:
    key = provider(MEMORY_MB=1000)
    inventories.adjust(actor=SYSTEM, provider_id=key, resource_class="MEMORY_MB", allocation_ratio=1.5)
    assert claims.claim([wants(key, MEMORY_MB=1500)]) == set()
    assert claims.claim([wants(key, MEMORY_MB=1)]) == {key}


def test_processors_are_shared_by_four_unless_an_operator_says_otherwise() -> None:
    assert inventory(provider(VCPU=4), "VCPU").capacity == 16


def test_what_is_reserved_cannot_be_claimed() -> None:
    key = provider(MEMORY_MB=1000)
    inventories.adjust(actor=SYSTEM, provider_id=key, resource_class="MEMORY_MB", reserved=400)
    assert claims.claim([wants(key, MEMORY_MB=601)]) == {key}
    assert claims.claim([wants(key, MEMORY_MB=600)]) == set()


def shrunken() -> tuple[uuid.UUID, list[uuid.UUID]]:
    """800 of 1000 are claimed by four, and then there are only 400."""
    key = provider(MEMORY_MB=1000)
    consumers = [uuid.uuid4() for _ in range(4)]
    claims.claim([wants(key, consumer, MEMORY_MB=200) for consumer in consumers])
    inventories.adjust(actor=SYSTEM, provider_id=key, resource_class="MEMORY_MB", allocation_ratio=0.4)
    return key, consumers


def test_shrinking_below_use_takes_nothing_away_and_lets_nothing_in() -> None:
    key, consumers = shrunken()
    row = inventory(key)
    assert (row.used, row.capacity, row.ceiling) == (800, 400, 800)
    assert claims.claim([wants(key, MEMORY_MB=1)]) == {key}
    assert selectors.consumers() == set(consumers)


def test_a_shrunken_inventory_is_not_refilled_past_its_capacity() -> None:
    key, consumers = shrunken()
    for left, consumer in zip((600, 400, 200), consumers, strict=False):
        with transaction.atomic():
            claims.release([consumer])
        row = inventory(key)
        assert (row.used, row.ceiling) == (left, max(400, left))
        with pytest.raises(IntegrityError), transaction.atomic():
            Inventory.objects.filter(pk=row.pk).update(used=row.ceiling + 1)
    assert claims.claim([wants(key, MEMORY_MB=201)]) == {key}
    assert claims.claim([wants(key, MEMORY_MB=200)]) == set()


def test_a_host_that_reports_less_keeps_ratio_and_reserve() -> None:
    key = provider(MEMORY_MB=1000)
    inventories.adjust(actor=SYSTEM, provider_id=key, resource_class="MEMORY_MB", allocation_ratio=2.0, reserved=100)
    assert inventories.report(provider_id=key, name="x", totals={"MEMORY_MB": 500})
    row = inventory(key)
    assert (row.total, row.reserved, row.allocation_ratio, row.capacity) == (500, 100, 2.0, 800)
    assert not inventories.report(provider_id=key, name="x", totals={"MEMORY_MB": 500})
    assert inventories.report(provider_id=key, name="x", totals={"MEMORY_MB": 50})
    assert inventory(key).capacity == 0


@pytest.mark.parametrize("change", [{"allocation_ratio": 0.0}, {"allocation_ratio": -1.0}, {"allocation_ratio": 65.0}, {"reserved": -1}, {"reserved": 10**9}])
def test_impossible_settings_are_refused(change: dict[str, Any]) -> None:
    key = provider()
    assert refusal(inventories.adjust, actor=SYSTEM, provider_id=key, resource_class="VCPU", **change).kind == "invalid"


def test_only_operators_change_inventories() -> None:
    actor = make_actor(make_project(), role="admin")
    assert refusal(inventories.adjust, actor=actor, provider_id=provider(), resource_class="VCPU", reserved=1).kind == "forbidden"


def test_a_count_that_went_wrong_is_found_and_repaired() -> None:
    key = provider(MEMORY_MB=1000)
    claims.claim([wants(key, MEMORY_MB=300)])
    Inventory.objects.filter(provider_id=key, resource_class="MEMORY_MB").update(used=700)
    (found,) = selectors.mismatches()
    assert (found.used, found.allocated, found.provider_id) == (700, 300, key)
    inventories.recount(key, "MEMORY_MB")
    assert selectors.mismatches() == []


# Through the scheduler.


def test_the_last_place_is_given_and_the_next_request_is_refused_with_the_nearest_miss(cloud: Cloud) -> None:
    cloud.host("alpha", MEMORY_MB=512)
    cloud.host("beta", MEMORY_MB=256)
    cloud.host("gamma", MEMORY_MB=4096, zone="north")
    cloud.host("delta", VCPU=0)
    cloud.active(zone="default")
    refused = cloud.boot(zone="default")
    cloud.schedule()
    refused.refresh_from_db()
    assert refused.state == "ERROR"
    assert refused.error["code"] == "scheduler.no_host"
    assert refused.error["message"] == (
        "No host has room for 1 vCPU, 512 MiB of memory and 5 GiB of disk in zone default at the moment."
    )
    (decision,) = scheduler.decisions(refused.pk)
    assert [each.text for each in words.nearest(decision)] == [
        "memory: needs 512 MiB, best free 256 MiB on beta in zone default", "1 host with enough is in another zone (north): gamma",
        "vCPUs: needs 1, best free 0 on delta in zone default",
    ]
    for name in ("alpha", "beta", "gamma", "delta"):
        assert name not in str(refused.error)
        assert name not in str(operation_of(refused).error)
    assert operation_of(refused).error["facts"]["asked"] == {"VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 5}
    assert_consistent()


def test_the_operator_sees_the_verdict_of_every_host(cloud: Cloud) -> None:
    cloud.host("alpha", MEMORY_MB=1)
    cloud.host("beta")
    instance, _ = cloud.active()
    (decision,) = scheduler.decisions(instance.pk)
    assert (decision.host_name, decision.operation_id) == ("beta", operation_of(instance).pk)
    assert {each.reason: each.names for each in kept.verdicts_of(decision)} == {"MEMORY_MB": ["alpha"], "passed": ["beta"]}
    (best,) = kept.best_of(decision)
    assert (best["host"], best["free_memory_mb"]) == ("beta", 16384)
    assert abs(best["weight"] - sum(best["weights"].values())) < 0.001


def test_a_request_for_more_than_there_is_places_what_fits_and_refuses_the_rest(cloud: Cloud) -> None:
    from apps.compute.models import Instance

    cloud.host(MEMORY_MB=1024)
    cloud.host(MEMORY_MB=512)
    cloud.create(count=5)
    cloud.schedule()
    assert Instance.objects.filter(host_id__isnull=False).count() == 3
    assert Instance.objects.filter(state="ERROR").count() == 2
    assert_consistent()
    cloud.run()
    for instance in Instance.objects.all():
        cloud.delete(instance)
    cloud.run()
    assert_nothing_is_claimed()


@pytest.mark.parametrize("how", ["down", "disabled", "hypervisor"])
def test_a_host_that_is_not_fit_gets_nothing(cloud: Cloud, how: str) -> None:
    from apps.hosts.models import Host
    from apps.hosts.services import admission

    host = cloud.host()
    if how == "down":
        Host.objects.update(state="down")
    elif how == "disabled":
        admission.set_enabled(actor=SYSTEM, name=host.name, enabled=False, reason="repair")
    else:
        host.heartbeat(hypervisor_ok=False, hypervisor_error="libvirtd does not answer")
    instance = cloud.boot()
    cloud.schedule()
    instance.refresh_from_db()
    assert instance.error["message"] == "No host is available for 1 vCPU, 512 MiB of memory and 5 GiB of disk at the moment."
    (decision,) = scheduler.decisions(instance.pk)
    assert words.nearest(decision)[0].text.startswith(f"1 host with enough is {'disabled' if how == 'disabled' else 'down'}: ")


def test_a_flavor_too_large_for_every_host_is_refused_by_its_first_missing_class(cloud: Cloud) -> None:
    cloud.host()
    instance = cloud.boot(flavor_id=make_flavor(vcpus=1000, memory_mb=10**6).pk)
    cloud.schedule()
    instance.refresh_from_db()
    assert "No host has room for 1000 vCPUs" in instance.error["message"]
    assert_nothing_is_claimed()


def test_without_any_host_the_reason_says_so(cloud: Cloud) -> None:
    instance = cloud.boot()
    cloud.schedule()
    instance.refresh_from_db()
    assert instance.error["message"] == "No host is enrolled yet."
