"""Allocations as clients of the Placement API write them: what a consumer holds, or several at once; and reshaping."""

import uuid
from typing import Any

import pytest

from apps.audit.models import Record
from apps.common.context import SYSTEM
from apps.common.errors import CloudError
from apps.compute.services import audit
from apps.hosts.services import deltas
from apps.placement import selectors
from apps.placement.models import Allocation, Consumer, Inventory, ResourceProvider
from apps.placement.services import allocations, claims, inventories
from apps.placement.services.allocations import UNCHECKED, Reshaped, Wanted
from apps.placement.services.claims import Claim
from apps.placement.services.inventories import Facts
from tests.support.cloud import Cloud, make_project, refusal
from tests.support.identity import make_actor
from tests.support.placement import PROJECT, USER, generation, give, provider, put, used, wanted

pytestmark = pytest.mark.django_db(transaction=True)


def held(consumer: uuid.UUID) -> dict[tuple[uuid.UUID, str], int]:
    rows = Allocation.objects.filter(consumer_id=consumer)
    return {(row.provider_id, row.resource_class): row.amount for row in rows}


def refused(*sets: Wanted) -> Any:
    return refusal(allocations.put, actor=SYSTEM, sets=sets)


def test_a_consumer_holds_what_was_written_and_nothing_else() -> None:
    one, two, consumer = provider(VCPU=8, DISK_GB=100), provider(VCPU=8), uuid.uuid4()
    put(wanted(consumer, (one, {"VCPU": 2, "DISK_GB": 10}), (two, {"VCPU": 1})))
    assert held(consumer) == {(one.pk, "VCPU"): 2, (one.pk, "DISK_GB"): 10, (two.pk, "VCPU"): 1}
    put(wanted(consumer, (one, {"VCPU": 5})))
    assert held(consumer) == {(one.pk, "VCPU"): 5}
    assert (used(one), used(one, "DISK_GB"), used(two)) == (5, 0, 0)
    row = Consumer.objects.get()
    assert (row.generation, row.project_id, row.user_id, row.type, row.managed) == (2, PROJECT, USER, "INSTANCE", False)
    assert selectors.mismatches() == []


def test_all_providers_that_gain_or_lose_something_rise_in_generation() -> None:
    one, two, other, consumer = provider(VCPU=8), provider(VCPU=8), provider(VCPU=8), uuid.uuid4()
    put(wanted(consumer, (one, {"VCPU": 2})))
    before = [generation(row) for row in (one, two, other)]
    put(wanted(consumer, (two, {"VCPU": 2})))
    assert [generation(row) for row in (one, two, other)] == [before[0] + 1, before[1] + 1, before[2]]


@pytest.mark.parametrize(
    ("there", "seen", "fits"), [(False, None, True), (False, 1, False), (True, None, False), (True, 1, True), (True, 2, False)]
)
def test_a_consumer_is_changed_by_who_has_seen_it_last(there: bool, seen: int | None, fits: bool) -> None:
    row, consumer = provider(VCPU=8), uuid.uuid4()
    if there:
        put(wanted(consumer, (row, {"VCPU": 1})))
    change = wanted(consumer, (row, {"VCPU": 2}), generation=seen)
    if fits:
        put(change)
        assert used(row) == 2
    else:
        error = refused(change)
        assert (error.kind, error.code) == ("conflict", "placement.concurrent_update")
        assert used(row) == int(there)


def test_a_consumer_goes_with_the_last_that_it_holds() -> None:
    row = provider(VCPU=8)
    consumer = give(row, VCPU=3)
    put(wanted(consumer, generation=1))
    assert not Consumer.objects.exists() and used(row) == 0
    put(wanted(consumer, (row, {"VCPU": 1}), generation=None))
    allocations.delete(actor=SYSTEM, consumer_id=consumer)
    assert not Consumer.objects.exists() and used(row) == 0
    assert refusal(allocations.delete, actor=SYSTEM, consumer_id=consumer).kind == "not_found"
    put(wanted(uuid.uuid4()))
    assert not Consumer.objects.exists()


