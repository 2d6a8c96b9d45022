"""Views for operators: wires, pools of segments, hosts' networking."""

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
from apps.network.api import provider_shapes as shapes
from apps.network.selectors import hosts
from apps.network.services import pools, tell


class WireList(View):
    """Physical networks that hosts are plugged into. For operators."""

    permissions: ClassVar = {"GET": "network.pool.list", "POST": "network.pool.create"}
    bodies: ClassVar = {"POST": shapes.CreateWire}

    @extend_schema(
        operation_id="physical_networks_list", parameters=[filters.WireQuery], responses=paged(shapes.WireSerializer), tags=["network"]
    )
    def get(self, request: Request) -> Response:
        """List wires. For operators."""
        rows = selectors.wires(actor=actor_of(request)).filter(**filters.asked(filters.WireQuery.read(request)))
        return page(request, rows, shapes.wire)

    @extend_schema(
        operation_id="physical_networks_create", request=shapes.CreateWire, responses={201: shapes.WireSerializer}, tags=["network"]
    )
    def post(self, request: Request) -> Response:
        """Define a wire, by the name that agents' configurations give it. For operators."""
        NoQuery.read(request)
        wanted = shapes.CreateWire.read(request)
        return Response(shapes.wire(pools.add_wire(actor=actor_of(request), **wanted)), status=201)


class WireDetail(View):
    """One wire. For operators."""

    permissions: ClassVar = {"DELETE": "network.pool.delete"}

    @extend_schema(operation_id="physical_networks_delete", responses={204: None}, tags=["network"])
    def delete(self, request: Request, wire_id: uuid.UUID) -> Response:
        """Take a wire away. Refused while networks or pools are on it. For operators."""
        NoQuery.read(request)
        pools.remove_wire(actor=actor_of(request), wire_id=wire_id)
        return Response(status=204)


class PoolList(View):
    """VLAN ids and VNIs that networks take. For operators."""

    permissions: ClassVar = {"GET": "network.pool.list", "POST": "network.pool.create"}
    bodies: ClassVar = {"POST": shapes.CreatePool}

    @extend_schema(
        operation_id="network_pools_list", parameters=[filters.PoolQuery], responses=paged(shapes.PoolSerializer), tags=["network"]
    )
    def get(self, request: Request) -> Response:
        """List pools of VLAN ids and VNIs, and how many of each are taken. For operators."""
        wanted = filters.asked(filters.PoolQuery.read(request))
        if "physical_network" in wanted:
            wanted["physical_network__name"] = wanted.pop("physical_network")
        return page(request, selectors.pools(actor=actor_of(request)).filter(**wanted), shapes.pool)

    @extend_schema(
        operation_id="network_pools_create", request=shapes.CreatePool, responses={201: shapes.PoolSerializer}, tags=["network"]
    )
    def post(self, request: Request) -> Response:
        """Define a pool of VLAN ids of a wire, or of VNIs. For operators."""
        NoQuery.read(request)
        wanted = shapes.CreatePool.read(request)
        return Response(shapes.pool(pools.add(actor=actor_of(request), **wanted)), status=201)


class PoolDetail(View):
    """One pool. For operators."""

    permissions: ClassVar = {"DELETE": "network.pool.delete"}

    @extend_schema(operation_id="network_pools_delete", responses={204: None}, tags=["network"])
    def delete(self, request: Request, pool_id: uuid.UUID) -> Response:
        """Take a pool away. Refused while networks have segments of it; the refusal names them. For operators."""
        NoQuery.read(request)
        pools.remove(actor=actor_of(request), pool_id=pool_id)
        return Response(status=204)


class HostNetworkList(View):
    """How far hosts are with their networks. For operators."""

    permissions: ClassVar = {"GET": "network.host.list"}

    @extend_schema(
        operation_id="network_hosts_list", parameters=[filters.HostNetworkQuery], responses=paged(shapes.HostNetworkSerializer),
        tags=["network"],
    )
    def get(self, request: Request) -> Response:
        """List hosts with what of their networks they have brought about, and what they could not. For operators."""
        rows = hosts.host_networks(actor=actor_of(request)).filter(**filters.asked(filters.HostNetworkQuery.read(request)))
        return page(request, rows, shapes.host)


class HostNetworkDetail(View):
    """One host's networking. For operators."""

    permissions: ClassVar = {"GET": "network.host.list"}

    @extend_schema(operation_id="network_hosts_get", responses=shapes.HostNetworkSerializer, tags=["network"])
    def get(self, request: Request, host_id: uuid.UUID) -> Response:
        """Show how far a host is. For operators."""
        NoQuery.read(request)
        return Response(shapes.host(hosts.host_network(actor=actor_of(request), host_id=host_id)))


class TellAgain(View):
    """Once more, and all of it. For operators."""

    permissions: ClassVar = {"POST": "network.host.tell"}

    @extend_schema(operation_id="network_hosts_tell_again", request=None, responses={202: shapes.HostNetworkSerializer}, tags=["network"])
    def post(self, request: Request, host_id: uuid.UUID) -> Response:
        """Have a host told its whole network state again; nothing that is right is touched. For operators."""
        NoQuery.read(request)
        return Response(shapes.host(tell.tell_again(actor=actor_of(request), host_id=host_id)), status=202)
