"""Views of networks and subnets."""

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
from apps.network.api import network_shapes as shapes
from apps.network.services import networks, subnets


class NetworkList(View):
    """Networks of the project, and those that are for all."""

    permissions: ClassVar = {"GET": "network.network.list", "POST": "network.network.create"}
    bodies: ClassVar = {"POST": shapes.CreateNetwork}

    @extend_schema(operation_id="networks_list", parameters=[filters.NetworkQuery], responses=paged(shapes.NetworkSerializer), tags=["network"])
    def get(self, request: Request) -> Response:
        """List networks with their subnets: the project's, shared and external ones."""
        actor = actor_of(request)
        rows = filters.networks(actor, filters.NetworkQuery.read(request))
        return page(request, rows, shapes.network_for(actor))

    @extend_schema(
        operation_id="networks_create", request=shapes.CreateNetwork, responses={201: shapes.NetworkSerializer}, tags=["network"]
    )
    def post(self, request: Request) -> Response:
        """Create a network; with `cidr` also a first subnet. Wire, segment, shared and external ones take an operator."""
        NoQuery.read(request)
        actor, wanted = actor_of(request), shapes.CreateNetwork.read(request)
        return Response(shapes.network(actor, networks.create(actor=actor, **wanted)), status=201)


class WholeNetworks(View):
    """Networks that work at once."""

    permissions: ClassVar = {"POST": "network.network.create"}
    bodies: ClassVar = {"POST": shapes.CreateWhole}

    @extend_schema(
        operation_id="networks_create_whole", request=shapes.CreateWhole, responses={201: shapes.WholeSerializer}, tags=["network"]
    )
    def post(self, request: Request) -> Response:
        """Create a network with an IPv4 and an IPv6 subnet, and a router that leads them out: all of it, or nothing."""
        NoQuery.read(request)
        actor, wanted = actor_of(request), shapes.CreateWhole.read(request)
        made, _, router = networks.create_whole(actor=actor, **wanted)
        return Response(shapes.whole(actor, made, router), status=201)


class NetworkDetail(View):
    """One network."""

    permissions: ClassVar = {
        "GET": "network.network.get", "PATCH": "network.network.update", "DELETE": "network.network.delete"
    }
    bodies: ClassVar = {"PATCH": shapes.UpdateNetwork}

    @extend_schema(operation_id="networks_get", responses=shapes.NetworkSerializer, tags=["network"])
    def get(self, request: Request, network_id: uuid.UUID) -> Response:
        """Show a network."""
        NoQuery.read(request)
        actor = actor_of(request)
        return Response(shapes.network(actor, selectors.shown(actor=actor, network_id=network_id)))

    @extend_schema(operation_id="networks_update", request=shapes.UpdateNetwork, responses=shapes.NetworkSerializer, tags=["network"])
    def patch(self, request: Request, network_id: uuid.UUID) -> Response:
        """Change what is given. Kind, wire and segment stay."""
        NoQuery.read(request)
        actor, wanted = actor_of(request), shapes.UpdateNetwork.read(request)
        return Response(shapes.network(actor, networks.update(actor=actor, network_id=network_id, **wanted)))

    @extend_schema(operation_id="networks_delete", responses={204: None}, tags=["network"])
    def delete(self, request: Request, network_id: uuid.UUID) -> Response:
        """Delete a network with its subnets. Refused while ports, routers or floating IPs use it; the refusal names them."""
        NoQuery.read(request)
        networks.delete(actor=actor_of(request), network_id=network_id)
        return Response(status=204)


class SubnetList(View):
    """Address ranges of networks."""

    permissions: ClassVar = {"GET": "network.subnet.list", "POST": "network.subnet.create"}
    bodies: ClassVar = {"POST": shapes.CreateSubnet}

    @extend_schema(operation_id="subnets_list", parameters=[filters.SubnetQuery], responses=paged(shapes.SubnetSerializer), tags=["network"])
    def get(self, request: Request) -> Response:
        """List subnets of all networks that the project sees."""
        return page(request, filters.subnets(actor_of(request), filters.SubnetQuery.read(request)), shapes.subnet)

    @extend_schema(
        operation_id="subnets_create", request=shapes.CreateSubnet, responses={201: shapes.SubnetSerializer}, tags=["network"]
    )
    def post(self, request: Request) -> Response:
        """Create a subnet, IPv4 or IPv6, in a network. A router is not attached; see `/routers/{router_id}/interfaces`."""
        NoQuery.read(request)
        wanted = shapes.CreateSubnet.read(request)
        return Response(shapes.subnet(subnets.create(actor=actor_of(request), **wanted)), status=201)


class SubnetDetail(View):
    """One subnet."""

    permissions: ClassVar = {"GET": "network.subnet.get", "PATCH": "network.subnet.update", "DELETE": "network.subnet.delete"}
    bodies: ClassVar = {"PATCH": shapes.UpdateSubnet}

    @extend_schema(operation_id="subnets_get", responses=shapes.SubnetSerializer, tags=["network"])
    def get(self, request: Request, subnet_id: uuid.UUID) -> Response:
        """Show a subnet."""
        NoQuery.read(request)
        return Response(shapes.subnet(selectors.subnet(actor=actor_of(request), subnet_id=subnet_id)))

    @extend_schema(operation_id="subnets_update", request=shapes.UpdateSubnet, responses=shapes.SubnetSerializer, tags=["network"])
    def patch(self, request: Request, subnet_id: uuid.UUID) -> Response:
        """Change what is given. The range stays, and addresses that are in use stay, also outside of new pools."""
        NoQuery.read(request)
        wanted = shapes.UpdateSubnet.read(request)
        return Response(shapes.subnet(subnets.update(actor=actor_of(request), subnet_id=subnet_id, **wanted)))

    @extend_schema(operation_id="subnets_delete", responses={204: None}, tags=["network"])
    def delete(self, request: Request, subnet_id: uuid.UUID) -> Response:
        """Delete a subnet. Refused while addresses of it are taken or a router serves it; the refusal names them."""
        NoQuery.read(request)
        subnets.delete(actor=actor_of(request), subnet_id=subnet_id)
        return Response(status=204)
