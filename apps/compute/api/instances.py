"""Views of instances."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.api.inputs import NoQuery
from apps.common.api.pagination import page
from apps.common.api.schema import paged
from apps.common.api.views import View
from apps.common.context import Actor
from apps.compute import selectors
from apps.compute.api import filters, rendering, serializers
from apps.compute.models import Instance
from apps.compute.services import create, delete, power, update
from apps.identity.api.authentication import actor_of
from apps.operations.api import serializers as operation_serializers
from apps.operations.api.filters import WaitQuery
from apps.operations.api.keys import IDEMPOTENCY_KEY, idempotency_key
from apps.operations.api.waiting import wait_for
from apps.operations.states import OPEN_VALUES

if TYPE_CHECKING:
    from apps.operations.models import Operation


class InstanceList(View):
    """Virtual machines of the project."""

    permissions: ClassVar = {"GET": "compute.instance.list", "POST": "compute.instance.create"}
    bodies: ClassVar = {"POST": serializers.CreateInstance}

    @extend_schema(
        operation_id="instances_list", parameters=[filters.InstanceQuery], responses=paged(serializers.InstanceSerializer), tags=["compute"]
    )
    def get(self, request: Request) -> Response:
        """List instances, newest first."""
        actor, query = actor_of(request), filters.InstanceQuery.read(request)
        rows = rendering.listed(filters.instances(actor, query))
        shown = rendering.Page(actor, all_projects=query["all_projects"])
        return page(request, rows, shown.render, *rendering.COLUMNS, together=shown.look)

    @extend_schema(
        operation_id="instances_create", parameters=[WaitQuery, IDEMPOTENCY_KEY], request=serializers.CreateInstance,
        responses={202: serializers.CreatedSerializer}, tags=["compute"],
    )
    def post(self, request: Request) -> Response:
        """Create one instance or many equal ones. The answer comes at once, the work goes on: watch the operation."""
        actor, wait = actor_of(request), WaitQuery.read(request)["wait"]
        wanted = create.Wanted(**serializers.CreateInstance.read(request))
        made = create.create(actor=actor, wanted=wanted, client_token=idempotency_key(request))
        return _created(actor, made, wait)


class InstanceDetail(View):
    """One virtual machine."""

    permissions: ClassVar = {
        "GET": "compute.instance.get", "PATCH": "compute.instance.update", "DELETE": "compute.instance.delete",
    }
    bodies: ClassVar = {"PATCH": serializers.UpdateInstance}

    @extend_schema(operation_id="instances_get", responses=serializers.InstanceSerializer, tags=["compute"])
    def get(self, request: Request, instance_id: uuid.UUID) -> Response:
        """Show an instance."""
        NoQuery.read(request)
        actor = actor_of(request)
        return Response(rendering.instance(actor, selectors.instance(actor=actor, instance_id=instance_id)))

    @extend_schema(
        operation_id="instances_update", request=serializers.UpdateInstance, responses=serializers.InstanceSerializer, tags=["compute"]
    )
    def patch(self, request: Request, instance_id: uuid.UUID) -> Response:
        """Change name or metadata."""
        NoQuery.read(request)
        actor, changes = actor_of(request), serializers.UpdateInstance.read(request)
        return Response(rendering.instance(actor, update.update(actor=actor, instance_id=instance_id, **changes)))

    @extend_schema(operation_id="instances_delete", parameters=[WaitQuery], responses={202: serializers.AcceptedSerializer}, tags=["compute"])
    def delete(self, request: Request, instance_id: uuid.UUID) -> Response:
        """Delete an instance, whatever it is doing."""
        actor, wait = actor_of(request), WaitQuery.read(request)["wait"]
        return accepted(actor, delete.delete(actor=actor, instance_id=instance_id), wait)


class InstanceActions(View):
    """Start, stop, reboot."""

    permissions: ClassVar = {"POST": "compute.instance.power"}
    bodies: ClassVar = {"POST": serializers.InstanceAction}

    @extend_schema(
        operation_id="instances_action", parameters=[WaitQuery], request=serializers.InstanceAction,
        responses={202: serializers.AcceptedSerializer}, tags=["compute"],
    )
    def post(self, request: Request, instance_id: uuid.UUID) -> Response:
        """Change the power state."""
        actor, wait = actor_of(request), WaitQuery.read(request)["wait"]
        action = serializers.InstanceAction.read(request)["action"]
        return accepted(actor, power.power(actor=actor, instance_id=instance_id, action=action), wait)


def _created(actor: Actor, made: create.Created, wait: float) -> Response:
    operations, instances = wait_for(made.operations, wait), made.instances
    if any(now is not before for now, before in zip(operations, made.operations, strict=True)):
        # They were waited for, so they are not what they were.
        fresh = Instance.objects.in_bulk([instance.pk for instance in instances])
        instances = [fresh.get(instance.pk, instance) for instance in instances]
    tasks = {op.resource_id: (op.pk, op.kind) for op in operations if op.state in OPEN_VALUES}
    shown = [rendering.instance(actor, instance, tasks) for instance in instances]
    shown_operations = operation_serializers.operations(actor, operation_serializers.rows_of(operations))
    alone = len(shown) == 1
    content: dict[str, Any] = {
        "instance": shown[0] if alone else None, "operation": shown_operations[0] if alone else None,
        "instances": shown, "operations": shown_operations,
    }
    return Response(content, status=202, headers=_location(operations))


def accepted(actor: Actor, operation: Operation, wait: float, **more: Any) -> Response:
    """202 with the operation, as it is after so many seconds of waiting."""
    [operation] = wait_for([operation], wait)
    shown = {"operation": operation_serializers.operation(actor, operation), **more}
    return Response(shown, status=202, headers=_location([operation]))


def _location(operations: Sequence[Operation]) -> dict[str, str]:
    return {"Location": f"/api/v1/operations/{operations[0].pk}"} if operations else {}
