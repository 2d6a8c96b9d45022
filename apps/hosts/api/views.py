"""Hosts, for operators. What a host has free is placement's to say: `GET /resource-providers/<host id>`."""

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
from apps.hosts.services import admission
from apps.identity import policy
from apps.identity.api.authentication import actor_of


class HostList(View):
    """Hypervisors. For operators."""

    permissions: ClassVar = {"GET": "hosts.host.list"}

    @extend_schema(operation_id="hosts_list", parameters=[filters.HostQuery], responses=paged(serializers.HostSerializer), tags=["hosts"])
    def get(self, request: Request) -> Response:
        """List hosts. For operators."""
        policy.require(actor_of(request), "hosts.host.list")
        query = filters.HostQuery.read(request)
        wanted = {name: value for name, value in query.items() if name not in ("limit", "after")}
        return page(request, selectors.hosts().filter(**wanted), serializers.host)


class HostActions(View):
    """Enable and disable. For operators."""

    permissions: ClassVar = {"POST": "hosts.host.update"}
    bodies: ClassVar = {"POST": serializers.HostAction}

    @extend_schema(operation_id="hosts_action", request=serializers.HostAction, responses=serializers.HostSerializer, tags=["hosts"])
    def post(self, request: Request, host_id: uuid.UUID) -> Response:
        """Let a host take new instances, or not. What runs on it stays. For operators."""
        NoQuery.read(request)
        actor = actor_of(request)
        policy.require(actor, "hosts.host.update")
        wanted = serializers.HostAction.read(request)
        name = selectors.by_id(host_id).name
        host = admission.set_enabled(actor=actor, name=name, enabled=wanted["action"] == "enable", reason=wanted["reason"])
        return Response(serializers.host(host))