def test_what_one_gives_back_another_takes_at_the_same_moment() -> None:
    one, two = provider(VCPU=4), provider(VCPU=4)
    source, target = give(one, VCPU=4), uuid.uuid4()
    put(wanted(source, (two, {"VCPU": 4})), wanted(target, (one, {"VCPU": 4})))
    assert held(source) == {(two.pk, "VCPU"): 4} and held(target) == {(one.pk, "VCPU"): 4}
    put(wanted(source, (one, {"VCPU": 4})), wanted(target, (two, {"VCPU": 4})))
    assert held(source) == {(one.pk, "VCPU"): 4} and held(target) == {(two.pk, "VCPU"): 4}
    assert selectors.mismatches() == []


def test_all_is_written_or_nothing() -> None:
    roomy, full = provider(VCPU=8), provider(VCPU=1)
    one, two = uuid.uuid4(), give(roomy, VCPU=1)
    error = refused(wanted(one, (roomy, {"VCPU": 2})), wanted(two, (full, {"VCPU": 2})))
    assert (error.kind, error.facts["free"]) == ("no_capacity", 1)
    assert held(one) == {} and held(two) == {(roomy.pk, "VCPU"): 1}
    assert (used(roomy), used(full), Consumer.objects.count()) == (1, 0, 1)


def test_one_alone_and_several_together_can_be_too_much() -> None:
    row = provider(VCPU=4)
    assert refused(wanted(uuid.uuid4(), (row, {"VCPU": 5}))).kind == "no_capacity"
    assert refused(*[wanted(uuid.uuid4(), (row, {"VCPU": 2})) for _ in range(3)]).kind == "no_capacity"
    put(*[wanted(uuid.uuid4(), (row, {"VCPU": 2})) for _ in range(2)])
    assert used(row) == 4


@pytest.mark.parametrize("seen", [None, UNCHECKED], ids=["new", "not looked"])
def test_no_amount_is_too_large_to_be_refused(seen: Any) -> None:
    row = provider(VCPU=Facts(4, max_unit=2**48))
    for amount in (5, 2**48, 2**63, 10**30):
        error = refused(wanted(uuid.uuid4(), (row, {"VCPU": amount}), generation=seen))
        assert error.code in ("placement.capacity", "allocation.units")
    assert used(row) == 0


def test_a_consumer_may_hold_less_of_what_has_shrunk_but_not_more() -> None:
    row = provider(VCPU=8)
    consumer = give(row, VCPU=6)
    inventories.replace(actor=SYSTEM, provider_id=row.pk, inventories={"VCPU": Facts(4)})
    put(wanted(consumer, (row, {"VCPU": 5})))
    assert refused(wanted(consumer, (row, {"VCPU": 6}))).kind == "no_capacity"
    put(wanted(consumer, (row, {"VCPU": 4})))
    assert Inventory.objects.get(provider=row).ceiling == 4


@pytest.mark.parametrize("amount", [1, 3, 6])
def test_amounts_that_are_not_given_out_are_refused(amount: int) -> None:
    row = provider(VCPU=Facts(100, min_unit=2, max_unit=4, step_size=2))
    error = refused(wanted(uuid.uuid4(), (row, {"VCPU": amount})))
    assert (error.kind, error.code) == ("conflict", "allocation.units")


def test_what_there_is_not_cannot_be_held() -> None:
    row, lost = provider(VCPU=1), ResourceProvider(pk=uuid.uuid4())
    assert refused(wanted(uuid.uuid4(), (row, {"VCPU": 1}), (lost, {"VCPU": 1}))).code == "resource_provider.unknown"
    assert refused(wanted(uuid.uuid4(), (row, {"CUSTOM_NONE": 1}))).code == "resource_class.unknown"
    error = refused(wanted(uuid.uuid4(), (row, {"DISK_GB": 1})))
    assert (error.kind, error.code) == ("conflict", "inventory.not_found")
    assert refused(wanted(uuid.uuid4(), (row, {"VCPU": 0}))).kind == "invalid"
    consumer = uuid.uuid4()
    assert refused(wanted(consumer), wanted(consumer)).kind == "invalid"
    assert not Consumer.objects.exists()


