"""Networks and ports."""

import uuid
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.api.inputs import NoQuery
from apps.common.api.pagination import page
from apps.common.api.schema import paged
from apps.common.api.views import View
from apps.identity.api.authentication import actor_of
from apps.network import selectors
from apps.network.api import filters, serializers
from apps.network.services import networks


class NetworkList(View):
    """Networks of the project."""

    permissions: ClassVar = {"GET": "network.network.list", "POST": "network.network.create"}
    bodies: ClassVar = {"POST": serializers.CreateNetwork}

    @extend_schema(
        operation_id="networks_list", parameters=[filters.NetworkQuery], responses=paged(serializers.NetworkSerializer), tags=["network"]
    )
    def get(self, request: Request) -> Response:
        """List networks."""
        rows = selectors.networks(actor=actor_of(request)).filter(**_asked(filters.NetworkQuery.read(request)))
        return page(request, rows, serializers.network)

    @extend_schema(
        operation_id="networks_create", request=serializers.CreateNetwork, responses={201: serializers.NetworkSerializer}, tags=["network"]
    )
    def post(self, request: Request) -> Response:
        """Create a network with one IPv4 subnet."""
        NoQuery.read(request)
        wanted = serializers.CreateNetwork.read(request)
        return Response(serializers.network(networks.create(actor=actor_of(request), **wanted)), status=201)


class NetworkDetail(View):
    """One network."""

    permissions: ClassVar = {"GET": "network.network.get", "DELETE": "network.network.delete"}

    @extend_schema(operation_id="networks_get", responses=serializers.NetworkSerializer, tags=["network"])
    def get(self, request: Request, network_id: uuid.UUID) -> Response:
        """Show a network."""
        NoQuery.read(request)
        return Response(serializers.network(selectors.shown(actor=actor_of(request), network_id=network_id)))

    @extend_schema(operation_id="networks_delete", responses={204: None}, tags=["network"])
    def delete(self, request: Request, network_id: uuid.UUID) -> Response:
        """Delete a network that no instance uses."""
        NoQuery.read(request)
        networks.delete(actor=actor_of(request), network_id=network_id)
        return Response(status=204)


class PortList(View):
    """Network cards of the project's instances."""

    permissions: ClassVar = {"GET": "network.network.list"}

    @extend_schema(operation_id="ports_list", parameters=[filters.PortQuery], responses=paged(serializers.PortSerializer), tags=["network"])
    def get(self, request: Request) -> Response:
        """List ports with their addresses."""
        rows = selectors.ports(actor=actor_of(request)).filter(**_asked(filters.PortQuery.read(request)))
        return page(request, rows, serializers.port)


def _asked(query: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in query.items() if name not in ("limit", "after")}
