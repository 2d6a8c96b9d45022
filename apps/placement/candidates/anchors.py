"""Which trees may have candidates, asked of the database: whatever can be told of each part alone is told there.

So few trees are loaded in vain, and where much fits the first of them are found without a look at the others: one part that
only the tree itself can give leads through an index, and the others are looked at row by row. The database cannot guess how
many inventories fit, and must not be left to think that they are few: see `_fits` and `_NOT_MERGED`.
"""

import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from django.db import connection

from apps.common.sql import as_uuid, fetch_prepared
from apps.placement.candidates.forest import NOTHING, Forest, Provider
from apps.placement.candidates.loading import AGGREGATE, AT_ONCE, INVENTORY, PROVIDER, TRAIT, stored
from apps.placement.candidates.query import CandidateQuery, Group
from apps.placement.candidates.search import Part, parts_of, suits
from apps.placement.names import DEFAULT_RATIOS

# Whoever has it gives to all with whom it has an aggregate in common.
SHARES = "MISC_SHARES_VIA_AGGREGATE"
LOWEST = uuid.UUID(int=0)
_HIGHEST = uuid.UUID(int=2**128 - 1)
# PostgreSQL makes joins of subqueries, and those of whole tables, unless they say this.
_NOT_MERGED = "LIMIT 1 OFFSET 0"
# Inventories are numbered, so that a number by chance finds any of them. Ids of providers are times, and crowd together.
_SOMEWHERE = f"""
    SELECT provider_id FROM {INVENTORY}
    WHERE id >= (SELECT MIN(id) + CAST((MAX(id) - MIN(id)) * %s AS BIGINT) FROM {INVENTORY}) ORDER BY id LIMIT 1
"""

# A condition in SQL and its parameters. `p` is who gives, `tree` any provider of the tree in question.
Condition = tuple[str, list[object]]


def root_of(provider_id: uuid.UUID) -> uuid.UUID | None:
    """The root of the tree that a provider is in; None if there is no such provider."""
    rows = fetch_prepared(f"SELECT root_id FROM {PROVIDER} WHERE id = %s", [stored(provider_id)])
    return as_uuid(rows[0][0]) if rows else None


def somewhere(chance: float) -> uuid.UUID:
    """Some provider, by a number from 0 to 1."""
    rows = fetch_prepared(_SOMEWHERE, [chance])
    return as_uuid(rows[0][0]) if rows else LOWEST


def sharing(wanted: CandidateQuery) -> dict[uuid.UUID, uuid.UUID]:
    """Providers that share and have something of what is wanted, with their roots."""
    statement = f"SELECT p.id, p.root_id FROM {TRAIT} t JOIN {PROVIDER} p ON p.id = t.provider_id WHERE t.name = '{SHARES}'"
    parameters, parts = list[object](), parts_of(wanted)
    if all(part.resources for part in parts):
        named, parameters = _among("i.resource_class", sorted({name for part in parts for name in part.resources}))
        statement += f" AND EXISTS (SELECT 1 FROM {INVENTORY} i WHERE i.provider_id = p.id AND {named})"
    return {as_uuid(key): as_uuid(root_id) for key, root_id in fetch_prepared(statement, parameters)}


def anchors(wanted: CandidateQuery, forest: Forest, *, start: uuid.UUID, at_once: int) -> Iterator[list[uuid.UUID]]:
    """Roots of trees that may have candidates, some at a time and then more: those after `start`, and then the others.

    `forest` has those who share. `in_tree` of groups must be the id of a root.
    """
    statement, parameters = _statement(wanted, forest)
    seen: set[uuid.UUID] = set()
    for first, high in ((start, _HIGHEST), (LOWEST, start)):
        low = first
        while low < high:
            rows = _planned_anew(f"{statement} LIMIT {at_once}", [*parameters, stored(low), stored(high)])
            found = {as_uuid(root_id): None for root_id, _ in rows}
            if new := [root_id for root_id in found if root_id not in seen]:
                seen.update(new)
                yield new
            low = as_uuid(rows[-1][1]) if len(rows) == at_once else high
            at_once = min(2 * at_once, AT_ONCE)


