"""Resource providers that are no hosts, and what is claimed of them."""

import uuid
from typing import Any

from apps.common.context import SYSTEM
from apps.placement.models import Inventory, ResourceProvider
from apps.placement.services import allocations, inventories, providers
from apps.placement.services.allocations import UNCHECKED, Wanted
from apps.placement.services.inventories import Facts

PROJECT, USER = str(uuid.UUID(int=7)), str(uuid.UUID(int=8))


def provider(name: str = "", parent: ResourceProvider | None = None, **totals: int | Facts) -> ResourceProvider:
    """With these totals, or whole facts, by resource class."""
    row = providers.create(actor=SYSTEM, name=name or f"provider-{uuid.uuid4()}", parent_id=None if parent is None else parent.pk)
    if totals:
        facts = {key: each if isinstance(each, Facts) else Facts(each) for key, each in totals.items()}
        row = inventories.replace(actor=SYSTEM, provider_id=row.pk, inventories=facts)
    return row


def wanted(consumer: uuid.UUID, *held: tuple[ResourceProvider, dict[str, int]], generation: Any = UNCHECKED, **more: Any) -> Wanted:
    """What a consumer is to hold."""
    fields = {"project_id": PROJECT, "user_id": USER, "type": "INSTANCE", **more}
    return Wanted(consumer_id=consumer, generation=generation, resources={row.pk: amounts for row, amounts in held}, **fields)


def put(*sets: Wanted) -> None:
    allocations.put(actor=SYSTEM, sets=sets)


def give(row: ResourceProvider, **amounts: int) -> uuid.UUID:
    """Have somebody new hold this of a provider; who."""
    consumer = uuid.uuid4()
    put(wanted(consumer, (row, amounts)))
    return consumer


def used(row: ResourceProvider, name: str = "VCPU") -> int:
    return Inventory.objects.get(provider=row, resource_class=name).used


def generation(row: ResourceProvider) -> int:
    return ResourceProvider.objects.get(pk=row.pk).generation
