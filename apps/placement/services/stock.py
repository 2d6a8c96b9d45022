"""Inventories, generations and consumers under lock: whoever writes what is there or what is claimed goes through here.

One order for all: trees, then the shape of providers, inventories by provider and class, providers by id, consumers by id.
"""

import uuid
from collections.abc import Collection, Iterable, Mapping

from django.db import connection
from django.db.models import BigIntegerField, CharField, F, Q, UUIDField

from apps.common import clock
from apps.common.errors import Conflict, NotFound
from apps.common.sql import values_table
from apps.hosts.services import deltas
from apps.placement.errors import CONCURRENT_UPDATE
from apps.placement.models import NAME, Consumer, Inventory, ResourceProvider

# A resource class of a provider.
Slot = tuple[uuid.UUID, str]
# The columns of `capacity` hold no more, and nobody has as much.
_MOST = 2**62
# Names of locks that are on no row; any number that nobody else in the database takes.
_TREES, _SHAPES = 0x7E, 0x5A


def settle(row: Inventory) -> None:
    """Work out what may be claimed, after total, reserved or ratio have changed."""
    row.capacity = min(_MOST, max(0, int((row.total - min(row.reserved, row.total)) * row.allocation_ratio)))
    row.ceiling = max(row.capacity, row.used)


def has(row: Inventory, more: int) -> bool:
    """Whether so much more can be claimed. Less is always possible, even of an inventory that has shrunk below its use."""
    return more <= 0 or row.used + more <= row.capacity


def misfit(row: Inventory, amount: int) -> str:
    """What an amount in one piece would have to be for this inventory; empty if it is that."""
    if amount < row.min_unit:
        return f"at least {row.min_unit}"
    if amount > row.max_unit:
        return f"at most {row.max_unit}"
    return f"a multiple of {row.step_size}" if amount % row.step_size else ""


def lock(slots: Iterable[Slot] = (), *, whole: Collection[uuid.UUID] = ()) -> dict[Slot, Inventory]:
    """Lock these inventories, and all of the providers in `whole`, as far as they are there, until the transaction ends."""
    wanted = set(slots)
    rows = Q(provider_id__in=list(whole)) if whole else Q()
    if wanted:
        rows |= Q(provider_id__in={slot[0] for slot in wanted}, resource_class__in={slot[1] for slot in wanted})
    elif not whole:
        return {}
    # No key lock: claims refer to the provider after they have locked its inventory, and would wait for us as we for them.
    locked = Inventory.objects.filter(rows).select_for_update(no_key=True).order_by("provider_id", "resource_class")
    return {(row.provider_id, row.resource_class): row for row in locked}


def lock_shapes(provider_ids: Collection[uuid.UUID]) -> None:
    """Nobody else adds inventories to these providers, or takes them away: a lock on rows does not keep out new ones.

    Not on the providers' rows either: these come after the inventories, for the sake of claims.
    """
    _advise(_SHAPES, sorted({int.from_bytes(provider_id.bytes[-4:], "big", signed=True) for provider_id in provider_ids}))


def lock_trees() -> None:
    """Nobody else changes who is whose parent."""
    _advise(_TREES, [0])


def _advise(kind: int, keys: list[int]) -> None:
    if connection.vendor != "postgresql" or not keys:  # one writer at a time
        return
    with connection.cursor() as cursor:
        # A function in the list of columns is called row by row, in the order of the array.
        cursor.execute("SELECT pg_advisory_xact_lock(%s, key) FROM unnest(CAST(%s AS int[])) AS key", [kind, keys])


def shift(amounts: Mapping[Slot, int]) -> None:
    """Add to `used` of inventories that are locked; the ceiling falls with use until it meets the capacity. One statement."""
    rows = [(*slot, amount) for slot, amount in sorted(amounts.items()) if amount]
    if not rows:
        return
    values, parameters = values_table((UUIDField(), CharField(max_length=NAME), BigIntegerField()), rows)
    table = Inventory._meta.db_table
    greatest = "GREATEST" if connection.vendor == "postgresql" else "MAX"
    # Who adds does not lift the ceiling: the check constraint refuses what is too much, whatever the caller has overlooked.
    ceiling = f"CASE WHEN v.amount > 0 THEN {table}.ceiling ELSE {greatest}({table}.capacity, {table}.used + v.amount) END"
    statement = f"""
        WITH v(provider_id, resource_class, amount) AS ({values})
        UPDATE {table} SET used = {table}.used + v.amount, ceiling = {ceiling} FROM v
        WHERE {table}.provider_id = v.provider_id AND {table}.resource_class = v.resource_class
    """
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def lock_providers(provider_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, ResourceProvider]:
    """Lock these providers, as far as they are there; after their inventories."""
    rows = ResourceProvider.objects.select_for_update(no_key=True).filter(pk__in=provider_ids).order_by("pk")
    return {row.pk: row for row in rows}


def lock_provider(provider_id: uuid.UUID, generation: int | None = None) -> ResourceProvider:
    """Raises NotFound, Conflict `placement.concurrent_update` when it has another generation than the caller has seen."""
    provider = lock_providers([provider_id]).get(provider_id)
    if provider is None:
        raise no_provider(provider_id)
    check_generation(provider, generation)
    return provider


def check_generation(provider: ResourceProvider, generation: int | None) -> None:
    """Raises Conflict `placement.concurrent_update`. None: whoever asks has not looked."""
    if generation is not None and generation != provider.generation:
        message = (
            f"resource provider generation conflict: {provider.pk} is at generation {provider.generation}, not {generation}. "
            "Read it again, and decide again."
        )
        raise Conflict(CONCURRENT_UPDATE, message, field="generation", generation=provider.generation)


def no_provider(provider_id: uuid.UUID) -> NotFound:
    """That one which was asked for is not there."""
    return NotFound("resource_provider.not_found", f"There is no resource provider {provider_id}.")


def touch(providers: Iterable[ResourceProvider]) -> None:
    """What is known of these (locked) providers has changed: their generations rise, and schedulers are told. Two statements."""
    rows = list(providers)
    if rows:
        now = clock.now()
        ResourceProvider.objects.filter(pk__in=[row.pk for row in rows]).update(generation=F("generation") + 1, updated_at=now)
        for row in rows:
            row.generation, row.updated_at = row.generation + 1, now
        deltas.note({row.root_id for row in rows})


def lock_consumers(consumer_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Consumer]:
    """Lock these consumers, as far as they are there; last of all."""
    return {row.pk: row for row in Consumer.objects.select_for_update().filter(pk__in=consumer_ids).order_by("pk")}
