"""Views of server groups."""

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
from apps.operations.api.keys import IDEMPOTENCY_KEY, idempotency_key
from apps.scheduler import selectors
from apps.scheduler.api import group_shapes as shapes
from apps.scheduler.services import groups


class ServerGroupList(View):
    """Instances that belong on one host, or apart."""

    permissions: ClassVar = {"GET": "scheduler.server_group.list", "POST": "scheduler.server_group.create"}
    bodies: ClassVar = {"POST": shapes.CreateServerGroup}

    @extend_schema(
        operation_id="server_groups_list", parameters=[shapes.ServerGroupQuery], responses=paged(shapes.ServerGroupSerializer),
        tags=["scheduling"],
    )
    def get(self, request: Request) -> Response:
        """List server groups with their members."""
        actor, query = actor_of(request), shapes.ServerGroupQuery.read(request)
        rows = selectors.server_groups(actor=actor, all_projects=query["all_projects"])
        shown = shapes.Page(actor)
        asked = {name: query[name] for name in ("name", "policy") if name in query}
        return page(request, rows.filter(**asked), shown.render, together=shown.look)

    @extend_schema(
        operation_id="server_groups_create", parameters=[IDEMPOTENCY_KEY], request=shapes.CreateServerGroup,
        responses={201: shapes.ServerGroupSerializer}, tags=["scheduling"],
    )
    def post(self, request: Request) -> Response:
        """Create a server group. Instances become members when they are created with its id, and stay until they are deleted."""
        NoQuery.read(request)
        actor = actor_of(request)
        made = groups.create(actor=actor, client_token=idempotency_key(request), **shapes.CreateServerGroup.read(request))
        return Response(shapes.server_group(actor, made), status=201)


class ServerGroupDetail(View):
    """One server group."""

    permissions: ClassVar = {"GET": "scheduler.server_group.get", "DELETE": "scheduler.server_group.delete"}

    @extend_schema(operation_id="server_groups_get", responses=shapes.ServerGroupSerializer, tags=["scheduling"])
    def get(self, request: Request, server_group_id: uuid.UUID) -> Response:
        """Show a server group with its members."""
        NoQuery.read(request)
        actor = actor_of(request)
        return Response(shapes.server_group(actor, selectors.server_group(actor=actor, group_id=server_group_id)))

    @extend_schema(operation_id="server_groups_delete", responses={204: None}, tags=["scheduling"])
    def delete(self, request: Request, server_group_id: uuid.UUID) -> Response:
        """Delete a server group. Refused while it has members; the refusal names them."""
        NoQuery.read(request)
        groups.delete(actor=actor_of(request), group_id=server_group_id)
        return Response(status=204)
