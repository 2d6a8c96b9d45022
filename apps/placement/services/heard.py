"""What hosts say of themselves when their agents start."""

import uuid

from apps.common.errors import Invalid
from apps.placement.names import is_class
from apps.placement.services import inventories, traits
from contracts.hosts.v1 import Hello

# More than the whole list of standard ones.
_MOST_TRAITS = 1000


def take_hello(host_id: uuid.UUID, name: str, said: Hello) -> None:
    """What a host has, and what it can do. Raises Invalid for amounts that nobody can have."""
    if not all(0 <= total <= inventories.MOST and is_class(name) for name, total in said.inventory.items()):
        message = f"inventory: expected amounts from 0 to {inventories.MOST} by resource class."
        raise Invalid("inventory.total", message, field="inventory")
    inventories.report(provider_id=host_id, name=name, totals=said.inventory)
    traits.report(provider_id=host_id, names=said.traits[:_MOST_TRAITS])

