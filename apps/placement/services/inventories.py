"""Inventories: what hosts report, what operators and clients of the Placement API set."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace as with_other
from math import inf
from typing import Any

from django.db import transaction
from django.db.models import Sum

from apps.audit.services import record
from apps.common import clock
from apps.common.context import Actor
from apps.common.errors import Conflict, Invalid, NotFound
from apps.common.sql import insert_rows, update_rows
from apps.identity import policy
from apps.placement.errors import CONCURRENT_UPDATE, INVENTORY_INUSE
from apps.placement.models import Allocation, Inventory, ResourceProvider
from apps.placement.names import DEFAULT_RATIOS, MAX_INT, is_class
from apps.placement.services import classes, providers, stock
from apps.placement.services.stock import Slot

# No host has more of anything; times the largest ratio it still fits its column.
MOST = 2**48
_WRITTEN = ("total", "reserved", "min_unit", "max_unit", "step_size", "allocation_ratio", "capacity", "ceiling", "reported", "updated_at")


@dataclass(frozen=True)
class Facts:
    """An inventory as clients say it, in the unit of its class. (total - reserved) * allocation_ratio can be claimed, by
    `min_unit` to `max_unit` at once, in steps of `step_size`."""

    total: int
    reserved: int = 0
    min_unit: int = 1
    max_unit: int = MAX_INT
    step_size: int = 1
    allocation_ratio: float = 1.0

    @classmethod
    def of(cls, row: Inventory) -> "Facts":
        return cls(row.total, row.reserved, row.min_unit, row.max_unit, row.step_size, row.allocation_ratio)

    def __str__(self) -> str:
        return (
            f"total {self.total}, reserved {self.reserved}, units {self.min_unit} to {self.max_unit} by {self.step_size}, "
            f"ratio {self.allocation_ratio:g}"
        )


def replace(
    *, actor: Actor, provider_id: uuid.UUID, generation: int | None = None, inventories: Mapping[str, Facts]
) -> ResourceProvider:
    """All inventories of a provider, by resource class; what is left out is deleted. Less than what is claimed is possible:
    nothing more can be claimed then.

    Raises Forbidden, NotFound, Invalid, Conflict (`placement.concurrent_update`, `placement.inventory.inuse`,
    `inventory.of_host`).
    """
    policy.require(actor, "placement.inventory.update")
    check_all(inventories)
    with transaction.atomic():
        classes.hold(inventories)
        provider, there = _locked(provider_id, generation)
        return _write(actor, provider, there, inventories)


def put_one(
    *, actor: Actor, provider_id: uuid.UUID, generation: int | None = None, resource_class: str, facts: Facts
) -> ResourceProvider:
    """Change one that is there. Raises as `replace`, and Invalid `inventory.not_found`."""
    policy.require(actor, "placement.inventory.update")
    check_all({resource_class: facts})
    with transaction.atomic():
        classes.hold([resource_class])
        provider, there = _locked(provider_id, generation)
        if resource_class not in there:
            message = f"No inventory of class {resource_class} on resource provider {provider_id} to change; it can be added."
            raise Invalid("inventory.not_found", message, field="resource_class")
        return _write(actor, provider, there, _said(there) | {resource_class: facts})


def add_one(
    *, actor: Actor, provider_id: uuid.UUID, generation: int | None = None, resource_class: str, facts: Facts
) -> ResourceProvider:
    """Raises as `replace`; one that is there already is a Conflict `placement.concurrent_update`."""
    policy.require(actor, "placement.inventory.update")
    check_all({resource_class: facts})
    with transaction.atomic():
        classes.hold([resource_class])
        provider, there = _locked(provider_id, generation)
        if resource_class in there:
            message = f"Update conflict: resource provider {provider_id} has an inventory of class {resource_class} already."
            raise Conflict(CONCURRENT_UPDATE, message, field="resource_class")
        return _write(actor, provider, there, _said(there) | {resource_class: facts})


def remove_one(
    *, actor: Actor, provider_id: uuid.UUID, resource_class: str, generation: int | None = None
) -> ResourceProvider:
    """Raises Forbidden, NotFound (also of an inventory that is not there), Conflict as `replace`."""
    policy.require(actor, "placement.inventory.update")
    with transaction.atomic():
        provider, there = _locked(provider_id, generation)
        if resource_class not in there:
            raise NotFound("inventory.not_found", f"No inventory of class {resource_class} found for delete.", field="resource_class")
        return _write(actor, provider, there, {name: facts for name, facts in _said(there).items() if name != resource_class})


def remove_all(*, actor: Actor, provider_id: uuid.UUID, generation: int | None = None) -> ResourceProvider:
    """Raises as `replace`."""
    return replace(actor=actor, provider_id=provider_id, generation=generation, inventories={})


def adjust(
    *, actor: Actor, provider_id: uuid.UUID, resource_class: str, allocation_ratio: float | None = None, reserved: int | None = None,
    min_unit: int | None = None, max_unit: int | None = None, step_size: int | None = None, generation: int | None = None,
) -> Inventory:
    """What operators set of an inventory, the host's own as well; None: as it is. Raises Forbidden, NotFound, Invalid, Conflict."""
    policy.require(actor, "placement.inventory.update")
    given: dict[str, Any] = {
        "allocation_ratio": allocation_ratio, "reserved": reserved, "min_unit": min_unit, "max_unit": max_unit, "step_size": step_size,
    }
    if not is_class(resource_class):
        raise NotFound("inventory.not_found", f"This provider has no {resource_class[:255]!r}.", field="resource_class")
    with transaction.atomic():
        row = stock.lock([(provider_id, resource_class)]).get((provider_id, resource_class))
        provider = stock.lock_provider(provider_id, generation)
        if row is None:
            raise NotFound("inventory.not_found", f"This provider has no {resource_class}.", field="resource_class")
        facts = with_other(Facts.of(row), **{name: value for name, value in given.items() if value is not None})
        if allocation_ratio is not None and not 0 < allocation_ratio <= 64:
            raise Invalid("inventory.ratio", "allocation_ratio: expected a number above 0, at most 64.", field="allocation_ratio")
        if reserved is not None and not 0 <= reserved <= row.total:
            raise Invalid("inventory.reserved", f"reserved: expected 0 to {row.total}.", field="reserved")
        _check_units(resource_class, facts)
        changes = record.changed(row, **{name: getattr(facts, name) for name in given})
        if changes:
            put(row, facts)
            row.save()
            stock.touch([provider])
            record.write(
                actor, "placement.inventory.update", "inventory", f"{provider_id}/{resource_class}",
                name=f"{provider.name} {resource_class}", changes=changes,
            )
    return row


