"""Views of ports."""

import uuid
from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.api.inputs import NoQuery
from apps.common.api.pagination import page
from apps.common.api.schema import paged
from apps.common.api.views import View
from apps.identity.api.authentication import actor_of
from apps.network import selectors
from apps.network.api import filters
from apps.network.api import port_shapes as shapes
from apps.network.services import ports
from apps.operations.api.keys import IDEMPOTENCY_KEY, idempotency_key


class PortList(View):
    """Plugs in networks: network cards of instances, and those that are to become some."""

    permissions: ClassVar = {"GET": "network.port.list", "POST": "network.port.create"}
    bodies: ClassVar = {"POST": shapes.CreatePort}

    @extend_schema(operation_id="ports_list", parameters=[filters.PortQuery], responses=paged(shapes.PortSerializer), tags=["network"])
    def get(self, request: Request) -> Response:
        """List ports with their addresses and security groups."""
        actor = actor_of(request)
        return page(request, filters.ports(actor, filters.PortQuery.read(request)), shapes.port_for(actor))

    @extend_schema(
        operation_id="ports_create", parameters=[IDEMPOTENCY_KEY], request=shapes.CreatePort, responses={201: shapes.PortSerializer},
        tags=["network"],
    )
    def post(self, request: Request) -> Response:
        """Create a port that can be attached to an instance, and outlives it."""
        NoQuery.read(request)
        actor, wanted = actor_of(request), shapes.CreatePort.read(request)
        made = ports.create_once(actor=actor, client_token=idempotency_key(request), **wanted)
        return Response(shapes.port(actor, made), status=201)


class PortDetail(View):
    """One port."""

    permissions: ClassVar = {"GET": "network.port.get", "PATCH": "network.port.update", "DELETE": "network.port.delete"}
    bodies: ClassVar = {"PATCH": shapes.UpdatePort}

    @extend_schema(operation_id="ports_get", responses=shapes.PortSerializer, tags=["network"])
    def get(self, request: Request, port_id: uuid.UUID) -> Response:
        """Show a port."""
        NoQuery.read(request)
        actor = actor_of(request)
        return Response(shapes.port(actor, selectors.port(actor=actor, port_id=port_id)))

    @extend_schema(operation_id="ports_update", request=shapes.UpdatePort, responses=shapes.PortSerializer, tags=["network"])
    def patch(self, request: Request, port_id: uuid.UUID) -> Response:
        """Change what is given, also while an instance runs with it; but not its MAC and addresses then."""
        NoQuery.read(request)
        actor, wanted = actor_of(request), shapes.UpdatePort.read(request)
        return Response(shapes.port(actor, ports.update(actor=actor, port_id=port_id, **wanted)))

    @extend_schema(operation_id="ports_delete", responses={204: None}, tags=["network"])
    def delete(self, request: Request, port_id: uuid.UUID) -> Response:
        """Delete a port that no instance has. Its addresses rest a while before somebody else gets them."""
        NoQuery.read(request)
        ports.delete(actor=actor_of(request), port_id=port_id)
        return Response(status=204)