def test_owner_and_type_are_those_that_were_said_last() -> None:
    row, consumer = provider(VCPU=4), uuid.uuid4()
    put(wanted(consumer, (row, {"VCPU": 1}), type=None))
    assert Consumer.objects.get().type == "unknown"
    put(wanted(consumer, (row, {"VCPU": 1}), type="MIGRATION", project_id="other cloud's", user_id="x"))
    put(wanted(consumer, (row, {"VCPU": 1}), type=None, project_id="other cloud's", user_id="y"))
    found = Consumer.objects.get()
    assert (found.type, found.project_id, found.user_id, found.generation) == ("MIGRATION", "other cloud's", "y", 3)


def test_what_an_instance_of_ours_holds_is_left_alone(cloud: Cloud) -> None:
    host = cloud.host()
    instance, _ = cloud.active()
    row = ResourceProvider.objects.get(pk=host.id)
    before = held(instance.pk)
    assert refused(wanted(instance.pk, (row, {"VCPU": 9}))).code == "consumer.managed"
    assert refusal(allocations.delete, actor=SYSTEM, consumer_id=instance.pk).code == "consumer.managed"
    assert held(instance.pk) == before
    give(row, VCPU=2)
    assert used(row) == 2 + instance.vcpus


def test_a_client_that_holds_what_is_to_be_an_instance_does_not_stop_its_build(cloud: Cloud) -> None:
    cloud.host()
    other, instance = provider(DISK_GB=1), cloud.boot()
    put(wanted(instance.pk, (other, {"DISK_GB": 1})))
    cloud.schedule()
    instance.refresh_from_db()
    assert instance.host_id is not None
    assert Consumer.objects.get(pk=instance.pk).managed


def test_schedulers_are_told_of_both_ends_of_a_move() -> None:
    one, two = provider(VCPU=4), provider(VCPU=4)
    consumer = give(one, VCPU=1)
    cursor = deltas.read(None).cursor
    put(wanted(consumer, (two, {"VCPU": 1})))
    assert deltas.read(cursor).changed == {one.pk, two.pk}


def test_only_operators_and_services_write_allocations() -> None:
    actor = make_actor(make_project(), role="admin")
    assert refusal(allocations.put, actor=actor, sets=[]).kind == "forbidden"
    assert refusal(allocations.delete, actor=actor, consumer_id=uuid.uuid4()).kind == "forbidden"
    assert refusal(allocations.reshape, actor=actor, inventories={}, allocations=[]).kind == "forbidden"


def test_the_trail_says_who_was_given_what() -> None:
    row = provider(VCPU=4)
    consumer = give(row, VCPU=1)
    found = Record.objects.filter(action="placement.allocation.update").latest("pk")
    assert (found.resource_type, found.resource_id, found.changes) == ("consumer", str(consumer), {str(row.pk): [None, {"VCPU": 1}]})


# Reshaping.


def reshape(shapes: dict[ResourceProvider, dict[str, Facts]], *sets: Wanted, seen: dict[uuid.UUID, int] | None = None) -> None:
    said = {row.pk: Reshaped((seen or {}).get(row.pk), facts) for row, facts in shapes.items()}
    allocations.reshape(actor=SYSTEM, inventories=said, allocations=sets)


