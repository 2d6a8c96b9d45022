"""Claims of schedulers: many consumers on many providers at once; the database decides who was first.

What `allocations` does for anybody, for those who know that their consumers hold nothing yet, and in one statement.
"""

import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from django.db import connection, transaction
from django.db.models import F

from apps.common import clock
from apps.common.sql import fetch_prepared, insert_rows
from apps.hosts.services import deltas
from apps.placement.models import Allocation, Consumer, Inventory, ResourceProvider
from apps.placement.names import INSTANCE
from apps.placement.services import stock
from apps.placement.services.stock import Slot


@dataclass(frozen=True)
class Claim:
    """What one consumer wants of one provider, by resource class; zero amounts are left out."""

    consumer_id: uuid.UUID
    project_id: uuid.UUID | None
    provider_id: uuid.UUID
    amounts: Mapping[str, int]
    user_id: uuid.UUID | None = None


# Schedulers hear of the hosts of the providers that were raised.
_TOLD = deltas.noting("(SELECT DISTINCT root_id AS host_id FROM raised) AS changed")
# (consumer, project, user, type of consumer, provider, resource class, amount)
Line = tuple[uuid.UUID, str, str, str, uuid.UUID, str, int]


def claim(claims: Sequence[Claim]) -> set[uuid.UUID]:
    """Claim capacity inside the caller's transaction. Returns the providers that were too full, or do not give such amounts:
    none of the claims on these was made, all others were. One statement in PostgreSQL, however many claims."""
    if not any(each.amounts for each in claims):
        return set()
    with transaction.atomic(savepoint=False):
        if connection.vendor != "postgresql":
            return _claim_alone(claims)
        return claim_lines([
            (each.consumer_id, _text(each.project_id), _text(each.user_id), INSTANCE, each.provider_id, resource_class, amount)
            for each in claims
            for resource_class, amount in each.amounts.items()
        ])


def release(consumer_ids: Iterable[uuid.UUID]) -> None:
    """Give back all that these consumers hold, inside the caller's transaction. Nothing held is no error."""
    if not (wanted := set(consumer_ids)):
        return
    with transaction.atomic(savepoint=False):
        if connection.vendor == "postgresql":
            _release_at_once(wanted)
        else:
            _release_alone(wanted)


def claim_lines(lines: Sequence[Line], *, new: bool = False) -> set[uuid.UUID]:
    """The same for whoever owns the consumers, in PostgreSQL. `new`: they are none of ours, and a consumer that is there already
    is an IntegrityError."""
    now = clock.now()
    refused = fetch_prepared(_claim_statement(new=new), [*map(list, zip(*lines, strict=True)), now, True, now, not new, now, now])
    return {row[0] for row in refused}


@cache
def _claim_statement(*, new: bool) -> str:
    """Everything in the one order of locks: inventories, generations, consumers; each part waits for the one before.

    A locked row is read as it is now, not as it was when the statement began: so `used` is exact, whoever else claims. An UPDATE is held
    against the constraints as if its row were still that of the beginning, and only then tried on the newest: both sides of the
    comparison come from the locked row, or what others have given back meanwhile would count as held.
    """
    again = "" if new else "ON CONFLICT (id) DO UPDATE SET generation = c.generation + 1, managed = true, updated_at = EXCLUDED.updated_at"
    return f"""
        WITH w AS (
            SELECT * FROM unnest(
                CAST(%s AS uuid[]), CAST(%s AS varchar[]), CAST(%s AS varchar[]), CAST(%s AS varchar[]), CAST(%s AS uuid[]),
                CAST(%s AS varchar[]), CAST(%s AS bigint[])
            ) AS w(consumer_id, project_id, user_id, type, provider_id, resource_class, amount)
        ), asked AS (
            SELECT provider_id, resource_class, CAST(sum(amount) AS bigint) AS amount FROM w GROUP BY provider_id, resource_class
        ), locked AS (
            SELECT i.id, i.provider_id, i.resource_class, i.used, i.capacity, i.ceiling, i.min_unit, i.max_unit, i.step_size,
                asked.amount
            FROM {_table(Inventory)} i JOIN asked ON i.provider_id = asked.provider_id AND i.resource_class = asked.resource_class
            ORDER BY i.provider_id, i.resource_class FOR NO KEY UPDATE OF i
        ), refused AS (
            SELECT DISTINCT w.provider_id FROM w
            LEFT JOIN locked l ON l.provider_id = w.provider_id AND l.resource_class = w.resource_class
            WHERE l.id IS NULL OR l.used + l.amount > l.capacity
                OR w.amount < l.min_unit OR w.amount > l.max_unit OR w.amount %% l.step_size <> 0
        ), taken AS (
            UPDATE {_table(Inventory)} i SET used = l.used + l.amount, ceiling = l.ceiling FROM locked l
            WHERE i.id = l.id AND l.provider_id NOT IN (SELECT provider_id FROM refused) RETURNING i.provider_id
        ), raised AS ({_raising("taken")}), told AS ({_TOLD}), made AS (
            INSERT INTO {_table(Consumer)} AS c (id, generation, project_id, user_id, type, managed, created_at, updated_at)
            SELECT DISTINCT ON (consumer_id)
                consumer_id, 1, project_id, user_id, type, CAST(%s AS boolean), CAST(%s AS timestamptz), CAST(%s AS timestamptz)
            FROM w WHERE provider_id NOT IN (SELECT provider_id FROM refused) AND (SELECT count(*) FROM raised) > 0 ORDER BY consumer_id
            {again} RETURNING id
        ), held AS (
            INSERT INTO {_table(Allocation)} (consumer_id, provider_id, resource_class, amount)
            SELECT consumer_id, provider_id, resource_class, amount FROM w
            WHERE provider_id NOT IN (SELECT provider_id FROM refused) AND (SELECT count(*) FROM made) > 0
        )
        SELECT provider_id FROM refused
    """


