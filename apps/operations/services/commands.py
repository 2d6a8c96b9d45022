"""Commands: sealed for one host, good until the operation's deadline."""

from collections.abc import Sequence

import msgspec

from apps.common import keys
from apps.operations.models import Operation
from apps.operations.services import lifecycle
from apps.operations.services.lifecycle import Note
from apps.operations.states import OpState
from contracts import topics
from contracts.envelope import Envelope, Kind, pack


def address(operation: Operation, *, task: str, body: msgspec.Struct, step: str | None = None) -> None:
    """Fill in queue, task and sealed message of an operation whose host, step, generation and deadline are set."""
    operation.queue = topics.compute_queue(operation.host_name)
    operation.task = task
    envelope = Envelope(
        topic=task,
        host=str(operation.host_id),
        body=pack(body),
        operation_id=str(operation.pk),
        step=step or operation.step,
        generation=operation.generation,
        deadline=operation.deadline.timestamp(),
        request_id=operation.request_id,
    )
    operation.message = keys.control().seal(envelope, Kind.COMMAND)


def begin(operation: Operation, *, task: str, body: msgspec.Struct, notes: Sequence[Note] = ()) -> None:
    """Write a prepared operation whose first step is this command to its host, and send it after commit.

    Raises InvalidState `operation.in_progress`.
    """
    operation.state = OpState.SENT.value
    address(operation, task=task, body=body)
    lifecycle.insert([operation], notes)
    lifecycle.dispatch([operation])
