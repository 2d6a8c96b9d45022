"""Inventories: what hosts report, what operators set."""

import uuid
from collections.abc import Mapping

from django.db import transaction
from django.db.models import Sum

from apps.audit.services import record
from apps.common.context import Actor
from apps.common.errors import Invalid, NotFound
from apps.identity import policy
from apps.placement.models import Allocation, Inventory, ResourceProvider
from apps.placement.names import DEFAULT_RATIOS
from contracts.hosts.v1 import Hello

# No host has more of anything; times the largest ratio it still fits its column.
_MOST = 2**48


@transaction.atomic
def report(*, provider_id: uuid.UUID, name: str, totals: Mapping[str, int]) -> bool:
    """A host says what it has. Ratios and reserved amounts stay as the operator set them. Returns whether anything changed."""
    ResourceProvider.objects.get_or_create(pk=provider_id, defaults={"name": name})
    # No key lock: claims refer to the provider after they have locked its inventory, and would wait for us as we for them.
    provider = ResourceProvider.objects.select_for_update(no_key=True).get(pk=provider_id)
    known = {inventory.resource_class: inventory for inventory in Inventory.objects.select_for_update().filter(provider=provider).order_by("resource_class")}
    changed = False
    for resource_class, total in totals.items():
        inventory = known.get(resource_class) or Inventory(
            provider=provider, resource_class=resource_class, allocation_ratio=DEFAULT_RATIOS.get(resource_class, 1.0)
        )
        if inventory.pk is None or inventory.total != total:
            inventory.total = total
            _save(inventory)
            changed = True
    if changed:
        provider.generation += 1
        provider.save(update_fields=["generation"])
    return changed


@transaction.atomic
def adjust(*, actor: Actor, provider_id: uuid.UUID, resource_class: str, allocation_ratio: float | None = None, reserved: int | None = None) -> Inventory:
    """Set ratio or reserved amount. Raises Forbidden, NotFound, Invalid."""
    policy.require(actor, "placement.inventory.update")
    inventory = Inventory.objects.select_for_update().filter(provider_id=provider_id, resource_class=resource_class).first()
    if inventory is None:
        raise NotFound("inventory.not_found", f"This provider has no {resource_class}.", field="resource_class")
    if allocation_ratio is not None and not 0 < allocation_ratio <= 64:
        raise Invalid("inventory.ratio", "allocation_ratio: expected a number above 0, at most 64.", field="allocation_ratio")
    if reserved is not None and not 0 <= reserved <= inventory.total:
        raise Invalid("inventory.reserved", f"reserved: expected 0 to {inventory.total}.", field="reserved")
    wanted = {"allocation_ratio": allocation_ratio, "reserved": reserved}
    changes = record.changed(inventory, **{name: value for name, value in wanted.items() if value is not None})
    for name, (_, value) in changes.items():
        setattr(inventory, name, value)
    _save(inventory)
    if changes:
        record.write(
            actor, "placement.inventory.update", "inventory", f"{provider_id}/{resource_class}",
            name=f"{inventory.provider.name} {resource_class}", changes=changes,
        )
    return inventory


def _save(inventory: Inventory) -> None:
    inventory.capacity = max(0, int((inventory.total - min(inventory.reserved, inventory.total)) * inventory.allocation_ratio))
    inventory.ceiling = max(inventory.capacity, inventory.used)
    inventory.save()


@transaction.atomic
def recount(provider_id: uuid.UUID, resource_class: str) -> None:
    """Repair for the audit: `used` becomes the sum of the allocations."""
    inventory = Inventory.objects.select_for_update().get(provider_id=provider_id, resource_class=resource_class)
    allocated = Allocation.objects.filter(provider_id=provider_id, resource_class=resource_class).aggregate(total=Sum("amount"))
    inventory.used = allocated["total"] or 0
    _save(inventory)


def take_hello(host_id: uuid.UUID, name: str, said: Hello) -> None:
    """A host's agent has started and says what the host has. Raises Invalid for amounts that nobody can have."""
    if not all(0 <= total <= _MOST and len(resource_class) <= 64 for resource_class, total in said.inventory.items()):
        raise Invalid("inventory.total", f"inventory: expected amounts from 0 to {_MOST} by resource class.", field="inventory")
    report(provider_id=host_id, name=name, totals=said.inventory)