def _claim_alone(claims: Sequence[Claim]) -> set[uuid.UUID]:
    """The same where there is one writer at a time."""
    asked: Counter[Slot] = Counter()
    for each in claims:
        asked.update({(each.provider_id, name): amount for name, amount in each.amounts.items()})
    there = stock.lock(asked)
    refused = {slot[0] for slot, amount in asked.items() if slot not in there or not stock.has(there[slot], amount)}
    refused |= {
        each.provider_id
        for each in claims
        for name, amount in each.amounts.items()
        if (each.provider_id, name) in there and stock.misfit(there[each.provider_id, name], amount)
    }
    made: dict[uuid.UUID, list[Claim]] = {}
    for each in claims:
        if each.provider_id not in refused and each.amounts:
            made.setdefault(each.consumer_id, []).append(each)
    stock.shift({slot: amount for slot, amount in asked.items() if slot[0] not in refused})
    providers = stock.lock_providers({slot[0] for slot in asked if slot[0] not in refused})
    stock.touch(providers.values())
    old = Consumer.objects.filter(pk__in=made)
    known = set(old.values_list("pk", flat=True))
    old.update(generation=F("generation") + 1, managed=True, updated_at=clock.now())
    insert_rows([
        Consumer(pk=key, project_id=_text(its[0].project_id), user_id=_text(its[0].user_id), type=INSTANCE, managed=True)
        for key, its in made.items()
        if key not in known
    ])
    insert_rows([
        Allocation(consumer_id=each.consumer_id, provider_id=each.provider_id, resource_class=name, amount=amount)
        for its in made.values()
        for each in its
        for name, amount in each.amounts.items()
    ])
    return refused


def _release_at_once(consumer_ids: Collection[uuid.UUID]) -> None:
    ids = list(consumer_ids)
    now = clock.now()
    fetch_prepared(_release_statement(), [ids, ids, now, True, now, ids])


@cache
def _release_statement() -> str:
    """In the same order. The ceiling falls with use until it meets the capacity: a shrunken inventory is not refilled past it."""
    return f"""
        WITH locked AS (
            SELECT i.id, i.provider_id, i.resource_class FROM {_table(Inventory)} i
            WHERE (i.provider_id, i.resource_class) IN (
                SELECT provider_id, resource_class FROM {_table(Allocation)} WHERE consumer_id = ANY(CAST(%s AS uuid[]))
            )
            ORDER BY i.provider_id, i.resource_class FOR NO KEY UPDATE OF i
        ), gone AS (
            DELETE FROM {_table(Allocation)} WHERE consumer_id = ANY(CAST(%s AS uuid[])) AND (SELECT count(*) FROM locked) >= 0
            RETURNING provider_id, resource_class, amount
        ), freed AS (
            SELECT provider_id, resource_class, CAST(sum(amount) AS bigint) AS amount FROM gone GROUP BY provider_id, resource_class
        ), given AS (
            UPDATE {_table(Inventory)} i SET used = i.used - freed.amount, ceiling = GREATEST(i.capacity, i.used - freed.amount)
            FROM locked l JOIN freed ON freed.provider_id = l.provider_id AND freed.resource_class = l.resource_class
            WHERE i.id = l.id RETURNING i.provider_id
        ), raised AS ({_raising("given")}), told AS ({_TOLD}), left_over AS (
            DELETE FROM {_table(Consumer)} WHERE id = ANY(CAST(%s AS uuid[])) AND (SELECT count(*) FROM raised) >= 0
        )
        SELECT count(*) FROM raised
    """


def _release_alone(consumer_ids: Collection[uuid.UUID]) -> None:
    freed: Counter[Slot] = Counter()
    held = Allocation.objects.filter(consumer_id__in=consumer_ids)
    for provider_id, resource_class, amount in held.values_list("provider_id", "resource_class", "amount"):
        freed[provider_id, resource_class] -= amount
    held.delete()
    stock.shift(freed)
    stock.touch(stock.lock_providers({slot[0] for slot in freed}).values())
    Consumer.objects.filter(pk__in=consumer_ids).delete()


def _raising(source: str) -> str:
    """Raise the generations of the providers that `source` has touched, in the order of their ids; takes the time."""
    return f"""
        UPDATE {_table(ResourceProvider)} p SET generation = p.generation + 1, updated_at = CAST(%s AS timestamptz)
        FROM (
            SELECT id FROM {_table(ResourceProvider)} WHERE id IN (SELECT provider_id FROM {source}) ORDER BY id FOR NO KEY UPDATE
        ) o WHERE p.id = o.id RETURNING p.root_id
    """


def _table(model: type[Inventory | Allocation | Consumer | ResourceProvider]) -> str:
    return model._meta.db_table


def _text(value: uuid.UUID | None) -> str:
    return "" if value is None else str(value)
