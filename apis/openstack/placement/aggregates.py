"""Aggregates of a resource provider: ids that it has in common with others."""

import uuid
from typing import TYPE_CHECKING, ClassVar

from django.http import HttpResponse
from django.urls import path

from apis.openstack.common.views import Call, reply
from apis.openstack.placement import shapes
from apis.openstack.placement.service import View, stamped, version_of
from apps.common.errors import Invalid
from apps.placement import selectors
from apps.placement.services import aggregates

if TYPE_CHECKING:
    from apps.placement.models import ResourceProvider

_SINCE, _GENERATIONS = (1, 1), (1, 19)


class ProviderAggregates(View):
    """Those of one provider."""

    permissions: ClassVar = {"GET": "placement.provider.list", "PUT": "placement.aggregate.update"}
    since: ClassVar = {"GET": _SINCE, "PUT": _SINCE}

    def get(self, call: Call, provider_id: uuid.UUID) -> HttpResponse:
        return _told(call, selectors.provider(actor=call.actor, provider_id=provider_id))

    def put(self, call: Call, provider_id: uuid.UUID) -> HttpResponse:
        given: list[uuid.UUID] | shapes.Aggregates = shapes.PUT_AGGREGATES.read(call)
        ids, generation = (given, None) if isinstance(given, list) else (given.aggregates, given.resource_provider_generation)
        if len(set(ids)) < len(ids):
            raise Invalid("request.invalid", "JSON does not validate: aggregates has non-unique elements")
        provider = aggregates.set_of(actor=call.actor, provider_id=provider_id, generation=generation, ids=ids)
        return _told(call, provider)


def _told(call: Call, provider: "ResourceProvider") -> HttpResponse:
    # Also those that its host is in, whatever a client has set.
    content: dict[str, object] = {"aggregates": sorted(row.aggregate_id for row in provider.aggregates.all())}
    if version_of(call) >= _GENERATIONS:
        content["resource_provider_generation"] = provider.generation
    return stamped(call, reply(content))


urlpatterns = [path("resource_providers/<id:provider_id>/aggregates", ProviderAggregates.as_view())]
