"""What is known about one instance beside its row: console log, scheduling, operations, timeline."""

import uuid
from typing import ClassVar

import msgspec
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.api.inputs import NoQuery, PageQuery
from apps.common.api.pagination import page
from apps.common.api.renderers import JSON, Browsable, PlainText
from apps.common.api.schema import paged
from apps.common.api.views import View
from apps.compute import selectors
from apps.compute.api import filters, serializers
from apps.compute.services import console
from apps.identity.api.authentication import actor_of
from apps.operations import selectors as operations
from apps.operations.api import serializers as operation_serializers
from apps.scheduler import selectors as scheduler
from apps.scheduler.api import decision_shapes as shapes


class InstanceConsole(View):
    """The serial console's log."""

    permissions: ClassVar = {"GET": "compute.instance.console"}
    renderer_classes = [JSON, PlainText, Browsable]

    @extend_schema(
        operation_id="instances_console_log", parameters=[filters.ConsoleQuery], responses=serializers.ConsoleSerializer, tags=["compute"]
    )
    def get(self, request: Request, instance_id: uuid.UUID) -> Response:
        """Read the end of the console log; `Accept: text/plain` gives the text alone."""
        query = filters.ConsoleQuery.read(request)
        output = console.read(actor=actor_of(request), instance_id=instance_id, max_bytes=query["max_bytes"])
        return Response(msgspec.structs.asdict(output))


class InstanceScheduling(View):
    """Why it is where it is, or why it is nowhere."""

    permissions: ClassVar = {"GET": "compute.instance.explain"}

    @extend_schema(operation_id="instances_scheduling", responses=serializers.SchedulingSerializer, tags=["compute"])
    def get(self, request: Request, instance_id: uuid.UUID) -> Response:
        """Show the scheduling decisions: to operators with the verdict on every host, to others in numbers."""
        NoQuery.read(request)
        actor = actor_of(request)
        selectors.known_instance(actor=actor, instance_id=instance_id, permission="compute.instance.explain")
        decisions = [shapes.decision(actor, row) for row in scheduler.decisions(instance_id)]
        return Response({"instance_id": instance_id, "decisions": decisions})


class InstanceOperations(View):
    """What was ever done to it."""

    permissions: ClassVar = {"GET": "compute.instance.get"}

    @extend_schema(
        operation_id="instances_operations", parameters=[PageQuery], responses=paged(operation_serializers.OperationSerializer),
        tags=["compute"],
    )
    def get(self, request: Request, instance_id: uuid.UUID) -> Response:
        """List the operations of one instance, also of a deleted one."""
        PageQuery.read(request)
        actor = actor_of(request)
        selectors.known_instance(actor=actor, instance_id=instance_id)

        def together(found: list[dict[str, object]]) -> None:
            found[:] = operation_serializers.operations(actor, found)

        return page(request, operations.of_resource(instance_id), dict, *operation_serializers.COLUMNS, together=together)


class InstanceTimeline(View):
    """Its life, line by line."""

    permissions: ClassVar = {"GET": "compute.instance.get"}

    @extend_schema(
        operation_id="instances_timeline", responses=operation_serializers.TimelineSerializer, tags=["compute"]
    )
    def get(self, request: Request, instance_id: uuid.UUID) -> Response:
        """The events of all its operations, oldest first; of the newest 100 operations."""
        NoQuery.read(request)
        actor = actor_of(request)
        selectors.known_instance(actor=actor, instance_id=instance_id)
        found = list(operations.of_resource(instance_id)[:100])
        events = operations.events_of([operation.pk for operation in found])
        return Response({"items": operation_serializers.timeline(actor, found, events)})
