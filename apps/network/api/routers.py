"""Views of routers and floating IPs."""

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
from apps.network.api import router_shapes as shapes
from apps.network.services import floating, routers
from apps.operations.api.keys import IDEMPOTENCY_KEY, idempotency_key


class RouterList(View):
    """What joins subnets and leads out of them."""

    permissions: ClassVar = {"GET": "network.router.list", "POST": "network.router.create"}
    bodies: ClassVar = {"POST": shapes.CreateRouter}

    @extend_schema(operation_id="routers_list", parameters=[filters.RouterQuery], responses=paged(shapes.RouterSerializer), tags=["network"])
    def get(self, request: Request) -> Response:
        """List routers with the subnets that they join."""
        return page(request, filters.routers(actor_of(request), filters.RouterQuery.read(request)), shapes.router)

    @extend_schema(
        operation_id="routers_create", request=shapes.CreateRouter, responses={201: shapes.RouterSerializer}, tags=["network"]
    )
    def post(self, request: Request) -> Response:
        """Create a router that joins nothing yet."""
        NoQuery.read(request)
        wanted = shapes.CreateRouter.read(request)
        return Response(shapes.router(routers.create(actor=actor_of(request), **wanted)), status=201)


class RouterDetail(View):
    """One router."""

    permissions: ClassVar = {"GET": "network.router.get", "PATCH": "network.router.update", "DELETE": "network.router.delete"}
    bodies: ClassVar = {"PATCH": shapes.UpdateRouter}

    @extend_schema(operation_id="routers_get", responses=shapes.RouterSerializer, tags=["network"])
    def get(self, request: Request, router_id: uuid.UUID) -> Response:
        """Show a router."""
        NoQuery.read(request)
        return Response(shapes.router(selectors.router(actor=actor_of(request), router_id=router_id)))

    @extend_schema(operation_id="routers_update", request=shapes.UpdateRouter, responses=shapes.RouterSerializer, tags=["network"])
    def patch(self, request: Request, router_id: uuid.UUID) -> Response:
        """Change what is given. Another way out needs that no floating IP comes through the router."""
        NoQuery.read(request)
        wanted = shapes.UpdateRouter.read(request)
        return Response(shapes.router(routers.update(actor=actor_of(request), router_id=router_id, **wanted)))

    @extend_schema(operation_id="routers_delete", responses={204: None}, tags=["network"])
    def delete(self, request: Request, router_id: uuid.UUID) -> Response:
        """Delete a router that joins nothing any more. Refused while it does; the refusal names the subnets."""
        NoQuery.read(request)
        routers.delete(actor=actor_of(request), router_id=router_id)
        return Response(status=204)


class InterfaceList(View):
    """Subnets that a router joins; which they are stands in the router."""

    permissions: ClassVar = {"POST": "network.router.update"}
    bodies: ClassVar = {"POST": shapes.Interface}

    @extend_schema(
        operation_id="routers_interfaces_attach", request=shapes.Interface, responses={201: shapes.RouterSerializer}, tags=["network"]
    )
    def post(self, request: Request, router_id: uuid.UUID) -> Response:
        """Have a router serve a subnet, under the subnet's gateway address."""
        NoQuery.read(request)
        wanted = shapes.Interface.read(request)
        made = routers.attach(actor=actor_of(request), router_id=router_id, **wanted)
        return Response(shapes.router(made.router), status=201)


class InterfaceDetail(View):
    """One subnet of a router."""

    permissions: ClassVar = {"DELETE": "network.router.update"}

    @extend_schema(operation_id="routers_interfaces_detach", responses={204: None}, tags=["network"])
    def delete(self, request: Request, router_id: uuid.UUID, subnet_id: uuid.UUID) -> Response:
        """Take a subnet from a router. Refused while a floating IP needs it."""
        NoQuery.read(request)
        routers.detach(actor=actor_of(request), router_id=router_id, subnet_id=subnet_id)
        return Response(status=204)


class FloatingIpList(View):
    """Addresses of external networks that stand for fixed ones."""

    permissions: ClassVar = {"GET": "network.floating_ip.list", "POST": "network.floating_ip.create"}
    bodies: ClassVar = {"POST": shapes.CreateFloatingIp}

    @extend_schema(
        operation_id="floating_ips_list", parameters=[filters.FloatingIpQuery], responses=paged(shapes.FloatingIpSerializer), tags=["network"]
    )
    def get(self, request: Request) -> Response:
        """List floating IPs with what they stand for."""
        return page(request, filters.floating_ips(actor_of(request), filters.FloatingIpQuery.read(request)), shapes.floating_ip)

    @extend_schema(
        operation_id="floating_ips_create", parameters=[IDEMPOTENCY_KEY], request=shapes.CreateFloatingIp,
        responses={201: shapes.FloatingIpSerializer}, tags=["network"],
    )
    def post(self, request: Request) -> Response:
        """Take an address for the project; with a port it stands for that at once."""
        NoQuery.read(request)
        wanted = shapes.CreateFloatingIp.read(request)
        made = floating.create_once(actor=actor_of(request), client_token=idempotency_key(request), **wanted)
        return Response(shapes.floating_ip(made), status=201)


class FloatingIpDetail(View):
    """One floating IP."""

    permissions: ClassVar = {
        "GET": "network.floating_ip.get", "PATCH": "network.floating_ip.update", "DELETE": "network.floating_ip.delete"
    }
    bodies: ClassVar = {"PATCH": shapes.UpdateFloatingIp}

    @extend_schema(operation_id="floating_ips_get", responses=shapes.FloatingIpSerializer, tags=["network"])
    def get(self, request: Request, floating_ip_id: uuid.UUID) -> Response:
        """Show a floating IP."""
        NoQuery.read(request)
        return Response(shapes.floating_ip(selectors.floating_ip(actor=actor_of(request), floating_ip_id=floating_ip_id)))

    @extend_schema(
        operation_id="floating_ips_update", request=shapes.UpdateFloatingIp, responses=shapes.FloatingIpSerializer, tags=["network"]
    )
    def patch(self, request: Request, floating_ip_id: uuid.UUID) -> Response:
        """Have it stand for another port, or with `port_id` null for none."""
        NoQuery.read(request)
        wanted = shapes.UpdateFloatingIp.read(request)
        return Response(shapes.floating_ip(floating.change(actor=actor_of(request), floating_ip_id=floating_ip_id, **wanted)))

    @extend_schema(operation_id="floating_ips_delete", responses={204: None}, tags=["network"])
    def delete(self, request: Request, floating_ip_id: uuid.UUID) -> Response:
        """Give the address back."""
        NoQuery.read(request)
        floating.delete(actor=actor_of(request), floating_ip_id=floating_ip_id)
        return Response(status=204)
