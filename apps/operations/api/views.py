"""Operations: what was asked, what became of it, and its timeline."""

import uuid
from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.api.pagination import page
from apps.common.api.schema import paged
from apps.common.api.views import View
from apps.identity import policy
from apps.identity.api.authentication import actor_of
from apps.operations import selectors
from apps.operations.api import filters, serializers, waiting


class OperationList(View):
    """Operations of the project, newest first."""

    permissions: ClassVar = {"GET": "operations.operation.list"}

    @extend_schema(
        operation_id="operations_list", parameters=[filters.OperationQuery], responses=paged(serializers.OperationSerializer),
        tags=["operations"],
    )
    def get(self, request: Request) -> Response:
        """List operations."""
        actor, query = actor_of(request), filters.OperationQuery.read(request)
        if query["all_projects"]:
            policy.require_everywhere(actor, "operations.operation.list")
        rows = selectors.operations(actor=actor, all_projects=query["all_projects"])
        for name in ("state", "kind", "resource_id", "request_id"):
            if name in query:
                rows = rows.filter(**{name: query[name]})

        def together(found: list[dict[str, object]]) -> None:
            found[:] = serializers.operations(actor, found)

        return page(request, rows, dict, *serializers.COLUMNS, together=together)


class OperationDetail(View):
    """One operation."""

    permissions: ClassVar = {"GET": "operations.operation.get"}

    @extend_schema(
        operation_id="operations_get", parameters=[filters.WaitQuery], responses=serializers.OperationWithEventsSerializer,
        tags=["operations"],
    )
    def get(self, request: Request, operation_id: uuid.UUID) -> Response:
        """Show an operation with its timeline; with `wait`, when it is closed."""
        actor, query = actor_of(request), filters.WaitQuery.read(request)
        found = selectors.operation(actor=actor, operation_id=operation_id)
        [found] = waiting.wait_for([found], query["wait"])
        return Response(serializers.with_events(actor, found, selectors.events(operation_id=operation_id)))


class RejectionList(View):
    """Reports of hosts that were refused. For operators."""

    permissions: ClassVar = {"GET": "operations.queue.get"}

    @extend_schema(
        operation_id="rejections_list", parameters=[filters.RejectionQuery], responses=paged(serializers.RejectionSerializer),
        tags=["hosts"],
    )
    def get(self, request: Request) -> Response:
        """List refused reports: forged, replayed, or from a host that they do not concern. For operators."""
        query = filters.RejectionQuery.read(request)
        rows = selectors.rejections(actor=actor_of(request))
        for name in ("code", "host_name"):
            if name in query:
                rows = rows.filter(**{name: query[name]})
        return page(request, rows, serializers.rejection)
