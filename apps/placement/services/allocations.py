"""Allocations of any consumers, as clients of the Placement API write them: all that a consumer holds, or nothing of it.

Our own scheduler claims by `claims`: the same tables and rules, in fewer statements.
"""

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Final

from django.db import IntegrityError, connection, transaction
from django.db.models import F

from apps.audit.services import record
from apps.audit.services.record import Entry
from apps.common import clock
from apps.common.context import Actor
from apps.common.errors import Conflict, Invalid, NoCapacity, NotFound
from apps.common.sql import insert_rows
from apps.identity import policy
from apps.placement.errors import CONCURRENT_UPDATE, PROVIDER_NOT_FOUND
from apps.placement.models import Allocation, Consumer, Inventory, ResourceProvider
from apps.placement.names import NOBODY, UNKNOWN, standard_classes
from apps.placement.services import claims, classes, stock
from apps.placement.services import inventories as stock_of
from apps.placement.services.inventories import Facts
from apps.placement.services.stock import Slot

_TRIES = 5
# Added to what is used, it still is a number to the database.
_SUMMABLE = 2**61


class Unchecked(Enum):
    """In the place of a consumer's generation."""

    UNCHECKED = "unchecked"


UNCHECKED: Final = Unchecked.UNCHECKED


@dataclass(frozen=True)
class Wanted:
    """All that a consumer is to hold, by provider and resource class; nothing at all: it gives everything back.

    `generation`: what whoever asks has seen of the consumer, None if that it holds nothing yet, UNCHECKED if it has not looked.
    `type` None: as it is; of a new consumer, unknown.
    """

    consumer_id: uuid.UUID
    project_id: str = NOBODY
    user_id: str = NOBODY
    type: str | None = None
    generation: int | Unchecked | None = UNCHECKED
    resources: Mapping[uuid.UUID, Mapping[str, int]] = field(default_factory=dict)

    @property
    def slots(self) -> dict[Slot, int]:
        return {(key, name): amount for key, amounts in self.resources.items() for name, amount in amounts.items()}


@dataclass(frozen=True)
class Reshaped:
    """All inventories that a provider is to have, by resource class, and the generation of it that whoever asks has seen."""

    generation: int | None
    inventories: Mapping[str, Facts]


@dataclass(frozen=True)
class _Held:
    """What a consumer holds, and at which moment of its life: if that is still the same under lock, so is what it holds."""

    generation: int
    created_at: datetime
    slots: Mapping[Slot, int]


def put(*, actor: Actor, sets: Sequence[Wanted]) -> None:
    """Replace what these consumers hold; all of them, or none. A consumer can so pass to another what it holds.

    Raises Forbidden, Invalid (unknown providers or classes, amounts below 1), NoCapacity, Conflict (`placement.concurrent_update`,
    `inventory.not_found` where a provider has no such class, `allocation.units`, `consumer.managed`).
    """
    policy.require(actor, "placement.allocation.update")
    _check_sets(sets)
    if _put_new(actor, sets):
        return
    try:
        with transaction.atomic():
            before = _read(sets)
            there = stock.lock({slot for held in before.values() for slot in held.slots} | {slot for each in sets for slot in each.slots})
            providers = stock.lock_providers({slot[0] for slot in there})
            _change(sets, before, there, providers)
            stock.touch(providers.values())
            _tell(actor, "placement.allocation.update", sets)
    except IntegrityError:
        raise _overtaken() from None


def reshape(*, actor: Actor, inventories: Mapping[uuid.UUID, Reshaped], allocations: Sequence[Wanted]) -> None:
    """Replace inventories of these providers and what these consumers hold, at once; all of it or nothing.

    How a provider gets children: what it had itself is the children's then, and its consumers hold it of them.
    Raises Forbidden, Invalid, NoCapacity, Conflict as `inventories.replace` and `put`.
    """
    policy.require(actor, "placement.allocation.reshape")
    _check_sets(allocations)
    for shape in inventories.values():
        stock_of.check_all(shape.inventories)
    try:
        with transaction.atomic():
            _reshape(actor, inventories, allocations)
    except IntegrityError:
        raise _overtaken() from None


def delete(*, actor: Actor, consumer_id: uuid.UUID) -> None:
    """A consumer gives everything back. Raises Forbidden, NotFound, Conflict `consumer.managed`."""
    policy.require(actor, "placement.allocation.update")
    for left in reversed(range(_TRIES)):
        if not Allocation.objects.filter(consumer_id=consumer_id).exists():
            raise NotFound("allocation.not_found", f"No allocations for consumer '{consumer_id}'.")
        try:
            return put(actor=actor, sets=[Wanted(consumer_id)])
        except Conflict as error:  # it has been given something else at this very moment: that goes, too
            if error.code != CONCURRENT_UPDATE or not left:
                raise
    return None


