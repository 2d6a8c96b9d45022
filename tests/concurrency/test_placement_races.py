"""Writers of one provider, one consumer and one tree at the same moment: exactly one of several wins, and all adds up."""

import random
import uuid
from functools import partial
from typing import Any

import pytest
from django.db import transaction

from apps.common.context import SYSTEM
from apps.common.errors import CloudError, Conflict
from apps.placement import selectors
from apps.placement.models import Allocation, Consumer, Inventory, ResourceProvider
from apps.placement.services import allocations, claims, classes, inventories, providers, traits
from apps.placement.services.allocations import Reshaped
from apps.placement.services.claims import Claim
from apps.placement.services.inventories import Facts
from tests.support.placement import generation, give, provider, put, used, wanted
from tests.support.postgres import Deadlocks
from tests.support.threads import errors, together, unexpected

pytestmark = pytest.mark.django_db(transaction=True)


def lost(results: list[Any], code: str = "placement.concurrent_update") -> int:
    return sum(isinstance(each, CloudError) and each.code == code for each in results)


def test_of_those_who_saw_one_generation_exactly_one_writes() -> None:
    row = provider(VCPU=4)
    calls = [
        partial(inventories.replace, actor=SYSTEM, provider_id=row.pk, generation=row.generation, inventories={"VCPU": Facts(total)})
        for total in range(10, 18)
    ]
    results = together(calls)
    assert unexpected(results, Conflict) == []
    assert lost(results) == 7
    assert generation(row) == row.generation + 1


def test_traits_and_inventories_of_one_generation_are_not_both_written() -> None:
    row = provider(VCPU=4)
    results = together([
        partial(inventories.replace, actor=SYSTEM, provider_id=row.pk, generation=1, inventories={"VCPU": Facts(9)}),
        partial(traits.set_of, actor=SYSTEM, provider_id=row.pk, generation=1, names=["HW_CPU_X86_AVX"]),
    ] * 3)
    assert unexpected(results, Conflict) == []
    assert lost(results) == 5


def test_of_those_who_think_that_a_consumer_is_new_exactly_one_is_right() -> None:
    row, consumer = provider(VCPU=100), uuid.uuid4()
    results = together([partial(put, wanted(consumer, (row, {"VCPU": amount}), generation=None)) for amount in range(1, 11)])
    assert unexpected(results, Conflict) == []
    assert lost(results) == 9
    assert used(row) == Allocation.objects.get().amount
    assert selectors.mismatches() == []


def test_of_those_who_saw_one_generation_of_a_consumer_exactly_one_changes_it() -> None:
    row, other = provider(VCPU=100), provider(VCPU=100)
    consumer = give(row, VCPU=1)
    results = together([partial(put, wanted(consumer, (each, {"VCPU": 5}), generation=1)) for each in (row, other) * 5])
    assert unexpected(results, Conflict) == []
    assert lost(results) == 9
    assert used(row) + used(other) == 5
    assert selectors.mismatches() == []


def test_the_last_unit_goes_to_exactly_one_whether_it_is_put_or_claimed() -> None:
    row = provider(VCPU=10)

    def claim() -> set[uuid.UUID]:
        with transaction.atomic():
            return claims.claim([Claim(uuid.uuid4(), None, row.pk, {"VCPU": 1})])

    def put_new() -> None:
        put(wanted(uuid.uuid4(), (row, {"VCPU": 1}), generation=None))

    results = together([*[partial(give, row, VCPU=1)] * 8, *[put_new] * 8, *[claim] * 8])
    refused = lost(results, "placement.capacity") + results.count({row.pk})
    assert unexpected(results, CloudError) == []
    assert (used(row), refused) == (10, 14)
    assert Consumer.objects.count() == 10 and selectors.empty_consumers() == set()
    assert selectors.mismatches() == []


def test_claims_moves_and_shapes_of_the_same_providers_do_not_deadlock(deadlocks: Deadlocks) -> None:
    rows = [provider(VCPU=10_000, DISK_GB=10_000) for _ in range(6)]

    def churn(seed: int) -> None:
        chosen = random.Random(seed)
        mine = [uuid.uuid4() for _ in range(3)]
        for turn in range(8):
            sets = [wanted(each, *[(row, {"VCPU": 1, "DISK_GB": 2}) for row in chosen.sample(rows, 2)]) for each in mine]
            chosen.shuffle(sets)
            put(*sets)
            row = chosen.choice(rows)
            inventories.replace(
                actor=SYSTEM, provider_id=row.pk, inventories={"VCPU": Facts(10_000 + turn), "DISK_GB": Facts(10_000), "MEMORY_MB": Facts(turn)}
            )
            batch = [Claim(uuid.uuid4(), None, each.pk, {"DISK_GB": 1, "VCPU": 1}) for each in chosen.choices(rows, k=6)]
            with transaction.atomic():
                assert claims.claim(batch) == set()
            with transaction.atomic():
                claims.release([each.consumer_id for each in batch])
        allocations.put(actor=SYSTEM, sets=[wanted(each) for each in mine])

    results = together([partial(churn, seed) for seed in range(6)])
    assert errors(results) == [], deadlocks.details()
    assert deadlocks() == 0, deadlocks.details()
    assert not Inventory.objects.exclude(used=0).exists() and not Consumer.objects.exists()


