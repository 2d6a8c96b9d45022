"""Claims: many consumers on many providers in one conditional statement; the database decides who was first."""

import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import BigIntegerField, CharField, UUIDField

from apps.common.sql import insert_rows, values_table
from apps.placement.models import Allocation, Inventory


@dataclass(frozen=True)
class Claim:
    """What one consumer wants of one provider, by resource class; zero amounts are left out."""

    consumer_id: uuid.UUID
    project_id: uuid.UUID | None
    provider_id: uuid.UUID
    amounts: dict[str, int]


class _Lost(Exception):
    def __init__(self, providers: set[uuid.UUID]) -> None:
        self.providers = providers


def claim(claims: Sequence[Claim]) -> set[uuid.UUID]:
    """Claim capacity inside the caller's transaction. Returns the providers that were too full: none of the claims on
    these was made, all others were."""
    refused: set[uuid.UUID] = set()
    while remaining := [each for each in claims if each.provider_id not in refused]:
        try:
            with transaction.atomic():
                _take(remaining)
                _record(remaining)
            break
        except _Lost as lost:
            refused |= lost.providers
    return refused


def release(consumer_ids: Iterable[uuid.UUID]) -> None:
    """Give back all that these consumers hold, inside the caller's transaction. Nothing held is no error."""
    held = Allocation.objects.select_for_update().filter(consumer_id__in=set(consumer_ids))
    rows = list(held.values_list("pk", "provider_id", "resource_class", "amount"))
    if not rows:
        return
    freed: Counter[tuple[uuid.UUID, str]] = Counter()
    for _, provider_id, resource_class, amount in rows:
        freed[provider_id, resource_class] -= amount
    Allocation.objects.filter(pk__in=[row[0] for row in rows]).delete()
    _add(freed, limited=False)


def _take(claims: Sequence[Claim]) -> None:
    wanted: Counter[tuple[uuid.UUID, str]] = Counter()
    for each in claims:
        for resource_class, amount in each.amounts.items():
            wanted[each.provider_id, resource_class] += amount
    taken = _add(wanted, limited=True)
    if missing := wanted.keys() - taken:
        raise _Lost({provider_id for provider_id, _ in missing})


def _record(claims: Sequence[Claim]) -> None:
    rows = [
        Allocation(
            consumer_id=each.consumer_id, project_id=each.project_id, provider_id=each.provider_id,
            resource_class=resource_class, amount=amount,
        )
        for each in claims
        for resource_class, amount in each.amounts.items()
    ]
    insert_rows(rows)


def _add(amounts: "Counter[tuple[uuid.UUID, str]]", *, limited: bool) -> set[tuple[uuid.UUID, str]]:
    """Add to `used`; returns the rows that took it. The rows are locked in one order, whatever the plan of the update:
    concurrent statements over the same hosts would deadlock otherwise."""
    rows = [(provider_id, resource_class, amount) for (provider_id, resource_class), amount in sorted(amounts.items())]
    values, parameters = values_table((UUIDField(), CharField(max_length=64), BigIntegerField()), rows)
    table = Inventory._meta.db_table
    limit = f"AND {table}.used + locked.amount <= {table}.capacity" if limited else ""
    lock = "ORDER BY i.provider_id, i.resource_class FOR NO KEY UPDATE OF i" if connection.vendor == "postgresql" else ""
    # The ceiling falls with use until it meets the capacity: a shrunken inventory is not refilled past it.
    ceiling = "" if limited else _ceiling_sql(table)
    statement = f"""
        WITH v(provider_id, resource_class, amount) AS ({values}), locked AS (
            SELECT i.id, v.amount FROM {table} i
            JOIN v ON i.provider_id = v.provider_id AND i.resource_class = v.resource_class {lock}
        )
        UPDATE {table} SET used = {table}.used + locked.amount {ceiling} FROM locked WHERE {table}.id = locked.id {limit}
        RETURNING {table}.provider_id, {table}.resource_class
    """
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        to_python = UUIDField().to_python
        return {(to_python(provider_id), resource_class) for provider_id, resource_class in cursor.fetchall()}


def _ceiling_sql(table: str) -> str:
    greatest = "GREATEST" if connection.vendor == "postgresql" else "MAX"
    return f", ceiling = {greatest}({table}.capacity, {table}.used + locked.amount)"
