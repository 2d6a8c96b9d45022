"""Inventories as clients of the Placement API write them."""

import uuid
from dataclasses import replace
from math import inf, nan
from typing import Any

import pytest

from apps.audit.models import Record
from apps.common.context import SYSTEM
from apps.hosts.services import deltas
from apps.placement.models import Inventory, ResourceProvider
from apps.placement.services import classes, inventories
from apps.placement.services.inventories import Facts
from tests.support.cloud import Cloud, refusal
from tests.support.placement import generation, give, provider, used

pytestmark = pytest.mark.django_db(transaction=True)


def facts(row: ResourceProvider) -> dict[str, Facts]:
    return {each.resource_class: Facts.of(each) for each in Inventory.objects.filter(provider=row)}


def put(row: ResourceProvider, said: dict[str, Facts], seen: int | None = None) -> ResourceProvider:
    return inventories.replace(actor=SYSTEM, provider_id=row.pk, generation=seen, inventories=said)


def test_all_inventories_are_replaced_at_once() -> None:
    row = provider(VCPU=4, DISK_GB=10)
    said = {"VCPU": Facts(8, 2, 1, 4, 1, 2.0), "MEMORY_MB": Facts(1024)}
    changed = put(row, said, seen=row.generation)
    assert facts(row) == said
    assert (changed.generation, generation(row)) == (row.generation + 1, row.generation + 1)
    assert Inventory.objects.get(provider=row, resource_class="VCPU").capacity == 12


def test_who_has_seen_an_older_generation_changes_nothing() -> None:
    row = provider(VCPU=4)
    put(row, {"VCPU": Facts(5)}, seen=row.generation)
    calls: list[tuple[Any, dict[str, Any]]] = [
        (inventories.replace, {"inventories": {}}),
        (inventories.put_one, {"resource_class": "VCPU", "facts": Facts(6)}),
        (inventories.add_one, {"resource_class": "DISK_GB", "facts": Facts(6)}),
        (inventories.remove_one, {"resource_class": "VCPU"}),
        (inventories.adjust, {"resource_class": "VCPU", "reserved": 1}),
    ]
    for call, more in calls:
        error = refusal(call, actor=SYSTEM, provider_id=row.pk, generation=row.generation, **more)
        assert (error.kind, error.code) == ("conflict", "placement.concurrent_update")
    assert facts(row) == {"VCPU": Facts(5)}


def test_one_inventory_is_added_changed_and_deleted_alone() -> None:
    row = provider(VCPU=4)
    call: dict[str, Any] = {"actor": SYSTEM, "provider_id": row.pk, "resource_class": "DISK_GB"}
    assert refusal(inventories.put_one, **call, facts=Facts(1)).kind == "invalid"
    inventories.add_one(**call, facts=Facts(10))
    assert refusal(inventories.add_one, **call, facts=Facts(10)).code == "placement.concurrent_update"
    inventories.put_one(**call, facts=Facts(20))
    assert facts(row) == {"VCPU": Facts(4), "DISK_GB": Facts(20)}
    inventories.remove_one(**call)
    assert facts(row) == {"VCPU": Facts(4)}
    assert refusal(inventories.remove_one, **call).kind == "not_found"
    inventories.remove_all(actor=SYSTEM, provider_id=row.pk)
    assert facts(row) == {}


def test_what_is_claimed_of_cannot_be_deleted_and_nothing_is_changed() -> None:
    row = provider(VCPU=4, DISK_GB=10)
    give(row, VCPU=1)
    error = refusal(put, row, {"DISK_GB": Facts(20)})
    assert (error.kind, error.code) == ("conflict", "placement.inventory.inuse")
    assert "VCPU" in error.message
    assert facts(row) == {"VCPU": Facts(4), "DISK_GB": Facts(10)}


def test_an_inventory_may_shrink_below_what_is_claimed_and_gives_nothing_more() -> None:
    row = provider(VCPU=4)
    give(row, VCPU=3)
    put(row, {"VCPU": Facts(2)})
    found = Inventory.objects.get(provider=row)
    assert (found.capacity, found.used, found.ceiling) == (2, 3, 3)
    assert refusal(give, row, VCPU=1).kind == "no_capacity"
    assert used(row) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"reserved": 5}, {"reserved": -1}, {"total": -1}, {"total": 2**49}, {"min_unit": 0}, {"max_unit": 0}, {"step_size": 0},
        {"allocation_ratio": 0.0}, {"allocation_ratio": inf}, {"allocation_ratio": nan},
    ],
    ids=lambda change: " ".join(f"{name} {value}" for name, value in change.items()),
)
def test_amounts_that_nothing_can_have_are_refused(change: dict[str, Any]) -> None:
    row = provider()
    assert refusal(put, row, {"VCPU": replace(Facts(4), **change)}).kind == "invalid"
    assert facts(row) == {}


