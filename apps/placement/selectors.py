"""Reads of capacity."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import QuerySet, Sum

from apps.common.context import Actor
from apps.common.errors import NotFound
from apps.identity import policy
from apps.placement.models import Allocation, Inventory, ResourceProvider


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


def providers(*, actor: Actor) -> "QuerySet[ResourceProvider]":
    """All of them, with their inventories. Raises Forbidden."""
    policy.require(actor, "placement.provider.list")
    return ResourceProvider.objects.prefetch_related("inventories")


def provider(*, actor: Actor, provider_id: uuid.UUID) -> ResourceProvider:
    """Raises Forbidden, NotFound."""
    found = providers(actor=actor).filter(pk=provider_id).first()
    if found is None:
        raise NotFound("resource_provider.not_found", f"There is no resource provider {provider_id}.")
    return found


def inventories(provider_id: uuid.UUID) -> list[Inventory]:
    return list(Inventory.objects.filter(provider_id=provider_id).order_by("resource_class"))


def inventories_of(provider_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, list[Inventory]]:
    """Provider id → its inventories, for many at once."""
    found: dict[uuid.UUID, list[Inventory]] = {}
    for row in Inventory.objects.filter(provider_id__in=set(provider_ids)).order_by("resource_class"):
        found.setdefault(row.provider_id, []).append(row)
    return found


def consumers() -> set[uuid.UUID]:
    """Everybody who holds an allocation."""
    return set(Allocation.objects.values_list("consumer_id", flat=True).distinct())


def allocations() -> dict[uuid.UUID, dict[tuple[uuid.UUID, str], int]]:
    """Consumer → what it holds: amount by provider and resource class."""
    found: dict[uuid.UUID, dict[tuple[uuid.UUID, str], int]] = {}
    for consumer, provider_id, name, amount in Allocation.objects.values_list("consumer_id", "provider_id", "resource_class", "amount"):
        found.setdefault(consumer, {})[provider_id, name] = amount
    return found


def held(consumer_id: uuid.UUID) -> dict[str, int]:
    """What one consumer holds, by resource class."""
    rows = Allocation.objects.filter(consumer_id=consumer_id).values_list("resource_class").annotate(Sum("amount"))
    return dict(rows)


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
