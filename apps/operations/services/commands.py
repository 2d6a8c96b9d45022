"""Commands: sealed for one host, good until the operation's deadline."""

import msgspec

from apps.common import keys
from apps.operations.models import Operation
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
