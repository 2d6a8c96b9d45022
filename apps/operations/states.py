"""The life of an operation, as data."""

import enum

from apps.common.states import table


class OpState(enum.StrEnum):
    """QUEUED waits for a control-plane worker, SENT for a host, RUNNING was heard of, OVERDUE is being looked into."""

    QUEUED = "queued"
    SENT = "sent"
    RUNNING = "running"
    OVERDUE = "overdue"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


_CLOSED = (OpState.SUCCEEDED, OpState.FAILED, OpState.CANCELLED)
OPEN = (OpState.QUEUED, OpState.SENT, OpState.RUNNING, OpState.OVERDUE)

MACHINE = table(
    {
        OpState.QUEUED: [OpState.SENT, *_CLOSED],
        OpState.SENT: [OpState.SENT, OpState.QUEUED, OpState.RUNNING, OpState.OVERDUE, *_CLOSED],
        OpState.RUNNING: [OpState.RUNNING, OpState.SENT, OpState.QUEUED, OpState.OVERDUE, *_CLOSED],
        OpState.OVERDUE: [OpState.RUNNING, OpState.SENT, OpState.QUEUED, *_CLOSED],
        OpState.SUCCEEDED: [],
        OpState.FAILED: [],
        OpState.CANCELLED: [],
    }
)

OPEN_VALUES = [state.value for state in OPEN]