@transaction.atomic
def forget(consumer_id: uuid.UUID) -> None:
    """Repair for the audit: a consumer that holds nothing is none."""
    stock.lock_consumers([consumer_id])
    if not Allocation.objects.filter(consumer_id=consumer_id).exists():
        Consumer.objects.filter(pk=consumer_id).delete()


def _put_new(actor: Actor, sets: Sequence[Wanted]) -> bool:
    """Consumers that hold nothing yet: in one statement, as our scheduler claims. False: not so; the long way does it, or says why
    it cannot be done."""
    if connection.vendor != "postgresql" or not all(each.generation is None and each.resources for each in sets):
        return False
    lines = [
        (each.consumer_id, each.project_id, each.user_id, each.type or UNKNOWN, provider_id, name, amount)
        for each in sets
        for (provider_id, name), amount in each.slots.items()
    ]
    if not lines or sum(line[-1] for line in lines) >= _SUMMABLE:
        return False
    try:
        with transaction.atomic():
            # Before the claim: others who want the same provider then wait for no more than the commit.
            _tell(actor, "placement.allocation.update", sets)
            if claims.claim_lines(lines, new=True):
                raise _NotSo
    except (IntegrityError, _NotSo):
        return False
    return True


class _NotSo(Exception):
    """Rolls back."""


def _reshape(actor: Actor, shapes: Mapping[uuid.UUID, Reshaped], sets: Sequence[Wanted]) -> None:
    classes.hold({name for shape in shapes.values() for name in shape.inventories})
    stock.lock_shapes(shapes.keys())
    before = _read(sets)
    slots = {slot for held in before.values() for slot in held.slots} | {slot for each in sets for slot in each.slots}
    there = stock.lock(slots, whole=shapes.keys())
    providers = stock.lock_providers({slot[0] for slot in there} | shapes.keys())
    told, gone = [], []
    for key, shape in shapes.items():
        provider = providers.get(key)
        if provider is None:
            raise Invalid(PROVIDER_NOT_FOUND, f"Resource provider {key} in inventories not found.", field="inventories")
        stock.check_generation(provider, shape.generation)
        mine = {name: row for (owner, name), row in there.items() if owner == key}
        said = {name: Facts.of(row) for name, row in mine.items()}
        new, changed, leaving = stock_of.change_rows(provider, mine, shape.inventories)
        # Before the claims, which need them; what goes is looked at after these, when nothing may be claimed of it any more.
        stock_of.save_rows(new, changed)
        there |= {(key, row.resource_class): row for row in new}
        gone += leaving
        told.append(Entry(resource_id=key, name=provider.name, changes=stock_of.told_changes(said, shape.inventories)))
    _change(sets, before, there, providers)
    if used := [row for row in gone if row.used]:
        raise stock_of.in_use(used)
    Inventory.objects.filter(pk__in=[row.pk for row in gone]).delete()
    stock.touch(providers.values())
    record.write_many(actor, "placement.allocation.reshape", "resource_provider", told)
    _tell(actor, "placement.allocation.reshape", sets)


def _check_sets(sets: Sequence[Wanted]) -> None:
    """Raises Invalid."""
    if len({each.consumer_id for each in sets}) < len(sets):
        raise Invalid("allocation.twice", "A consumer is named twice.", field="allocations")
    if any(amount < 1 for each in sets for amount in each.slots.values()):
        raise Invalid("allocation.amount", "An allocation is of at least 1; leave out what is not wanted.", field="resources")


def _read(sets: Sequence[Wanted]) -> dict[uuid.UUID, _Held]:
    """What these consumers hold, as far as they are there; not locked yet. One statement."""
    rows = Consumer.objects.filter(pk__in=[each.consumer_id for each in sets])
    columns = ("allocations__provider_id", "allocations__resource_class", "allocations__amount")
    found: dict[uuid.UUID, tuple[int, datetime, dict[Slot, int]]] = {}
    for key, generation, created_at, provider_id, name, amount in rows.values_list("pk", "generation", "created_at", *columns):
        slots = found.setdefault(key, (generation, created_at, {}))[2]
        if provider_id is not None:
            slots[provider_id, name] = amount
    return {key: _Held(*each) for key, each in found.items()}


def _change(
    sets: Sequence[Wanted], before: Mapping[uuid.UUID, _Held], there: Mapping[Slot, Inventory],
    providers: Mapping[uuid.UUID, ResourceProvider],
) -> None:
    """Check and write, with inventories and providers locked. Consumers come last."""
    consumers = stock.lock_consumers(before) if before else {}
    # Any change of what a consumer holds raises its generation, and it is made anew after it has held nothing.
    if {key: (row.generation, row.created_at) for key, row in consumers.items()} != {
        key: (held.generation, held.created_at) for key, held in before.items()
    }:
        raise _overtaken()
    for each in sets:
        _check_consumer(each, consumers.get(each.consumer_id))
    _check_slots(sets, there, providers)
    shifts: Counter[Slot] = Counter()
    for each in sets:
        shifts.update(each.slots)
    for held in before.values():
        shifts.subtract(held.slots)
    if full := {slot: more for slot, more in shifts.items() if slot in there and not stock.has(there[slot], more)}:
        raise _no_room(full, there)
    _write(sets, consumers)
    stock.shift(shifts)
    for slot, more in shifts.items():
        if slot in there:
            there[slot].used += more


