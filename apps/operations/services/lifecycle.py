"""The only code that opens, moves and closes operations. All of it runs inside the caller's transaction."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from apps.common import bus, clock, states
from apps.common.context import Actor
from apps.common.errors import CloudError, InvalidState
from apps.common.sql import insert_rows, update_rows
from apps.operations.kinds import Kind, kind_of
from apps.operations.models import Operation, OperationEvent
from apps.operations.states import MACHINE, OPEN_VALUES, OpState

# An operation that the host keeps calling "under way" ends after so many times its timeouts.
_PATIENCE = 3


@dataclass(frozen=True)
class Note:
    """A timeline entry to be written."""

    operation_id: uuid.UUID
    source: str
    name: str
    detail: str = ""
    took_ms: float | None = None
    at: datetime | None = None


def prepare(
    *, actor: Actor, kind: str, resource_id: uuid.UUID, project_id: uuid.UUID | None, generation: int = 0,
    host_id: uuid.UUID | None = None, host_name: str = "",
) -> Operation:
    """An unsaved operation at its first step, to be filled with its message and given to `insert`."""
    declared = kind_of(kind)
    now = clock.now()
    operation = Operation(
        kind=kind, resource_type=declared.resource_type, resource_id=resource_id, project_id=project_id,
        user_id=actor.user_id, user_name=actor.user_name, request_id=actor.request_id, generation=generation,
        host_id=host_id, host_name=host_name, created_at=now, step=declared.steps[0].name,
    )
    _time_limits(operation, declared, now)
    return operation


def insert(operations: Sequence[Operation], notes: Iterable[Note] = ()) -> None:
    """Write new operations. Raises InvalidState `operation.in_progress` if one of the resources has an open one."""
    try:
        with transaction.atomic():
            insert_rows(operations)
    except IntegrityError:
        taken = {operation.resource_id for operation in operations}
        other = Operation.objects.filter(resource_id__in=taken, state__in=OPEN_VALUES).first()
        if other is None:
            raise
        raise InvalidState(
            "operation.in_progress", f"Another operation is under way: {other.kind} ({other.state}).",
            operation_id=str(other.pk), operation=other.kind, state=other.state,
        ) from None
    write(notes)


def insert_new(operations: Sequence[Operation], notes: Iterable[Note] = ()) -> None:
    """`insert` for resources that this very transaction makes: nobody else can have an operation on them, so no savepoint."""
    insert_rows(operations)
    write(notes)


def advance(operation: Operation, *, step: str, state: OpState, **changes: Any) -> None:
    """Put a locked operation at `step` with a fresh deadline and resend clock; its message must be set by the caller.

    The caller saves it: one at a time by `save`, many by `save_all`.
    """
    if state not in MACHINE[operation.state]:
        raise InvalidState("operation.state", f"An operation that is {operation.state} cannot become {state}.")
    operation.step, operation.state, operation.resends = step, state.value, 0
    for name, value in changes.items():
        setattr(operation, name, value)
    now = clock.now()
    operation.started_at = operation.started_at or now
    _time_limits(operation, kind_of(operation.kind), now)


_MOVED = (
    "step", "state", "resends", "started_at", "deadline", "next_at", "attempt", "generation", "host_id", "host_name",
    "excluded_hosts", "queue", "task", "message", "error",
)


def save_all(operations: Sequence[Operation]) -> None:
    """Write operations that `advance` moved (they are locked by this transaction)."""
    update_rows(operations, _MOVED)


def succeed(operations: Sequence[Operation], result: Any = None) -> None:
    """Close as succeeded."""
    _close(operations, OpState.SUCCEEDED, result=result)


def fail(operation: Operation, error: CloudError) -> None:
    """Close as failed, with the reason."""
    _close([operation], OpState.FAILED, error=error.as_dict())


def cancel(operation: Operation, error: CloudError) -> None:
    """Close because something else took its place."""
    _close([operation], OpState.CANCELLED, error=error.as_dict())


def _close(operations: Sequence[Operation], state: OpState, **changes: Any) -> None:
    rows = Operation.objects.filter(pk__in=[operation.pk for operation in operations])
    # The message holds signed URLs and user data: not kept once nobody needs it again.
    states.move(rows, MACHINE, state, finished_at=clock.now(), next_at=None, message="", **changes)


def write(notes: Iterable[Note]) -> None:
    """Append to timelines."""
    now = clock.now()
    insert_rows(
        [
            OperationEvent(
                operation_id=note.operation_id, at=note.at or now, source=note.source, name=note.name[:64],
                detail=note.detail, took_ms=note.took_ms,
            )
            for note in notes
        ]
    )


def progress(operation: Operation, percent: int) -> None:
    """So much of a locked operation's step is done: a timeline entry for every tenth."""
    told = f"{min(max(percent, 0), 100) // 10 * 10} %"
    if told != "0 %" and not OperationEvent.objects.filter(operation_id=operation.pk, name="progress", detail=told).exists():
        write([Note(operation.pk, "host", "progress", told)])


def lock_open(resource_id: uuid.UUID) -> Operation | None:
    """The open operation of a resource, locked; None if there is none."""
    return Operation.objects.select_for_update().filter(resource_id=resource_id, state__in=OPEN_VALUES).first()


def lock(ids: Iterable[uuid.UUID | str]) -> list[Operation]:
    """Those operations, locked, in the order of their ids (which is the lock order); their messages stay where they are."""
    return list(Operation.objects.select_for_update().filter(pk__in=set(ids)).order_by("pk").defer("message"))


def dispatch(operations: Iterable[Operation]) -> None:
    """Send the messages of these operations after commit; those of one queue and task travel together."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for operation in operations:
        grouped.setdefault((operation.queue, operation.task), []).append(operation.message)
    bus.send_after_commit(bus.Message(queue, task, tuple(items)) for (queue, task), items in grouped.items())


def _time_limits(operation: Operation, kind: Kind, now: datetime) -> None:
    step = kind.step(operation.step)
    operation.deadline = now + timedelta(seconds=getattr(settings.ENV, step.timeout))
    operation.next_at = min(operation.deadline, now + timedelta(seconds=settings.ENV.resend_s))


def last_deadline(operation: Operation) -> datetime:
    """When an operation ends at the latest, even if its host goes on calling it under way."""
    kind = kind_of(operation.kind)
    allowed_s = sum(getattr(settings.ENV, step.timeout) for step in kind.steps) * _PATIENCE * kind.max_attempts
    return operation.created_at + timedelta(seconds=allowed_s)


def still_running(operations: Sequence[Operation]) -> None:
    """The host is at it: wait for another timeout of this step, but not past the last deadline."""
    now = clock.now()
    for operation in operations:
        operation.state = OpState.RUNNING.value
        _time_limits(operation, kind_of(operation.kind), now)
        operation.deadline = min(operation.deadline, last_deadline(operation))
        # The command is there: sending it again can wait until the deadline.
        operation.next_at = operation.deadline
    update_rows(operations, ["state", "deadline", "next_at"])
