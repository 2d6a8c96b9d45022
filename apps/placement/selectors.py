"""Reads of capacity."""

import uuid
from dataclasses import dataclass

from django.db.models import Sum

from apps.placement.models import Allocation, Inventory


@dataclass(frozen=True)
class Mismatch:
    """An inventory whose `used` is not the sum of its allocations."""

    provider: str
    provider_id: uuid.UUID
    resource_class: str
    used: int
    allocated: int


def free() -> list[tuple[uuid.UUID, str, int, int]]:
    """(provider, resource class, capacity, used) of every inventory: what the scheduler's table is made from."""
    return list(Inventory.objects.values_list("provider_id", "resource_class", "capacity", "used"))


def inventories(provider_id: uuid.UUID) -> list[Inventory]:
    return list(Inventory.objects.filter(provider_id=provider_id).order_by("resource_class"))


def consumers() -> set[uuid.UUID]:
    """Everybody who holds an allocation."""
    return set(Allocation.objects.values_list("consumer_id", flat=True).distinct())


def held(consumer_id: uuid.UUID) -> dict[str, int]:
    """What one consumer holds, by resource class."""
    rows = Allocation.objects.filter(consumer_id=consumer_id).values_list("resource_class").annotate(Sum("amount"))
    return {resource_class: amount for resource_class, amount in rows}


def mismatches() -> list[Mismatch]:
    """For the audit: inventories whose `used` differs from a recount."""
    counted = {
        (provider_id, resource_class): total
        for provider_id, resource_class, total in Allocation.objects.values_list("provider_id", "resource_class").annotate(Sum("amount"))
    }
    found = []
    for inventory in Inventory.objects.select_related("provider"):
        allocated = counted.get((inventory.provider_id, inventory.resource_class), 0)
        if allocated != inventory.used:
            found.append(Mismatch(inventory.provider.name, inventory.provider_id, inventory.resource_class, inventory.used, allocated))
    return found
