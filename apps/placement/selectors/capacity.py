"""What there is and what of it is free: of hosts for schedulers, of one provider for its page."""

import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from django.db import connection
from django.db.models import Sum, UUIDField

from apps.common.sql import as_uuid, fetch_prepared
from apps.placement.models import Allocation, Inventory, ProviderTrait

# (provider, resource class, capacity, used, min_unit, max_unit, step_size)
Stock = tuple[uuid.UUID, str, int, int, int, int, int]
# From so many providers on, all are read: a statement takes so many parameters, and no more.
_ONE_BY_ONE = 1000


@dataclass(frozen=True)
class Mismatch:
    """An inventory whose `used` is not the sum of its allocations; `exists`: or there are such, and no inventory."""

    provider: str
    provider_id: uuid.UUID
    resource_class: str
    used: int
    allocated: int
    exists: bool = True


def free() -> list[tuple[uuid.UUID, str, int, int]]:
    """(provider, resource class, capacity, used) of every inventory."""
    return list(Inventory.objects.values_list("provider_id", "resource_class", "capacity", "used"))


def scheduling_stock(host_ids: Collection[uuid.UUID] | None = None) -> list[Stock]:
    """What the providers of these hosts have (None: all providers). One statement."""
    rows = Inventory.objects.values_list("provider_id", "resource_class", "capacity", "used", "min_unit", "max_unit", "step_size")
    if host_ids is None:
        return list(rows)
    if len(host_ids) > _ONE_BY_ONE:
        wanted = set(host_ids)
        return [row for row in rows if row[0] in wanted]
    if connection.vendor == "postgresql":
        # Read many times a second, while instances are placed.
        statement = (
            "SELECT provider_id, resource_class, capacity, used, min_unit, max_unit, step_size "
            f"FROM {Inventory._meta.db_table} WHERE provider_id = ANY(%s)"
        )
        return fetch_prepared(statement, [list(host_ids)], binary=True)
    return list(rows.filter(provider_id__in=list(host_ids)))


def scheduling_traits(host_ids: Collection[uuid.UUID] | None = None) -> dict[uuid.UUID, str]:
    """Provider → its traits in the order of names, separated by spaces. One statement, put together by the database."""
    table = ProviderTrait._meta.db_table
    few = host_ids is not None and len(host_ids) <= _ONE_BY_ONE
    if connection.vendor == "postgresql":
        where, parameters = ("WHERE provider_id = ANY(%s)", [list(host_ids or ())]) if few else ("", [])
        statement = f"SELECT provider_id, string_agg(name, ' ' ORDER BY name) FROM {table} {where} GROUP BY provider_id"
    else:
        ids = [UUIDField().get_db_prep_value(each, connection) for each in host_ids or ()] if few else []
        where, parameters = (f"WHERE provider_id IN ({', '.join(['%s'] * len(ids)) or 'NULL'})", ids) if few else ("", [])
        statement = (
            f"SELECT provider_id, group_concat(name, ' ') FROM (SELECT provider_id, name FROM {table} {where} ORDER BY provider_id, name) "
            "GROUP BY provider_id"
        )
    return {as_uuid(provider_id): names for provider_id, names in fetch_prepared(statement, parameters)}


def inventories(provider_id: uuid.UUID) -> list[Inventory]:
    """Of one provider, by class."""
    return list(Inventory.objects.filter(provider_id=provider_id).order_by("resource_class"))


def inventories_of(provider_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, list[Inventory]]:
    """Provider id → its inventories, for many at once."""
    found: dict[uuid.UUID, list[Inventory]] = {}
    for row in Inventory.objects.filter(provider_id__in=set(provider_ids)).order_by("resource_class"):
        found.setdefault(row.provider_id, []).append(row)
    return found


def mismatches() -> list[Mismatch]:
    """For the audit: inventories whose `used` differs from a recount, and allocations of what is in no inventory."""
    counted: dict[tuple[uuid.UUID, str], int] = {
        (provider_id, resource_class): total
        for provider_id, resource_class, total in Allocation.objects.values_list("provider_id", "resource_class").annotate(Sum("amount"))
    }
    found = []
    for row in Inventory.objects.select_related("provider"):
        allocated = counted.pop((row.provider_id, row.resource_class), 0)
        if allocated != row.used:
            found.append(Mismatch(row.provider.name, row.provider_id, row.resource_class, row.used, allocated))
    found += [Mismatch(str(key), key, name, 0, allocated, exists=False) for (key, name), allocated in sorted(counted.items())]
    return found
