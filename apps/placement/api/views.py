"""Resource providers, and hosts with what they have. For operators."""

import uuid
from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.api.inputs import NoQuery
from apps.common.api.pagination import page
from apps.common.api.schema import paged
from apps.common.api.views import View
from apps.hosts import selectors as hosts
from apps.hosts.api import serializers as host_serializers
from apps.hosts.services import admission
from apps.identity import policy
from apps.identity.api.authentication import actor_of
from apps.placement import selectors
from apps.placement.api import filters, serializers
from apps.placement.services import inventories, traits

# Parameter → column that it is compared with; one provider has each of them once.
_FILTERS = {"trait": "traits__name", "resource_class": "inventories__resource_class", "aggregate_id": "aggregates__aggregate_id"}


class ResourceProviderList(View):
    """What there is to be claimed. For operators."""

    permissions: ClassVar = {"GET": "placement.provider.list"}

    @extend_schema(
        operation_id="resource_providers_list", parameters=[filters.ProviderQuery], responses=paged(serializers.ResourceProviderSerializer),
        tags=["placement"],
    )
    def get(self, request: Request) -> Response:
        """List resource providers with their inventories. For operators."""
        query = filters.ProviderQuery.read(request)
        rows = selectors.providers(actor=actor_of(request))
        if "name" in query:
            rows = rows.filter(name=query["name"])
        if "in_tree" in query:
            rows = rows.filter(root_id__in=selectors.root_of(query["in_tree"]))
        for name, column in _FILTERS.items():
            if name in query:
                rows = rows.filter(**{column: query[name]})
        return page(request, rows, serializers.provider)


class ResourceProviderDetail(View):
    """One resource provider. For operators."""

    permissions: ClassVar = {"GET": "placement.provider.list"}

    @extend_schema(operation_id="resource_providers_get", responses=serializers.ResourceProviderSerializer, tags=["placement"])
    def get(self, request: Request, provider_id: uuid.UUID) -> Response:
        """Show a resource provider with its inventories. For operators."""
        NoQuery.read(request)
        return Response(serializers.provider(selectors.provider(actor=actor_of(request), provider_id=provider_id)))


class InventoryDetail(View):
    """One inventory of a provider. For operators."""

    permissions: ClassVar = {"PATCH": "placement.inventory.update"}
    bodies: ClassVar = {"PATCH": serializers.UpdateInventory}

    @extend_schema(
        operation_id="inventories_update", request=serializers.UpdateInventory, responses=serializers.InventorySerializer, tags=["placement"]
    )
    def patch(self, request: Request, provider_id: uuid.UUID, resource_class: str) -> Response:
        """Set how much of it may be claimed, and in which amounts. What is claimed stays, even if it is more. For operators."""
        NoQuery.read(request)
        wanted = serializers.UpdateInventory.read(request)
        row = inventories.adjust(actor=actor_of(request), provider_id=provider_id, resource_class=resource_class, **wanted)
        return Response(serializers.inventory(row))


class ProviderTraits(View):
    """Traits of a provider. For operators."""

    permissions: ClassVar = {"PUT": "placement.trait.update"}
    bodies: ClassVar = {"PUT": serializers.SetTraits}

    @extend_schema(
        operation_id="resource_providers_set_traits", request=serializers.SetTraits, responses=serializers.ResourceProviderSerializer,
        tags=["placement"],
    )
    def put(self, request: Request, provider_id: uuid.UUID) -> Response:
        """Set the traits of a provider; those that its host reports stay. For operators."""
        NoQuery.read(request)
        wanted = serializers.SetTraits.read(request)
        actor = actor_of(request)
        traits.set_of(actor=actor, provider_id=provider_id, names=wanted["traits"], generation=wanted.get("generation"))
        return Response(serializers.provider(selectors.provider(actor=actor, provider_id=provider_id)))


class ProviderAllocations(View):
    """Who holds what of a provider. For operators."""

    permissions: ClassVar = {"GET": "placement.provider.list"}

    @extend_schema(
        operation_id="resource_providers_allocations", parameters=[filters.HeldQuery], responses=paged(serializers.AllocationSerializer),
        tags=["placement"],
    )
    def get(self, request: Request, provider_id: uuid.UUID) -> Response:
        """List who holds what of a provider. For operators."""
        query = filters.HeldQuery.read(request)
        actor = actor_of(request)
        selectors.provider(actor=actor, provider_id=provider_id)
        rows = selectors.allocations_from(actor=actor, provider_id=provider_id)
        if "resource_class" in query:
            rows = rows.filter(resource_class=query["resource_class"])
        if "project_id" in query:
            rows = rows.filter(consumer__project_id=query["project_id"])
        return page(request, rows, serializers.allocation)


class HostDetail(View):
    """One hypervisor. For operators."""

    permissions: ClassVar = {"GET": "hosts.host.get", "PATCH": "hosts.host.update"}
    bodies: ClassVar = {"PATCH": host_serializers.UpdateHost}

    @extend_schema(operation_id="hosts_get", responses=serializers.HostWithInventoriesSerializer, tags=["hosts"])
    def get(self, request: Request, host_id: uuid.UUID) -> Response:
        """Show a host with what it has and what is claimed of it. For operators."""
        NoQuery.read(request)
        policy.require(actor_of(request), "hosts.host.get")
        host = host_serializers.host(hosts.by_id(host_id))
        return Response({**host, "inventories": [serializers.inventory(row) for row in selectors.inventories(host_id)]})

    @extend_schema(
        operation_id="hosts_update", request=host_serializers.UpdateHost, responses=serializers.HostWithInventoriesSerializer, tags=["hosts"]
    )
    def patch(self, request: Request, host_id: uuid.UUID) -> Response:
        """Move a host to another zone, let it take new instances, or not. What runs on it stays. For operators."""
        NoQuery.read(request)
        wanted = host_serializers.UpdateHost.read(request)
        host = admission.update(actor=actor_of(request), host_id=host_id, **wanted)
        inventories = [serializers.inventory(row) for row in selectors.inventories(host_id)]
        return Response({**host_serializers.host(host), "inventories": inventories})
