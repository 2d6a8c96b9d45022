"""Zones, which everybody may list, and aggregates, which are for operators."""

import uuid
from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.api.inputs import NoQuery
from apps.common.api.pagination import page
from apps.common.api.schema import paged
from apps.common.api.views import View
from apps.hosts import selectors
from apps.hosts.api import filters, serializers
from apps.hosts.services import aggregates, zones
from apps.identity.api.authentication import actor_of

_PAGE = ("limit", "after")


class ZoneList(View):
    """Hosts that fail together."""

    permissions: ClassVar = {"GET": "hosts.zone.list", "POST": "hosts.zone.create"}
    bodies: ClassVar = {"POST": serializers.CreateZone}

    @extend_schema(operation_id="zones_list", parameters=[filters.ZoneQuery], responses=paged(serializers.ZoneSerializer), tags=["hosts"])
    def get(self, request: Request) -> Response:
        """List zones that instances may ask for."""
        wanted = {name: value for name, value in filters.ZoneQuery.read(request).items() if name not in _PAGE}
        return page(request, selectors.zones(actor=actor_of(request)).filter(**wanted), serializers.zone)

    @extend_schema(
        operation_id="zones_create", request=serializers.CreateZone, responses={201: serializers.ZoneSerializer}, tags=["hosts"]
    )
    def post(self, request: Request) -> Response:
        """Create a zone. For operators."""
        NoQuery.read(request)
        wanted = serializers.CreateZone.read(request)
        return Response(serializers.zone(zones.create(actor=actor_of(request), **wanted)), status=201)


class ZoneDetail(View):
    """One zone."""

    permissions: ClassVar = {"GET": "hosts.zone.list", "PATCH": "hosts.zone.update", "DELETE": "hosts.zone.delete"}
    bodies: ClassVar = {"PATCH": serializers.UpdateZone}

    @extend_schema(operation_id="zones_get", responses=serializers.ZoneSerializer, tags=["hosts"])
    def get(self, request: Request, zone_id: uuid.UUID) -> Response:
        """Show a zone."""
        NoQuery.read(request)
        return Response(serializers.zone(selectors.zone(actor=actor_of(request), zone_id=zone_id)))

    @extend_schema(operation_id="zones_update", request=serializers.UpdateZone, responses=serializers.ZoneSerializer, tags=["hosts"])
    def patch(self, request: Request, zone_id: uuid.UUID) -> Response:
        """Let the hosts of a zone take new instances, or not; describe it. For operators."""
        NoQuery.read(request)
        wanted = serializers.UpdateZone.read(request)
        return Response(serializers.zone(zones.update(actor=actor_of(request), zone_id=zone_id, **wanted)))

    @extend_schema(operation_id="zones_delete", responses={204: None}, tags=["hosts"])
    def delete(self, request: Request, zone_id: uuid.UUID) -> Response:
        """Delete a zone. Refused while hosts are in it; the refusal names them. For operators."""
        NoQuery.read(request)
        zones.delete(actor=actor_of(request), zone_id=zone_id)
        return Response(status=204)


class AggregateList(View):
    """Hosts that have something in common. For operators."""

    permissions: ClassVar = {"GET": "hosts.aggregate.list", "POST": "hosts.aggregate.create"}
    bodies: ClassVar = {"POST": serializers.CreateAggregate}

    @extend_schema(
        operation_id="aggregates_list", parameters=[filters.AggregateQuery], responses=paged(serializers.AggregateSerializer),
        tags=["hosts"],
    )
    def get(self, request: Request) -> Response:
        """List aggregates with the hosts in them. For operators."""
        wanted = {name: value for name, value in filters.AggregateQuery.read(request).items() if name not in _PAGE}
        if "host_id" in wanted:
            wanted["members__host_id"] = wanted.pop("host_id")
        return page(request, selectors.aggregates(actor=actor_of(request)).filter(**wanted), serializers.aggregate)

    @extend_schema(
        operation_id="aggregates_create", request=serializers.CreateAggregate, responses={201: serializers.AggregateSerializer},
        tags=["hosts"],
    )
    def post(self, request: Request) -> Response:
        """Create an aggregate. For operators."""
        NoQuery.read(request)
        wanted = serializers.CreateAggregate.read(request)
        return Response(serializers.aggregate(aggregates.create(actor=actor_of(request), **wanted)), status=201)


class AggregateDetail(View):
    """One aggregate. For operators."""

    permissions: ClassVar = {"GET": "hosts.aggregate.list", "PATCH": "hosts.aggregate.update", "DELETE": "hosts.aggregate.delete"}
    bodies: ClassVar = {"PATCH": serializers.UpdateAggregate}

    @extend_schema(operation_id="aggregates_get", responses=serializers.AggregateSerializer, tags=["hosts"])
    def get(self, request: Request, aggregate_id: uuid.UUID) -> Response:
        """Show an aggregate with the hosts in it. For operators."""
        NoQuery.read(request)
        return Response(serializers.aggregate(selectors.aggregate(actor=actor_of(request), aggregate_id=aggregate_id)))

    @extend_schema(
        operation_id="aggregates_update", request=serializers.UpdateAggregate, responses=serializers.AggregateSerializer, tags=["hosts"]
    )
    def patch(self, request: Request, aggregate_id: uuid.UUID) -> Response:
        """Rename an aggregate, say what its hosts have in common, and for whom they are. For operators."""
        NoQuery.read(request)
        wanted = serializers.UpdateAggregate.read(request)
        return Response(serializers.aggregate(aggregates.update(actor=actor_of(request), aggregate_id=aggregate_id, **wanted)))

    @extend_schema(operation_id="aggregates_delete", responses={204: None}, tags=["hosts"])
    def delete(self, request: Request, aggregate_id: uuid.UUID) -> Response:
        """Delete an aggregate. Refused while hosts are in it; the refusal names them. For operators."""
        NoQuery.read(request)
        aggregates.delete(actor=actor_of(request), aggregate_id=aggregate_id)
        return Response(status=204)


class AggregateHosts(View):
    """A host in an aggregate. For operators."""

    permissions: ClassVar = {"PUT": "hosts.aggregate.update", "DELETE": "hosts.aggregate.update"}

    @extend_schema(operation_id="aggregates_hosts_add", request=None, responses=serializers.AggregateSerializer, tags=["hosts"])
    def put(self, request: Request, aggregate_id: uuid.UUID, host_id: uuid.UUID) -> Response:
        """Put a host into an aggregate. For operators."""
        NoQuery.read(request)
        return Response(serializers.aggregate(aggregates.add_host(actor=actor_of(request), aggregate_id=aggregate_id, host_id=host_id)))

    @extend_schema(operation_id="aggregates_hosts_remove", responses={204: None}, tags=["hosts"])
    def delete(self, request: Request, aggregate_id: uuid.UUID, host_id: uuid.UUID) -> Response:
        """Take a host out of an aggregate. For operators."""
        NoQuery.read(request)
        aggregates.remove_host(actor=actor_of(request), aggregate_id=aggregate_id, host_id=host_id)
        return Response(status=204)