def test_a_provider_with_everything_reserved_gives_nothing() -> None:
    row = provider(VCPU=Facts(4, reserved=4))
    assert refusal(give, row, VCPU=1).kind == "no_capacity"


def test_only_classes_that_there_are_can_be_had() -> None:
    row = provider()
    assert refusal(put, row, {"CUSTOM_GOLD": Facts(1)}).code == "resource_class.unknown"
    assert refusal(put, row, {"GOLD": Facts(1)}).code == "resource_class.unknown"
    classes.create(actor=SYSTEM, name="CUSTOM_GOLD")
    put(row, {"CUSTOM_GOLD": Facts(1)})
    assert refusal(put, provider(), {"CUSTOM_SILVER": Facts(1)}).kind == "invalid"


def test_of_a_host_only_the_total_is_the_hosts_own(cloud: Cloud) -> None:
    host = cloud.host(VCPU=16, MEMORY_MB=1000, DISK_GB=10)
    row = ResourceProvider.objects.get(pk=host.id)
    there = facts(row)
    classes.create(actor=SYSTEM, name="CUSTOM_LICENSE")
    wanted = there | {"VCPU": replace(there["VCPU"], allocation_ratio=2.0, reserved=4), "CUSTOM_LICENSE": Facts(3)}
    put(row, wanted)
    assert facts(row) == wanted
    assert refusal(put, row, wanted | {"VCPU": Facts(99)}).code == "inventory.of_host"
    for left in ("VCPU", "MEMORY_MB"):
        assert refusal(inventories.remove_one, actor=SYSTEM, provider_id=row.pk, resource_class=left).code == "inventory.of_host"
    inventories.remove_one(actor=SYSTEM, provider_id=row.pk, resource_class="CUSTOM_LICENSE")
    host.hello({"VCPU": 32, "MEMORY_MB": 1000, "DISK_GB": 10})
    assert facts(row)["VCPU"] == Facts(32, reserved=4, allocation_ratio=2.0)


def test_of_what_a_host_no_longer_reports_nothing_more_can_be_claimed(cloud: Cloud) -> None:
    usual = {"VCPU": 16, "MEMORY_MB": 1000, "DISK_GB": 10}
    host = cloud.host(VCPU=16, MEMORY_MB=1000, DISK_GB=10, CUSTOM_GPU=2)
    row = ResourceProvider.objects.get(pk=host.id)
    put(row, facts(row) | {"IPV4_ADDRESS": Facts(8)})
    give(row, CUSTOM_GPU=1)
    host.hello(usual)
    assert refusal(give, row, CUSTOM_GPU=1).code == "placement.capacity"
    assert facts(row)["IPV4_ADDRESS"].total == 8 and used(row, "CUSTOM_GPU") == 1
    seen = generation(row)
    host.hello(usual)
    assert generation(row) == seen
    host.hello(usual | {"CUSTOM_GPU": 2})
    give(row, CUSTOM_GPU=1)


def test_schedulers_are_told_by_the_root() -> None:
    root = provider(VCPU=4)
    child = provider("", root, DISK_GB=1)
    cursor = deltas.read(None).cursor
    put(child, {"DISK_GB": Facts(2)})
    assert deltas.read(cursor).changed == {root.pk}


def test_the_trail_says_what_was_and_what_is() -> None:
    row = provider("shelf", VCPU=4)
    put(row, {"DISK_GB": Facts(1)})
    found = Record.objects.filter(action="placement.inventory.update").latest("pk")
    assert (found.resource_type, found.name) == ("resource_provider", "shelf")
    assert found.changes["VCPU"][0].startswith("total 4,") and found.changes["VCPU"][1] is None
    assert found.changes["DISK_GB"][0] is None


def test_a_provider_that_is_not_there_has_no_inventories() -> None:
    assert refusal(inventories.replace, actor=SYSTEM, provider_id=uuid.uuid4(), inventories={}).kind == "not_found"