def test_what_is_claimed_moves_with_its_inventory_to_a_child() -> None:
    root = provider(VCPU=8, DISK_GB=100)
    child = provider("", root)
    one, two = give(root, VCPU=5, DISK_GB=10), give(root, VCPU=3)
    reshape(
        {root: {"DISK_GB": Facts(100)}, child: {"VCPU": Facts(8)}},
        wanted(one, (root, {"DISK_GB": 10}), (child, {"VCPU": 5}), generation=1), wanted(two, (child, {"VCPU": 3}), generation=1),
    )
    assert held(one) == {(root.pk, "DISK_GB"): 10, (child.pk, "VCPU"): 5}
    assert (used(root, "DISK_GB"), used(child)) == (10, 8)
    assert not Inventory.objects.filter(provider=root, resource_class="VCPU").exists()
    assert selectors.mismatches() == []


@pytest.mark.parametrize("fault", ["left behind", "too little", "old generation", "old consumer", "no such provider"])
def test_a_reshape_that_does_not_come_out_even_changes_nothing(fault: str) -> None:
    root = provider(VCPU=8)
    child = provider("", root)
    consumer = give(root, VCPU=5)
    shapes = {root: {}, child: {"VCPU": Facts(4 if fault == "too little" else 8)}}
    if fault == "no such provider":
        shapes[ResourceProvider(pk=uuid.uuid4())] = {}
    holds = wanted(consumer, (child, {"VCPU": 5}), generation=2 if fault == "old consumer" else 1)
    seen = {root.pk: generation(root) - (fault == "old generation")}
    with pytest.raises(CloudError) as caught:
        reshape(shapes, *([] if fault == "left behind" else [holds]), seen=seen)
    expected = {
        "left behind": "placement.inventory.inuse", "too little": "placement.capacity", "old generation": "placement.concurrent_update",
        "old consumer": "placement.concurrent_update", "no such provider": "placement.resource_provider.not_found",
    }
    assert caught.value.code == expected[fault]
    assert held(consumer) == {(root.pk, "VCPU"): 5} and used(root) == 5
    assert not Inventory.objects.filter(provider=child).exists()


def test_inventories_of_a_host_do_not_move_away(cloud: Cloud) -> None:
    host = cloud.host()
    row = ResourceProvider.objects.get(pk=host.id)
    child = provider("", row)
    with pytest.raises(CloudError, match="The host has"):
        reshape({row: {}, child: {"VCPU": Facts(16)}})


# The audit.


def findings() -> list[audit.Finding]:
    """Without those of images, whose content is nowhere here."""
    return [each for each in audit.run() if not each.code.startswith("image.")]


def test_a_consumer_without_anything_is_found_and_forgotten(cloud: Cloud) -> None:
    empty, holding = uuid.uuid4(), give(provider(VCPU=4), VCPU=1)
    Consumer.objects.create(pk=empty, project_id=PROJECT)
    found = findings()
    assert [(each.code, each.subject) for each in found] == [("consumer.empty", str(empty))]
    audit.repair(found)
    assert findings() == []
    assert list(Consumer.objects.values_list("pk", flat=True)) == [holding]


def test_forgetting_spares_a_consumer_that_holds_something_by_then() -> None:
    consumer = give(provider(VCPU=4), VCPU=1)
    allocations.forget(consumer)
    assert held(consumer)


def test_claims_of_clients_are_no_leak_and_claims_of_ours_without_an_instance_are(cloud: Cloud) -> None:
    row = ResourceProvider.objects.get(pk=cloud.host().id)
    theirs, ours = give(row, VCPU=1), uuid.uuid4()
    claims.claim([Claim(ours, None, row.pk, {"VCPU": 2})])
    found = findings()
    assert [(each.code, each.subject) for each in found] == [("allocation.orphan", str(ours))]
    audit.repair(found)
    assert findings() == [] and selectors.consumers() == {theirs} and used(row) == 1


def test_allocations_of_what_is_in_no_inventory_are_found(cloud: Cloud) -> None:
    row = provider(VCPU=4)
    give(row, VCPU=1)
    Inventory.objects.all().delete()
    (found,) = findings()
    assert (found.code, found.subject, found.repair) == ("inventory.missing", f"{row.pk}/VCPU", None)
