"""Claims of capacity and of addresses by many at once: never too much, never too little, nobody waits for ever."""

import random
import uuid
from functools import partial

import pytest
from django.db import transaction

from apps.common.errors import NoCapacity
from apps.network.models import FixedIP, Network, Port
from apps.network.services import networks, ports
from apps.network.services.ports import Wish
from apps.placement import selectors
from apps.placement.models import Allocation, Inventory
from apps.placement.services import claims, inventories
from apps.placement.services.claims import Claim
from tests.support.cloud import make_project
from tests.support.identity import make_actor
from tests.support.postgres import Deadlocks
from tests.support.threads import errors, together, unexpected

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


# Addresses.


@pytest.fixture
def small() -> Network:
    """13 addresses can be given."""
    return networks.create(actor=make_actor(make_project()), name="small", cidr="10.9.9.0/28")


def take(network: Network, count: int = 1) -> list[str]:
    wishes = [Wish(uuid.uuid4(), network.project_id, network.pk) for _ in range(count)]
    with transaction.atomic():
        return [each.address for group in ports.claim(wishes).values() for each in group]


def test_the_last_addresses_are_given_once_each_and_all_of_them(small: Network) -> None:
    results = together([partial(take, small)] * 20)
    given = [address for result in results if isinstance(result, list) for address in result]
    assert unexpected(results, NoCapacity) == []
    assert len(given) == len(set(given)) == 13
    assert len(errors(results)) == 7
    assert FixedIP.objects.count() == Port.objects.count() == 13


def test_batches_of_addresses_are_whole_or_not_at_all(small: Network, deadlocks: Deadlocks) -> None:
    results = together([partial(take, small, 3)] * 10)
    assert unexpected(results, NoCapacity) == [], deadlocks.details()
    assert deadlocks() == 0, deadlocks.details()
    given = [address for result in results if isinstance(result, list) for address in result]
    assert len(given) == len(set(given)) == 12
    assert FixedIP.objects.count() == 12


def test_addresses_that_are_freed_meanwhile_are_found(small: Network) -> None:
    def churn() -> int:
        done = 0
        for _ in range(15):
            wish = Wish(uuid.uuid4(), small.project_id, small.pk)
            with transaction.atomic():
                ports.claim([wish])
            with transaction.atomic():
                ports.release([wish.device_id])
            done += 1
        return done

    results = together([churn] * 8)
    assert errors(results) == []
    assert FixedIP.objects.count() == 0


def test_the_default_network_is_made_once() -> None:
    actor = make_actor(make_project())
    results = together([lambda: networks.default_of(actor=actor).pk for _ in range(8)])
    assert errors(results) == []
    assert len(set(results)) == 1
