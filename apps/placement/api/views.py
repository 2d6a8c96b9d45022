"""Resource providers, and hosts with what they have: read only, for operators."""

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
from apps.identity import policy
from apps.identity.api.authentication import actor_of
from apps.placement import selectors
from apps.placement.api import filters, serializers


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
        return page(request, rows.filter(name=query["name"]) if "name" in query else rows, serializers.provider)


class ResourceProviderDetail(View):
    """One resource provider. For operators."""

    permissions: ClassVar = {"GET": "placement.provider.list"}

    @extend_schema(operation_id="resource_providers_get", responses=serializers.ResourceProviderSerializer, tags=["placement"])
    def get(self, request: Request, provider_id: uuid.UUID) -> Response:
        """Show a resource provider with its inventories. For operators."""
        NoQuery.read(request)
        return Response(serializers.provider(selectors.provider(actor=actor_of(request), provider_id=provider_id)))


class HostDetail(View):
    """One hypervisor. For operators."""

    permissions: ClassVar = {"GET": "hosts.host.get"}

    @extend_schema(operation_id="hosts_get", responses=serializers.HostWithInventoriesSerializer, tags=["hosts"])
    def get(self, request: Request, host_id: uuid.UUID) -> Response:
        """Show a host with what it has and what is claimed of it. For operators."""
        NoQuery.read(request)
        policy.require(actor_of(request), "hosts.host.get")
        host = host_serializers.host(hosts.by_id(host_id))
        return Response({**host, "inventories": [serializers.inventory(row) for row in selectors.inventories(host_id)]})