def _tell(actor: Actor, action: str, sets: Sequence[Wanted]) -> None:
    """Into the audit trail: one statement."""
    record.write_many(actor, action, "consumer", [
        Entry(resource_id=each.consumer_id, changes={str(key): dict(amounts) for key, amounts in each.resources.items()} or {"held": "nothing"})
        for each in sets
    ])


def _overtaken() -> Conflict:
    """Somebody else has changed the same at the same moment."""
    message = "Inventory and/or allocations changed while attempting to allocate: another one was quicker. Read again, and decide again."
    return Conflict(CONCURRENT_UPDATE, message)


def _check_consumer(wanted: Wanted, row: Consumer | None) -> None:
    if not isinstance(wanted.generation, Unchecked):
        there = None if row is None else row.generation
        if there != wanted.generation:
            expected, got = ("null" if each is None else each for each in (there, wanted.generation))
            message = f"consumer generation conflict - expected {expected} but got {got}: consumer {wanted.consumer_id}"
            raise Conflict(CONCURRENT_UPDATE, message, field="consumer_generation")
    if row is not None and row.managed:
        message = f"Consumer {row.pk} is an instance of this cloud: what it holds follows its life. Delete the instance to free it."
        raise Conflict("consumer.managed", message)


def _check_slots(sets: Sequence[Wanted], there: Mapping[Slot, Inventory], providers: Mapping[uuid.UUID, ResourceProvider]) -> None:
    """Raises Invalid, Conflict."""
    if missing := {slot for each in sets for slot in each.slots if slot not in there}:
        _refuse_unknown(missing, set(providers))
    for each in sets:
        for slot, amount in each.slots.items():
            if expected := stock.misfit(there[slot], amount):
                message = (
                    f"Unable to allocate inventory: {amount} {slot[1]} of resource provider {slot[0]} violate min_unit, max_unit or "
                    f"step_size: expected {expected}."
                )
                raise Conflict("allocation.units", message, field="resources")


def _refuse_unknown(missing: set[Slot], known: set[uuid.UUID]) -> None:
    wanted = {slot[0] for slot in missing} - known
    found = set(ResourceProvider.objects.filter(pk__in=wanted).values_list("pk", flat=True))
    if lost := sorted(map(str, wanted - found)):
        message = f"Allocation for resource provider '{', '.join(lost)}' that does not exist."
        raise Invalid("resource_provider.unknown", message, field="resource_provider")
    classes.hold({slot[1] for slot in missing} - set(standard_classes()))
    provider_id, name = min(missing)
    message = f"Inventory for '{name}' on resource provider '{provider_id}' invalid: it has none."
    raise Conflict("inventory.not_found", message, field="resources")


def _no_room(full: Mapping[Slot, int], there: Mapping[Slot, Inventory]) -> NoCapacity:
    (provider_id, name), more = min(full.items())
    row = there[provider_id, name]
    message = (
        f"Unable to allocate inventory: '{name}' on resource provider '{provider_id}': the requested amount would exceed the "
        f"capacity: {more} more asked, {max(0, row.capacity - row.used)} free."
    )
    return NoCapacity("placement.capacity", message, resource_class=name, asked=more, free=max(0, row.capacity - row.used))


def _write(sets: Sequence[Wanted], consumers: Mapping[uuid.UUID, Consumer]) -> None:
    """Consumers and their allocations; the old ones of locked consumers go first."""
    now = clock.now()
    if consumers:
        Allocation.objects.filter(consumer_id__in=consumers).delete()
    staying = [each for each in sets if each.slots]
    made = sorted((each for each in staying if each.consumer_id not in consumers), key=lambda each: each.consumer_id)
    insert_rows([
        Consumer(pk=each.consumer_id, project_id=each.project_id, user_id=each.user_id, type=each.type or UNKNOWN) for each in made
    ])
    for each in staying:
        if (row := consumers.get(each.consumer_id)) is not None:
            Consumer.objects.filter(pk=row.pk).update(
                generation=F("generation") + 1, project_id=each.project_id, user_id=each.user_id, type=each.type or row.type, updated_at=now,
            )
    insert_rows([
        Allocation(consumer_id=each.consumer_id, provider_id=provider_id, resource_class=name, amount=amount)
        for each in staying
        for (provider_id, name), amount in each.slots.items()
    ])
    gone = consumers.keys() - {each.consumer_id for each in staying}
    if gone:
        Consumer.objects.filter(pk__in=gone).delete()
