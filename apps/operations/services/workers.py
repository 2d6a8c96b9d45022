"""Steps that take long and that a worker of the control plane carries out itself: taken, kept alive, put back, ended.

The row says who may go on: every take raises the operation's generation, and whoever has another one has lost it. A worker is
alive as long as it keeps pushing the deadline before itself; past the deadline the kind's handler decides, as with hosts.
"""

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction

from apps.common import clock
from apps.operations.models import Operation
from apps.operations.services import lifecycle
from apps.operations.services.lifecycle import Note
from apps.operations.states import OpState

SOURCE = "worker"
# Of what waits, so many are looked at for whose turn it is.
_LOOKED_AT = 500
# What one worker knows to wait is not sent again for so long.
_KNOWN_S = 300.0


class Lost(Exception):
    """The operation is not this worker's any more: it was ended, or given to another one."""


@dataclass(frozen=True)
class Turn:
    """An operation that this worker has taken. `message`: as it was given to `begin`. `started_at`: of the first try."""

    operation_id: uuid.UUID
    kind: str
    resource_id: uuid.UUID
    project_id: uuid.UUID | None
    generation: int
    attempt: int
    message: str
    started_at: datetime


def begin(operation: Operation, *, queue: str, task: str, message: str, notes: Sequence[Note] = ()) -> None:
    """Write a prepared operation that waits for a worker, and tell workers after commit. Raises InvalidState `operation.in_progress`."""
    operation.queue, operation.task, operation.message = queue, task, message
    lifecycle.insert([operation], notes)
    lifecycle.dispatch([operation])


def take(*, queue: str, silent_s: float, rank: Callable[[uuid.UUID | None], float]) -> Turn | None:
    """The next operation that waits in this queue, now ours; None if there is none.

    `rank`: of a project; the lowest comes first, and of a project the oldest operation.
    """
    waiting = list(
        Operation.objects.filter(queue=queue, state=OpState.QUEUED.value, next_at__isnull=False)
        .order_by("pk").values_list("pk", "project_id")[:_LOOKED_AT]
    )
    for pk, _ in sorted(waiting, key=lambda row: (rank(row[1]), row[0])):
        if (turn := _take(pk, silent_s)) is not None:
            return turn
    return None


@transaction.atomic
def _take(operation_id: uuid.UUID, silent_s: float) -> Turn | None:
    skip = connection.features.has_select_for_update_skip_locked
    operation = (
        Operation.objects.select_for_update(skip_locked=skip).filter(pk=operation_id, state=OpState.QUEUED.value).first()
    )
    if operation is None:
        return None
    lifecycle.advance(operation, step=operation.step, state=OpState.SENT, generation=operation.generation + 1)
    operation.state = OpState.RUNNING.value
    operation.deadline = operation.next_at = clock.after(silent_s)
    lifecycle.save_all([operation])
    lifecycle.write([Note(operation.pk, SOURCE, "started", f"try {operation.attempt}" if operation.attempt > 1 else "")])
    assert operation.started_at is not None
    return Turn(
        operation.pk, operation.kind, operation.resource_id, operation.project_id, operation.generation, operation.attempt,
        operation.message, operation.started_at,
    )


def alive(turn: Turn, *, silent_s: float) -> None:
    """This worker is at it. Raises Lost."""
    until = clock.after(silent_s)
    rows = Operation.objects.filter(pk=turn.operation_id, state=OpState.RUNNING.value, generation=turn.generation)
    if not rows.update(deadline=until, next_at=until):
        raise Lost


def lock(turn: Turn) -> Operation:
    """The operation, locked by the caller's transaction, and still ours. Raises Lost."""
    rows = Operation.objects.select_for_update().filter(pk=turn.operation_id, state=OpState.RUNNING.value)
    operation = rows.filter(generation=turn.generation).first()
    if operation is None:
        raise Lost
    return operation


@transaction.atomic
def put_back(turn: Turn, why: str) -> None:
    """Another worker is to do it, from the start; this does not count as a try. Raises Lost."""
    again(lock(turn), why, counts=False)


def again(operation: Operation, why: str, *, counts: bool = True) -> None:
    """Let a locked operation wait for a worker once more."""
    lifecycle.advance(operation, step=operation.step, state=OpState.QUEUED, attempt=operation.attempt + counts)
    lifecycle.save_all([operation])
    lifecycle.write([Note(operation.pk, SOURCE, "waiting", why)])
    lifecycle.dispatch([operation])


def known(operation_ids: Iterable[uuid.UUID]) -> None:
    """A worker that is busy knows of these: they need not be sent again soon."""
    later = clock.now() + timedelta(seconds=_KNOWN_S)
    Operation.objects.filter(pk__in=list(operation_ids), state=OpState.QUEUED.value, deadline__gt=later).update(next_at=later)


def note(turn: Turn, name: str, detail: str = "", took_ms: float | None = None) -> None:
    """A line of the timeline."""
    lifecycle.write([Note(turn.operation_id, SOURCE, name, detail, took_ms)])