@transaction.atomic
def report(*, provider_id: uuid.UUID, name: str, totals: Mapping[str, int]) -> bool:
    """A host says what it has; of what it no longer names it has nothing. Ratios and reserved amounts stay as the operator set them.

    Returns whether anything changed.
    """
    classes.ensure_reported(totals)
    providers.ensure_of_host(provider_id, name)
    provider, there = _locked(provider_id, None)
    new, changed = [], []
    gone = {name: 0 for name, row in there.items() if row.reported and name not in totals}
    for resource_class, total in {**totals, **gone}.items():
        row = there.get(resource_class)
        if row is None:
            ratio = DEFAULT_RATIOS.get(resource_class, 1.0)
            row = Inventory(provider=provider, resource_class=resource_class, total=total, allocation_ratio=ratio, reported=True)
            new.append(row)
        elif row.total != total or not row.reported:
            row.total, row.reported = total, True
            changed.append(row)
        stock.settle(row)
    if new or changed:
        insert_rows(new)
        _update(changed)
        stock.touch([provider])
    return bool(new or changed)


@transaction.atomic
def recount(provider_id: uuid.UUID, resource_class: str) -> None:
    """Repair for the audit: `used` becomes the sum of the allocations."""
    row = stock.lock([(provider_id, resource_class)]).get((provider_id, resource_class))
    if row is None:
        return
    allocated = Allocation.objects.filter(provider_id=provider_id, resource_class=resource_class).aggregate(total=Sum("amount"))
    row.used = allocated["total"] or 0
    stock.settle(row)
    row.save()
    stock.touch([stock.lock_provider(provider_id)])


def check_all(inventories: Mapping[str, Facts]) -> None:
    """Raises Invalid for amounts that no inventory can have."""
    for name, facts in inventories.items():
        if not 0 <= facts.total <= MOST or facts.reserved < 0 or not 0 < facts.allocation_ratio < inf:
            message = f"Invalid inventory for {name}: expected a total from 0 to {MOST}, reserved at least 0, a ratio above 0."
            raise Invalid("inventory.total", message, field="total")
        if facts.reserved > facts.total:
            message = f"Invalid inventory for {name}: The reserved value is greater than total."
            raise Invalid("inventory.reserved", message, field="reserved")
        _check_units(name, facts)