def _planned_anew(statement: str, parameters: Sequence[Any]) -> list[Any]:
    """The rows of a statement whose best plan depends on what is asked for."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def _statement(wanted: CandidateQuery, forest: Forest) -> Condition:
    """Roots, and providers by whose ids to go on."""
    parts = parts_of(wanted)
    sharers = [[each for each in forest.sharing if suits(part, each, forest.root_of(each))] for part in parts]
    leading = max(
        (index for index, part in enumerate(parts) if part.resources and not sharers[index]),
        key=lambda index: _telling(parts[index]), default=None,
    )
    conditions = [*_traits_of_tree(wanted, forest), *_traits_of_root(wanted)]
    if leading is None:
        source, key = f"{PROVIDER} tree", "tree.id"
        conditions.append(("tree.parent_id IS NULL", []))
    else:
        source, key = f"{INVENTORY} i JOIN {PROVIDER} tree ON tree.id = i.provider_id", "i.provider_id"
        conditions += _of_part(parts[leading], "tree", leading="i")
        # Says less than the part does, but so that the database can begin with the aggregate if that leaves few trees.
        conditions += [_in_tree(AGGREGATE, "aggregate_id", _ids(ids)) for ids in parts[leading].group.member_of]
    conditions += [_or_shared(_gives(part), sharers[index]) for index, part in enumerate(parts) if index != leading]
    where, parameters = _all([*conditions, (f"{key} > %s AND {key} <= %s", [])])
    return f"SELECT tree.root_id, {key} FROM {source} WHERE {where} ORDER BY {key}", parameters


def _telling(part: Part) -> int:
    """How few trees a part may leave: what every host has leaves most."""
    asks = bool(part.group.in_tree), bool(part.suffix and part.group.required), bool(part.group.member_of)
    return sum(asks) + bool(part.resources.keys() - DEFAULT_RATIOS)


def _gives(part: Part) -> Condition:
    """A provider of the tree can give this part."""
    inner, parameters = _all([("p.root_id = tree.root_id", []), *_of_part(part, "p")])
    return f"EXISTS (SELECT 1 FROM {PROVIDER} p WHERE {inner} {_NOT_MERGED})", parameters


def _of_part(part: Part, p: str, *, leading: str = "") -> list[Condition]:
    """Provider `p` can give all of it; the inventory `leading` is the first that it takes from."""
    found = _of_group(part, p)
    for name, amount in sorted(part.resources.items(), key=lambda each: each[0] in DEFAULT_RATIOS):
        if leading:
            found.append(_fits(leading, name, amount))
        else:
            test, parameters = _fits("j", name, amount)
            found.append((f"EXISTS (SELECT 1 FROM {INVENTORY} j WHERE j.provider_id = {p}.id AND {test} {_NOT_MERGED})", parameters))
        leading = ""
    return found


def _fits(stock: str, name: str, amount: int) -> Condition:
    return (
        f"{stock}.resource_class = %s AND CASE WHEN {stock}.capacity - {stock}.used >= %s AND {stock}.min_unit <= %s"
        f" AND {stock}.max_unit >= %s AND %s %% {stock}.step_size = 0 THEN TRUE ELSE FALSE END"
    ), [name, amount, amount, amount, amount]


def _of_group(part: Part, p: str) -> list[Condition]:
    """What its group asks of every provider that gives it something."""
    group, found = part.group, list[Condition]()
    if group.in_tree is not None:
        found.append((f"{p}.root_id = %s", [stored(group.in_tree)]))
    if group.forbidden:
        found.append(_has(TRAIT, f"= {p}.id", "name", sorted(group.forbidden), forbidden=True))
    if part.suffix:
        found += [_has(TRAIT, f"= {p}.id", "name", sorted(names)) for names in group.required]
    members = f"= {p}.id" if part.suffix else f"IN ({p}.id, {p}.root_id)"
    found += [_has(AGGREGATE, members, "aggregate_id", _ids(ids)) for ids in group.member_of]
    if group.not_member_of:
        found.append(_has(AGGREGATE, members, "aggregate_id", _ids(group.not_member_of), forbidden=True))
    return found


def _traits_of_tree(wanted: CandidateQuery, forest: Forest) -> Iterator[Condition]:
    """The group without a suffix finds its traits in the tree, or with those that share with it."""
    for names in wanted.groups.get("", Group()).required:
        yield _or_shared(_in_tree(TRAIT, "name", sorted(names)), [each for each in forest.sharing if not names.isdisjoint(each.traits)])


def _traits_of_root(wanted: CandidateQuery) -> Iterator[Condition]:
    for name in sorted(wanted.root_required):
        yield _has(TRAIT, "= tree.root_id", "name", [name])
    if wanted.root_forbidden:
        yield _has(TRAIT, "= tree.root_id", "name", sorted(wanted.root_forbidden), forbidden=True)


def _or_shared(condition: Condition, sharers: Iterable[Provider]) -> Condition:
    aggregates = NOTHING.union(*(each.aggregates for each in sharers))
    if not aggregates:
        return condition
    other, values = _in_tree(AGGREGATE, "aggregate_id", _ids(aggregates))
    return f"({condition[0]} OR {other})", condition[1] + values


def _in_tree(table: str, column: str, values: Collection[object]) -> Condition:
    """Any provider of the tree has one of these."""
    test, parameters = _among(f"x.{column}", values)
    return f"tree.root_id IN (SELECT q.root_id FROM {table} x JOIN {PROVIDER} q ON q.id = x.provider_id WHERE {test})", parameters


def _has(table: str, provider: str, column: str, values: Collection[object], *, forbidden: bool = False) -> Condition:
    test, parameters = _among(f"x.{column}", values)
    text = f"EXISTS (SELECT 1 FROM {table} x WHERE x.provider_id {provider} AND {test})"
    return (f"NOT {text}" if forbidden else text), parameters


def _among(column: str, values: Collection[object]) -> Condition:
    return (f"{column} IN ({', '.join(['%s'] * len(values))})" if values else "1 = 0"), list(values)


def _all(conditions: Collection[Condition]) -> Condition:
    return " AND ".join(text for text, _ in conditions) or "1 = 1", [each for _, found in conditions for each in found]


def _ids(ids: Iterable[uuid.UUID]) -> list[object]:
    return [stored(each) for each in sorted(ids)]
