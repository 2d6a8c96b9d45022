"""Allocations: what consumers have claimed of which providers."""

import uuid
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from django.http import HttpResponse
from django.urls import path

from apis.openstack.common.microversions import Version
from apis.openstack.common.schema import as_uuid
from apis.openstack.common.views import Call, nothing, reply
from apis.openstack.placement import shapes
from apis.openstack.placement.service import View, stamped, version_of
from apps.common.errors import Invalid, NotFound
from apps.placement import selectors
from apps.placement.names import NOBODY, UNKNOWN
from apps.placement.services import allocations
from apps.placement.services.allocations import UNCHECKED, Wanted

if TYPE_CHECKING:
    from apps.placement.models import Allocation

_OWNERS, _CONSUMERS, _TYPES = (1, 12), (1, 28), (1, 38)


class AllocationList(View):
    """Those of many consumers, all of them or none."""

    permissions: ClassVar = {"POST": "placement.allocation.update"}
    since: ClassVar = {"POST": (1, 13)}

    def post(self, call: Call) -> HttpResponse:
        given: dict[uuid.UUID, shapes.Emptiable] = shapes.POST_ALLOCATIONS.read(call)
        allocations.put(actor=call.actor, sets=wanted_of(given))
        return nothing()


class AllocationDetail(View):
    """Those of one consumer."""

    permissions: ClassVar = {
        "GET": "placement.provider.list", "PUT": "placement.allocation.update", "DELETE": "placement.allocation.update",
    }

    def get(self, call: Call, consumer: str) -> HttpResponse:
        # Whoever is no UUID has nothing either.
        rows = selectors.allocations_of(actor=call.actor, consumer_id=as_uuid(consumer))
        newest = max((row.consumer.updated_at for row in rows), default=None)
        return stamped(call, reply(_of_consumer(rows, version_of(call))), newest)

    def put(self, call: Call, consumer: str) -> HttpResponse:
        consumer_id = as_uuid(consumer)
        if consumer_id is None:
            raise Invalid("request.invalid", f"Malformed consumer_uuid: {consumer[:64]}")
        given: shapes.Listed | shapes.Emptiable = shapes.PUT_ALLOCATIONS.read(call)
        wanted = listed(consumer_id, given) if isinstance(given, shapes.Listed) else wanted_of({consumer_id: given})[0]
        allocations.put(actor=call.actor, sets=[wanted])
        return nothing()

    def delete(self, call: Call, consumer: str) -> HttpResponse:
        consumer_id = as_uuid(consumer)
        if consumer_id is None:
            raise NotFound("consumer.not_found", f"No allocations for consumer '{consumer[:64]}'")
        allocations.delete(actor=call.actor, consumer_id=consumer_id)
        return nothing()


class ProviderAllocations(View):
    """Those of one provider, by consumer."""

    permissions: ClassVar = {"GET": "placement.provider.list"}

    def get(self, call: Call, provider_id: uuid.UUID) -> HttpResponse:
        provider = selectors.provider(actor=call.actor, provider_id=provider_id)
        rows = selectors.allocations_from(actor=call.actor, provider_id=provider_id)
        found: dict[str, Any] = {}
        for row in rows:
            of_consumer = found.setdefault(str(row.consumer_id), {"resources": {}})
            of_consumer["resources"][row.resource_class] = row.amount
            if version_of(call) >= _CONSUMERS:
                of_consumer["consumer_generation"] = row.consumer.generation
        newest = max((row.consumer.updated_at for row in rows), default=None)
        return stamped(call, reply({"allocations": found, "resource_provider_generation": provider.generation}), newest)


def wanted_of(given: Mapping[uuid.UUID, shapes.Emptiable]) -> list[Wanted]:
    """What many consumers are to have, as services take it."""
    return [
        Wanted(
            consumer_id=consumer_id, project_id=each.project_id, user_id=each.user_id,
            # Whoever does not speak of types leaves them as they are.
            type=each.consumer_type if isinstance(each, shapes.Typed) else None,
            generation=each.consumer_generation if isinstance(each, shapes.Versioned) else UNCHECKED,
            resources={provider_id: held.resources for provider_id, held in each.allocations.items()},
        )
        for consumer_id, each in given.items()
    ]


def listed(consumer_id: uuid.UUID, given: shapes.Listed) -> Wanted:
    """The same from a list, in which owners once were left out."""
    project_id, user_id = (given.project_id, given.user_id) if isinstance(given, shapes.ListedOwned) else (NOBODY, NOBODY)
    return Wanted(
        consumer_id=consumer_id, project_id=project_id, user_id=user_id, type=None, generation=UNCHECKED,
        resources={each.resource_provider.uuid: each.resources for each in given.allocations},
    )


def _of_consumer(rows: "Iterable[Allocation]", version: Version) -> dict[str, Any]:
    held: dict[str, Any] = {}
    consumer = None
    for row in rows:
        consumer = row.consumer
        of_provider = held.setdefault(str(row.provider_id), {"generation": row.provider.generation, "resources": {}})
        of_provider["resources"][row.resource_class] = row.amount
    content: dict[str, Any] = {"allocations": held}
    if consumer is None:
        return content
    if version >= _OWNERS:
        content |= {"project_id": consumer.project_id, "user_id": consumer.user_id}
    if version >= _CONSUMERS:
        content["consumer_generation"] = consumer.generation
    if version >= _TYPES:
        content["consumer_type"] = consumer.type or UNKNOWN
    return content


urlpatterns = [
    path("allocations", AllocationList.as_view()),
    path("allocations/<str:consumer>", AllocationDetail.as_view()),
    path("resource_providers/<id:provider_id>/allocations", ProviderAllocations.as_view()),
]
