"""Inventories of a resource provider: how much there is of each class."""

import uuid
from collections.abc import Mapping
from typing import Any, ClassVar

from django.http import HttpResponse
from django.urls import path
from msgspec import UNSET

from apis.openstack.common.views import Call, nothing, reply
from apis.openstack.placement import shapes
from apis.openstack.placement.service import View, location, stamped, version_of
from apps.common.errors import Invalid, NotFound
from apps.placement import selectors
from apps.placement.services import inventories
from apps.placement.services.inventories import Facts

# Since then all of an inventory may be reserved.
_NOTHING_LEFT = (1, 26)


class InventoryList(View):
    """All of a provider."""

    permissions: ClassVar = {
        "GET": "placement.provider.list", "POST": "placement.inventory.update", "PUT": "placement.inventory.update",
        "DELETE": "placement.inventory.update",
    }
    since: ClassVar = {"DELETE": (1, 5)}
    too_old: ClassVar = 405

    def get(self, call: Call, provider_id: uuid.UUID) -> HttpResponse:
        provider = selectors.provider(actor=call.actor, provider_id=provider_id)
        rows = list(provider.inventories.all())
        content = _listed(provider.generation, {row.resource_class: Facts.of(row) for row in rows})
        return stamped(call, reply(content), max((row.updated_at for row in rows), default=None))

    def post(self, call: Call, provider_id: uuid.UUID) -> HttpResponse:
        given: shapes.NewRecord = shapes.POST_INVENTORY.read(call)
        made = facts(call, given.resource_class, given)
        generation = None if given.resource_provider_generation is UNSET else given.resource_provider_generation
        provider = inventories.add_one(
            actor=call.actor, provider_id=provider_id, generation=generation, resource_class=given.resource_class, facts=made
        )
        response = reply(_told(made) | {"resource_provider_generation": provider.generation}, 201)
        response["Location"] = location("resource_providers", provider_id, "inventories", given.resource_class)
        return stamped(call, response, provider.updated_at)

    def put(self, call: Call, provider_id: uuid.UUID) -> HttpResponse:
        given: shapes.Records = shapes.PUT_INVENTORIES.read(call)
        made = all_facts(call, given.inventories)
        provider = inventories.replace(
            actor=call.actor, provider_id=provider_id, generation=given.resource_provider_generation, inventories=made
        )
        return stamped(call, reply(_listed(provider.generation, made)), provider.updated_at)

    def delete(self, call: Call, provider_id: uuid.UUID) -> HttpResponse:
        inventories.remove_all(actor=call.actor, provider_id=provider_id)
        return nothing()


class InventoryDetail(View):
    """One class of a provider."""

    permissions: ClassVar = {
        "GET": "placement.provider.list", "PUT": "placement.inventory.update", "DELETE": "placement.inventory.update",
    }

    def get(self, call: Call, provider_id: uuid.UUID, resource_class: str) -> HttpResponse:
        provider = selectors.provider(actor=call.actor, provider_id=provider_id)
        row = next((row for row in provider.inventories.all() if row.resource_class == resource_class), None)
        if row is None:
            raise NotFound("inventory.not_found", f"No inventory of class {resource_class[:255]} for {provider_id}")
        content = _told(Facts.of(row)) | {"resource_provider_generation": provider.generation}
        return stamped(call, reply(content), row.updated_at)

    def put(self, call: Call, provider_id: uuid.UUID, resource_class: str) -> HttpResponse:
        given: shapes.ChangedRecord = shapes.PUT_INVENTORY.read(call)
        made = facts(call, resource_class, given)
        provider = inventories.put_one(
            actor=call.actor, provider_id=provider_id, generation=given.resource_provider_generation, resource_class=resource_class,
            facts=made,
        )
        return stamped(call, reply(_told(made) | {"resource_provider_generation": provider.generation}), provider.updated_at)

    def delete(self, call: Call, provider_id: uuid.UUID, resource_class: str) -> HttpResponse:
        inventories.remove_one(actor=call.actor, provider_id=provider_id, resource_class=resource_class)
        return nothing()


def all_facts(call: Call, given: Mapping[str, shapes.Record]) -> dict[str, Facts]:
    """Inventories by class. Raises Invalid."""
    return {name: facts(call, name, record) for name, record in given.items()}


def facts(call: Call, resource_class: str, record: shapes.Record) -> Facts:
    """One inventory as services take it. Raises Invalid for one of which nothing is left, in versions that want something."""
    if version_of(call) < _NOTHING_LEFT and int((record.total - record.reserved) * record.allocation_ratio) <= 0:
        told = f"Invalid inventory for '{resource_class}'. The reserved value is greater than or equal to total."
        raise Invalid("inventory.reserved", told, field="reserved")
    return Facts(
        total=record.total, reserved=record.reserved, min_unit=record.min_unit, max_unit=record.max_unit,
        step_size=record.step_size, allocation_ratio=record.allocation_ratio,
    )


def _listed(generation: int, made: Mapping[str, Facts]) -> dict[str, Any]:
    return {"resource_provider_generation": generation, "inventories": {name: _told(each) for name, each in made.items()}}


def _told(made: Facts) -> dict[str, Any]:
    return {
        "total": made.total, "reserved": made.reserved, "min_unit": made.min_unit, "max_unit": made.max_unit,
        "step_size": made.step_size, "allocation_ratio": made.allocation_ratio,
    }


urlpatterns = [
    path("resource_providers/<id:provider_id>/inventories", InventoryList.as_view()),
    path("resource_providers/<id:provider_id>/inventories/<str:resource_class>", InventoryDetail.as_view()),
]
