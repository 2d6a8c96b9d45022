"""Reads of operations, scoped to the actor's project."""

import time
import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from django.db.models import Count, QuerySet

from apps.common.context import Actor
from apps.common.errors import NotFound
from apps.common.ids import first_at
from apps.identity import policy
from apps.operations.models import Lease, Operation, OperationEvent, Rejection
from apps.operations.states import OPEN_VALUES, OpState


def operations(
    *, actor: Actor, all_projects: bool = False, permission: str = "operations.operation.list"
) -> "QuerySet[Operation]":
    """What this actor may see: the project's; operators may ask for all. Messages stay in the database."""
    policy.require(actor, permission)
    rows = Operation.objects.defer("message", "result")
    if all_projects and policy.everywhere(actor, permission):
        return rows
    return rows.filter(project_id=actor.project_id)


def operation(*, actor: Actor, operation_id: uuid.UUID) -> Operation:
    """Raises Forbidden, NotFound."""
    found = operations(actor=actor, all_projects=True, permission="operations.operation.get").filter(pk=operation_id).first()
    if found is None:
        raise NotFound("operation.not_found", f"There is no operation {operation_id} in this project.")
    return found


def events(*, operation_id: uuid.UUID) -> "QuerySet[OperationEvent]":
    """The timeline of one operation, oldest first."""
    return OperationEvent.objects.filter(operation_id=operation_id).order_by("id")


def events_of(operation_ids: Sequence[uuid.UUID]) -> "QuerySet[OperationEvent]":
    """The timelines of several operations in one, oldest first."""
    return OperationEvent.objects.filter(operation_id__in=operation_ids).order_by("at", "id")


def of_resource(resource_id: uuid.UUID) -> "QuerySet[Operation]":
    """All operations of one resource, newest first."""
    return Operation.objects.defer("message", "result").filter(resource_id=resource_id).order_by("-pk")


def of_kind(*, kind: str, resource_ids: Sequence[uuid.UUID]) -> "QuerySet[Operation]":
    """The operations of one kind on these resources."""
    return Operation.objects.filter(resource_id__in=resource_ids, kind=kind)


def open_kinds(resource_ids: list[uuid.UUID] | None = None) -> dict[uuid.UUID, str]:
    """Resource id → kind of its open operation; without ids those of all resources."""
    rows = Operation.objects.filter(state__in=OPEN_VALUES)
    if resource_ids is not None:
        rows = rows.filter(resource_id__in=resource_ids)
    return dict(rows.values_list("resource_id", "kind"))


def open_by_host(task: str) -> dict[uuid.UUID, int]:
    """Host id → how many open operations have sent it this command."""
    rows = Operation.objects.filter(state__in=OPEN_VALUES, host_id__isnull=False, task=task)
    return dict(rows.values_list("host_id").annotate(Count("pk")).order_by())


def failed_by_host(moment: datetime) -> dict[uuid.UUID, int]:
    """Host id → how often operations that began after this moment had to try elsewhere because of it."""
    found: Counter[uuid.UUID] = Counter()
    rows = Operation.objects.filter(pk__gte=first_at(moment), attempt__gt=1).exclude(excluded_hosts=[])
    for excluded, state, host_id in rows.values_list("excluded_hosts", "state", "host_id"):
        found.update(map(uuid.UUID, excluded))
        if state == OpState.FAILED.value and host_id is not None:
            found[host_id] += 1
    return dict(found)


def open_resources(resource_type: str) -> set[uuid.UUID]:
    """Resources of this type that are being worked on."""
    rows = Operation.objects.filter(resource_type=resource_type, state__in=OPEN_VALUES)
    return set(rows.values_list("resource_id", flat=True))


def overdue_since(moment: datetime) -> list[Operation]:
    """Open operations whose deadline was before this moment."""
    rows = Operation.objects.defer("message", "result").filter(state__in=OPEN_VALUES, deadline__lt=moment)
    return list(rows.order_by("deadline"))


def finished_since(resource_ids: list[uuid.UUID], moment: datetime) -> set[uuid.UUID]:
    """Of these resources, those of which an operation ended after this moment."""
    ended = Operation.objects.filter(resource_id__in=resource_ids, finished_at__gte=moment)
    return set(ended.values_list("resource_id", flat=True))


def open_within(*, first: uuid.UUID, last: uuid.UUID, project_id: uuid.UUID | None = None) -> dict[uuid.UUID, tuple[uuid.UUID, str]]:
    """Resource id → (operation id, kind) of the open operations on resources with ids from `first` to `last`.

    For a page of a list, whose ids are a range: two parameters however long the page is.
    """
    rows = Operation.objects.filter(resource_id__range=(first, last), state__in=OPEN_VALUES)
    if project_id is not None:
        rows = rows.filter(project_id=project_id)
    return {resource_id: (pk, kind) for resource_id, pk, kind in rows.values_list("resource_id", "pk", "kind")}


def leases() -> dict[str, datetime]:
    """Until when each periodic duty is somebody's."""
    return dict(Lease.objects.values_list("name", "until"))


def refused_since(moment: datetime) -> list[tuple[str, str, int]]:
    """(code, host, count) of the reports that were refused after this moment."""
    rows = Rejection.objects.filter(at__gte=moment).values_list("code", "host_name").annotate(Count("pk"))
    return list(rows.order_by("code", "host_name"))


def rejections(*, actor: Actor) -> "QuerySet[Rejection]":
    """Refused reports. Raises Forbidden."""
    policy.require(actor, "operations.queue.get")
    return Rejection.objects.all()


def wait(*, operation_id: uuid.UUID, seconds: float) -> Operation:
    """Wait until the operation is closed, at most so long; returns it as it then is. Never inside a transaction."""
    ends = time.monotonic() + seconds
    pause = 0.005
    while True:
        found = Operation.objects.get(pk=operation_id)
        if found.state not in OPEN_VALUES or time.monotonic() >= ends:
            return found
        time.sleep(min(pause, max(0.0, ends - time.monotonic())))
        pause = min(pause * 1.5, 0.25)