def put(row: Inventory, facts: Facts) -> None:
    """What clients say, into a (locked) row that is not saved yet. Raises Conflict `inventory.of_host`."""
    if row.reported and row.total != facts.total:
        message = f"The host says itself how much {row.resource_class} it has: {row.total}. All else of its inventory can be set."
        raise Conflict("inventory.of_host", message, field="total", total=row.total)
    row.total, row.reserved, row.allocation_ratio = facts.total, facts.reserved, facts.allocation_ratio
    row.min_unit, row.max_unit, row.step_size = facts.min_unit, facts.max_unit, facts.step_size
    stock.settle(row)


def change_rows(
    provider: ResourceProvider, there: Mapping[str, Inventory], inventories: Mapping[str, Facts]
) -> tuple[list[Inventory], list[Inventory], list[Inventory]]:
    """(new, changed, to be deleted), none of them saved; `there` is locked. Raises Conflict `inventory.of_host`."""
    new: list[Inventory] = []
    changed: list[Inventory] = []
    for name, facts in inventories.items():
        row = there.get(name) or Inventory(provider=provider, resource_class=name, total=facts.total)
        if row.pk is not None and Facts.of(row) == facts:
            continue
        put(row, facts)
        (new if row.pk is None else changed).append(row)
    leaving = [row for name, row in there.items() if name not in inventories]
    for row in leaving:
        if row.reported:
            raise Conflict("inventory.of_host", f"The host has {row.resource_class}: it cannot be deleted here.", field="resource_class")
    return new, changed, leaving


def save_rows(new: list[Inventory], changed: list[Inventory]) -> None:
    """Two statements at most."""
    insert_rows(new)
    _update(changed)


def in_use(rows: list[Inventory]) -> Conflict:
    """That these inventories cannot be deleted."""
    names = ", ".join(sorted(row.resource_class for row in rows))
    message = f"Inventory for '{names}' on resource provider '{rows[0].provider_id}' in use. Give back what is claimed of it first."
    return Conflict(INVENTORY_INUSE, message, field="inventories", resource_classes=names)


def _write(
    actor: Actor, provider: ResourceProvider, there: Mapping[str, Inventory], inventories: Mapping[str, Facts]
) -> ResourceProvider:
    before = _said(there)
    new, changed, leaving = change_rows(provider, there, inventories)
    if used := [row for row in leaving if row.used]:
        raise in_use(used)
    save_rows(new, changed)
    Inventory.objects.filter(pk__in=[row.pk for row in leaving]).delete()
    stock.touch([provider])
    told = told_changes(before, inventories)
    record.write(actor, "placement.inventory.update", "resource_provider", provider.pk, name=provider.name, changes=told)
    return provider


def told_changes(before: Mapping[str, Facts], after: Mapping[str, Facts]) -> dict[str, Any]:
    """For the audit trail."""
    return {
        name: [_told(before.get(name)), _told(after.get(name))]
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    }


def _told(facts: Facts | None) -> str | None:
    return None if facts is None else str(facts)


def _said(there: Mapping[str, Inventory]) -> dict[str, Facts]:
    return {name: Facts.of(row) for name, row in there.items()}


def _locked(provider_id: uuid.UUID, generation: int | None) -> tuple[ResourceProvider, dict[str, Inventory]]:
    """The provider and its inventories by class, none of which changes, comes or goes."""
    stock.lock_shapes([provider_id])
    there: dict[Slot, Inventory] = stock.lock(whole=[provider_id])
    return stock.lock_provider(provider_id, generation), {name: row for (_, name), row in there.items()}


def _update(rows: list[Inventory]) -> None:
    for row in rows:
        row.updated_at = clock.now()
    update_rows(rows, _WRITTEN)


def _check_units(name: str, facts: Facts) -> None:
    if not all(1 <= value <= MOST for value in (facts.min_unit, facts.max_unit, facts.step_size)):
        message = f"Invalid inventory for {name}: expected min_unit, max_unit and step_size from 1 to {MOST}."
        raise Invalid("inventory.units", message, field="min_unit")
