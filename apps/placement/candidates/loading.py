"""Trees out of the database: statements whose text is always the same, for few trees as for many."""

import uuid
from collections.abc import Collection
from functools import lru_cache
from typing import Any

from django.db import connection
from django.db.models import UUIDField

from apps.common.sql import as_uuid, fetch_prepared
from apps.placement.candidates.forest import Provider, Stock
from apps.placement.models import Inventory, ProviderAggregate, ProviderTrait, ResourceProvider

PROVIDER, INVENTORY = ResourceProvider._meta.db_table, Inventory._meta.db_table
TRAIT, AGGREGATE = ProviderTrait._meta.db_table, ProviderAggregate._meta.db_table
# Few trees at a time, so that SQLite can take them as parameters.
AT_ONCE = 1000

_PROVIDERS = f"SELECT id, root_id, parent_id FROM {PROVIDER} WHERE root_id {{these}}"
_STOCKS = f"""
    SELECT i.provider_id, i.resource_class, i.capacity, i.used, i.min_unit, i.max_unit, i.step_size
    FROM {PROVIDER} p JOIN {INVENTORY} i ON i.provider_id = p.id WHERE p.root_id {{these}}
"""
_TRAITS = f"""
    SELECT t.provider_id, {{joined}}(t.name, ',') FROM {PROVIDER} p JOIN {TRAIT} t ON t.provider_id = p.id
    WHERE p.root_id {{these}} GROUP BY t.provider_id
"""
_AGGREGATES = f"""
    SELECT a.provider_id, a.aggregate_id FROM {PROVIDER} p JOIN {AGGREGATE} a ON a.provider_id = p.id WHERE p.root_id {{these}}
"""


def trees(root_ids: Collection[uuid.UUID], *, aggregates: bool) -> list[Provider]:
    """All providers of these trees (at most AT_ONCE) with all that they have; their aggregates only if they matter."""
    found = {
        as_uuid(key): Provider(as_uuid(key), as_uuid(root_id), as_uuid(parent_id) if parent_id else None)
        for key, root_id, parent_id in _of_trees(_PROVIDERS, root_ids)
    }
    # What has been made since the first statement hangs on nobody here.
    for key, name, *facts in _of_trees(_STOCKS, root_ids):
        if (provider := found.get(as_uuid(key))) is not None:
            provider.stocks[name] = Stock(*facts)
    for key, names in _of_trees(_TRAITS, root_ids):
        if (provider := found.get(as_uuid(key))) is not None:
            provider.traits = _names(names)
    for key, aggregate_id in _of_trees(_AGGREGATES, root_ids) if aggregates else ():
        if (provider := found.get(as_uuid(key))) is not None:
            provider.aggregates |= {as_uuid(aggregate_id)}
    return list(found.values())


@lru_cache(maxsize=4096)
def _names(joined: str) -> frozenset[str]:
    """Many hosts have the same traits, and there are dozens of them."""
    return frozenset(joined.split(","))


def _of_trees(statement: str, root_ids: Collection[uuid.UUID]) -> list[Any]:
    if connection.vendor == "postgresql":
        # One text is put together in a fraction of the time of an array.
        these = "{" + ",".join(map(str, root_ids)) + "}"
        return fetch_prepared(statement.format(these="= ANY(CAST(%s AS uuid[]))", joined="string_agg"), [these], binary=True)
    these = f"IN ({', '.join(['%s'] * len(root_ids))})"
    return fetch_prepared(statement.format(these=these, joined="group_concat"), [stored(each) for each in root_ids])


def stored(key: uuid.UUID) -> object:
    """An id as a statement that is written by hand takes it: SQLite keeps ids as text."""
    return UUIDField().get_db_prep_value(key, connection)
