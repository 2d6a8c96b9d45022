"""Claims of capacity by many at once: never too much, never too little, nobody waits for ever. Addresses have a file of their own."""

import random
import uuid
from functools import partial

import pytest
from django.db import transaction

from apps.placement import selectors
from apps.placement.models import Allocation, Inventory
from apps.placement.services import claims, inventories
from apps.placement.services.claims import Claim
from tests.support.postgres import Deadlocks
from tests.support.threads import errors, one_within_the_other, together

pytestmark = pytest.mark.django_db(transaction=True)


def provider(**totals: int) -> uuid.UUID:
    key = uuid.uuid4()
    inventories.report(provider_id=key, name=f"host-{key}", totals=totals)
    return key


def wants(key: uuid.UUID, **amounts: int) -> Claim:
    return Claim(uuid.uuid4(), None, key, amounts)


def claim(*wanted: Claim) -> set[uuid.UUID]:
    with transaction.atomic():
        return claims.claim(wanted)


def test_the_last_capacity_goes_to_exactly_as_many_as_fit() -> None:
    key = provider(MEMORY_MB=1000, VCPU=100)
    results = together([partial(claim, wants(key, MEMORY_MB=100, VCPU=1)) for _ in range(25)])
    assert errors(results) == []
    assert results.count(set()) == 10
    assert results.count({key}) == 15
    assert Inventory.objects.get(resource_class="MEMORY_MB").used == 1000
    assert Allocation.objects.count() == 20
    assert selectors.mismatches() == []


def test_claims_of_different_sizes_never_overcommit_and_leave_no_room_that_somebody_wanted() -> None:
    key = provider(MEMORY_MB=1000)
    sizes = [random.Random(1).choice((70, 110, 130, 250)) for _ in range(24)]
    results = together([partial(claim, wants(key, MEMORY_MB=size)) for size in sizes])
    assert errors(results) == []
    used = Inventory.objects.get().used
    assert used == sum(size for size, result in zip(sizes, results, strict=True) if not result) <= 1000
    refused = [size for size, result in zip(sizes, results, strict=True) if result]
    assert used + min(refused) > 1000
    assert selectors.mismatches() == []


def test_batches_over_the_same_hosts_in_any_order_do_not_deadlock(deadlocks: Deadlocks) -> None:
    keys = [provider(MEMORY_MB=100_000, VCPU=1000) for _ in range(12)]

    def churn(seed: int) -> None:
        chosen = random.Random(seed)
        for _ in range(12):
            hosts = chosen.choices(keys, k=10)
            consumers = [uuid.uuid4() for _ in hosts]
            assert claim(*[Claim(c, None, h, {"MEMORY_MB": 10, "VCPU": 1}) for c, h in zip(consumers, hosts, strict=True)]) == set()
            chosen.shuffle(consumers)
            with transaction.atomic():
                claims.release(consumers)

    results = together([partial(churn, seed) for seed in range(8)])
    assert errors(results) == [], deadlocks.details()
    assert deadlocks() == 0, deadlocks.details()
    assert not Inventory.objects.exclude(used=0).exists()


def test_a_claim_and_a_shrinking_host_agree() -> None:
    key = provider(MEMORY_MB=1000)
    claimers = [partial(claim, wants(key, MEMORY_MB=100)) for _ in range(12)]
    results = together([*claimers, partial(inventories.report, provider_id=key, name="x", totals={"MEMORY_MB": 500})])
    assert errors(results) == []
    row = Inventory.objects.get()
    assert (row.capacity, row.ceiling) == (500, max(500, row.used))
    assert claim(wants(key, MEMORY_MB=1000 - row.used + 1)) == {key}
    assert selectors.mismatches() == []


def test_what_is_given_back_while_a_claim_waits_is_there_for_it() -> None:
    key = provider(MEMORY_MB=1000)
    held = wants(key, MEMORY_MB=1000)
    claim(held)
    refused = one_within_the_other(partial(claims.release, [held.consumer_id]), partial(claim, wants(key, MEMORY_MB=900)))
    assert refused == set()
    assert Inventory.objects.get().used == 900
    assert selectors.mismatches() == []


def test_a_host_that_grows_while_a_claim_waits_has_room_for_it() -> None:
    key = provider(MEMORY_MB=1000)
    grows = partial(inventories.report, provider_id=key, name="x", totals={"MEMORY_MB": 3000})
    assert one_within_the_other(grows, partial(claim, wants(key, MEMORY_MB=2500))) == set()
    row = Inventory.objects.get()
    assert (row.used, row.ceiling) == (2500, 3000)
