"""The sweep: sends again what was not answered, looks into what is overdue, prunes what is old."""

import logging
import uuid
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction

from apps.common import clock
from apps.common.sql import update_rows
from apps.operations.kinds import all_kinds, kind_of
from apps.operations.models import ClientToken, Operation, Rejection
from apps.operations.services import commands, lifecycle
from apps.operations.services.lifecycle import Note
from apps.operations.states import OPEN_VALUES, OpState

log = logging.getLogger(__name__)
# A resend waits twice as long each time, up to this.
_LONGEST_WAIT_S = 30.0


@dataclass(frozen=True)
class Swept:
    """How many operations were sent again and looked into."""

    resent: int
    overdue: int


@transaction.atomic
def sweep(*, most: int = 200) -> Swept:
    """One round over what is due. Several sweepers share the work (SKIP LOCKED on PostgreSQL)."""
    skip = connection.features.has_select_for_update_skip_locked
    due = list(
        Operation.objects.select_for_update(skip_locked=skip)
        .filter(state__in=OPEN_VALUES, next_at__lte=clock.now()).order_by("next_at")[:most]
    )
    now = clock.now()
    late = [operation for operation in due if operation.deadline <= now]
    waiting = [operation for operation in due if operation.deadline > now]
    resend(waiting)
    for operation in late:
        _look_into_alone(operation)
    return Swept(len(waiting), len(late))


def resend(operations: list[Operation]) -> None:
    """Send the stored messages of locked operations again."""
    now = clock.now()
    for operation in operations:
        operation.resends += 1
        wait_s = min(settings.ENV.resend_s * 2 ** min(operation.resends, 16), _LONGEST_WAIT_S)
        operation.next_at = min(operation.deadline, now + timedelta(seconds=wait_s))
    update_rows(operations, ["resends", "next_at"])
    lifecycle.write(Note(operation.pk, "sweep", "sent again", f"{operation.resends}.") for operation in operations)
    lifecycle.dispatch(operations)


@transaction.atomic
def resend_of_host(host_id: uuid.UUID) -> None:
    """A host's agent has just started: whatever it was told before may be forgotten."""
    resend(list(Operation.objects.select_for_update().filter(host_id=host_id, state__in=OPEN_VALUES).order_by("pk")))


@transaction.atomic
def hosts_are_down(host_ids: list[uuid.UUID]) -> None:
    """Do not wait for the deadlines of what runs on hosts that fell silent."""
    now = clock.now()
    rows = Operation.objects.select_for_update().filter(host_id__in=host_ids, state__in=OPEN_VALUES).order_by("pk")
    Operation.objects.filter(pk__in=[row.pk for row in rows]).update(deadline=now, next_at=now)


def _look_into_alone(operation: Operation) -> None:
    """One that cannot be looked into must not keep all others waiting for ever."""
    try:
        with transaction.atomic():
            look_into(operation)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        log.exception("operation %s (%s) cannot be looked into", operation.pk, operation.kind)
        Operation.objects.filter(pk=operation.pk).update(next_at=clock.after(_LONGEST_WAIT_S))


def look_into(operation: Operation) -> None:
    """A locked operation is past its deadline: ask the host what is true; if that was done already, take the way out."""
    handler = kind_of(operation.kind).handler
    question = None if operation.state == OpState.OVERDUE or operation.host_id is None else handler.observe(operation)
    if question is None or clock.now() >= lifecycle.last_deadline(operation):
        handler.unanswered(operation)
        return
    task, body = question
    now = clock.now()
    operation.state, operation.resends = OpState.OVERDUE.value, 0
    operation.deadline = now + timedelta(seconds=settings.ENV.observe_timeout_s)
    operation.next_at = min(operation.deadline, now + timedelta(seconds=settings.ENV.resend_s))
    commands.address(operation, task=task, body=body, step="observe")
    operation.save(update_fields=["state", "resends", "deadline", "next_at", "queue", "task", "message"])
    lifecycle.write([Note(operation.pk, "sweep", "overdue", f"asking {operation.host_name} what is true")])
    lifecycle.dispatch([operation])


def look_into_if_late(operation: Operation) -> None:
    """The same for one that an operator points at: only if it is open and past its deadline."""
    if operation.state in OPEN_VALUES and operation.deadline <= clock.now():
        look_into(operation)


def prune() -> int:
    """Delete closed operations (with their events), client tokens and rejections that are past their keeping time."""
    now = clock.now()
    old = now - timedelta(days=settings.ENV.events_days)
    count = Operation.objects.filter(finished_at__lt=old).delete()[0]
    for kind in all_kinds():
        if kind.keep_s is not None:
            gone = now - timedelta(seconds=kind.keep_s)
            count += Operation.objects.filter(kind=kind.name, finished_at__lt=gone).delete()[0]
    count += ClientToken.objects.filter(created_at__lt=now - timedelta(days=1)).delete()[0]
    return count + Rejection.objects.filter(at__lt=old).delete()[0]
