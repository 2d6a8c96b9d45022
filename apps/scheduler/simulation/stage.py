"""Puts a fleet into a scratch database, as if its hosts had enrolled.

Works on the tables by their names: here they belong to nobody but the simulation, and 10,000 hosts do not come by one service each.
"""

import uuid
from typing import Any

from django.apps import apps
from django.db import connection, transaction

from apps.common import clock
from apps.common.sql import insert_rows
from apps.scheduler.simulation.fleet import Fleet

_AT_ONCE = 400


def host_id(number: int) -> uuid.UUID:
    """Of the host with this number in the fleet: the same in every run, so that equals come in the same order."""
    return uuid.UUID(int=number + 1)


def number_of(key: uuid.UUID) -> int:
    """The number of the host with this id."""
    return key.int - 1


def enrol(fleet: Fleet) -> None:
    """All are up, enabled, take part in networks, and have said what they have."""
    host, network, provider, inventory, trait = (
        apps.get_model(context, name)
        for context, name in (
            ("hosts", "Host"), ("network", "HostNetwork"), ("placement", "ResourceProvider"), ("placement", "Inventory"),
            ("placement", "ProviderTrait"),
        )
    )
    now = clock.now()
    rows: dict[Any, list[Any]] = {host: [], network: [], provider: [], inventory: [], trait: []}
    for number, each in enumerate(fleet.hosts):
        key = host_id(number)
        rows[host].append(host(pk=key, name=each.name, zone=each.zone, key_id=f"{number:016x}", public_key=f"{number:064x}", state="up"))
        rows[network].append(network(pk=key, host_name=each.name, speaks=True))
        rows[provider].append(provider(pk=key, name=each.name, root_id=key, updated_at=now))
        rows[inventory] += [
            inventory(
                provider_id=key, resource_class=name, total=units.capacity, capacity=units.capacity, used=units.used,
                ceiling=max(units.capacity, units.used), min_unit=units.min_unit, max_unit=units.max_unit, step_size=units.step_size,
            )
            for name, units in each.stock.items()
        ]
        rows[trait] += [trait(provider_id=key, name=name) for name in each.traits]
    with transaction.atomic():
        for made in rows.values():
            for first in range(0, len(made), _AT_ONCE):
                insert_rows(made[first : first + _AT_ONCE])
    if connection.vendor == "postgresql":
        # Not those that are empty: a plan for an empty table reads all of it, and is kept while it grows.
        filled = ", ".join(model._meta.db_table for model, made in rows.items() if made)
        with connection.cursor() as cursor:
            cursor.execute(f"ANALYZE {filled}")