def test_a_consumer_that_is_moved_and_given_back_at_once_leaves_nothing_behind() -> None:
    rows = [provider(VCPU=1000) for _ in range(3)]
    for _ in range(5):
        consumer = give(rows[0], VCPU=1)
        moves = [partial(put, wanted(consumer, (row, {"VCPU": 2}), generation=1)) for row in rows]
        results = together([*moves, partial(allocations.delete, actor=SYSTEM, consumer_id=consumer)])
        assert unexpected(results, CloudError) == []
        assert not Allocation.objects.filter(consumer_id=consumer).exists()
    assert not Consumer.objects.exists()
    assert not Inventory.objects.exclude(used=0).exists()


def test_a_provider_is_not_deleted_while_something_is_claimed_of_it() -> None:
    for _ in range(6):
        row, consumer = provider(VCPU=4), uuid.uuid4()
        results = together([partial(put, wanted(consumer, (row, {"VCPU": 1}))), partial(providers.delete, actor=SYSTEM, provider_id=row.pk)])
        assert unexpected(results, CloudError) == []
        claimed = Allocation.objects.filter(consumer_id=consumer).exists()
        assert ResourceProvider.objects.filter(pk=row.pk).exists() is claimed
        assert len([each for each in results if isinstance(each, CloudError)]) == 1


def test_moves_at_the_same_moment_never_make_a_loop() -> None:
    rows = [provider() for _ in range(4)]

    def move(row: ResourceProvider, parent: ResourceProvider) -> None:
        providers.update(actor=SYSTEM, provider_id=row.pk, parent_id=parent.pk, may_move=True)

    results = together([partial(move, rows[at], rows[(at + 1) % 4]) for at in range(4)])
    assert unexpected(results, CloudError) == []
    assert lost(results, "resource_provider.parent") == 1
    there = {row.pk: row for row in ResourceProvider.objects.all()}
    (root,) = [row for row in there.values() if row.parent_id is None]
    assert {row.root_id for row in there.values()} == {root.pk}


def test_children_of_a_provider_that_moves_are_in_its_new_tree() -> None:
    for _ in range(4):
        old, new = provider(), provider()
        moved = provider("", old)
        together([
            partial(providers.update, actor=SYSTEM, provider_id=moved.pk, parent_id=new.pk, may_move=True),
            *[partial(provider, "", moved)] * 3,
        ])
        assert set(ResourceProvider.objects.filter(parent=moved).values_list("root_id", flat=True)) == {new.pk}


def test_a_class_is_not_deleted_under_a_new_inventory_of_it() -> None:
    for number in range(6):
        name, row = f"CUSTOM_{number}", provider()
        classes.create(actor=SYSTEM, name=name)
        results = together([
            partial(inventories.replace, actor=SYSTEM, provider_id=row.pk, inventories={name: Facts(1)}),
            partial(classes.delete, actor=SYSTEM, name=name),
        ])
        assert unexpected(results, CloudError) == []
        assert len([each for each in results if isinstance(each, CloudError)]) == 1
        there = name in {each.name for each in selectors.resource_classes(actor=SYSTEM)}
        assert there is Inventory.objects.filter(resource_class=name).exists()


def test_a_reshape_and_claims_of_what_moves_agree(deadlocks: Deadlocks) -> None:
    root = provider(VCPU=10)
    child = provider("", root)
    holder = give(root, VCPU=4)
    move = partial(
        allocations.reshape, actor=SYSTEM, inventories={root.pk: Reshaped(None, {}), child.pk: Reshaped(None, {"VCPU": Facts(10)})},
        allocations=[wanted(holder, (child, {"VCPU": 4}))],
    )
    results = together([move, *[partial(give, row, VCPU=1) for row in (root, child) * 4]])
    assert unexpected(results, CloudError) == [], deadlocks.details()
    assert selectors.mismatches() == []
    assert Inventory.objects.filter(provider=root).exists() is not Inventory.objects.filter(provider=child).exists()
