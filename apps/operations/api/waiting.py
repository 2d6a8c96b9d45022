"""Long polls. Each holds a thread of the web process, so only half of them may wait at once.

Were all of them to wait for builds, no host could fetch an image, and none of the builds would end.
"""

import threading
import time
from collections.abc import Sequence

from django.conf import settings

from apps.operations import selectors
from apps.operations.models import Operation
from apps.operations.states import OPEN_VALUES

_slots = threading.BoundedSemaphore(max(1, settings.ENV.web_threads // 2))


def wait_for(operations: Sequence[Operation], seconds: float) -> list[Operation]:
    """The operations as they are when all are closed, or after so many seconds; at once if too many wait already."""
    waiting = [operation for operation in operations if operation.state in OPEN_VALUES]
    if seconds <= 0 or not waiting or not _slots.acquire(blocking=False):
        return list(operations)
    try:
        ends = time.monotonic() + seconds
        fresh = {each.pk: selectors.wait(operation_id=each.pk, seconds=max(0.0, ends - time.monotonic())) for each in waiting}
    finally:
        _slots.release()
    return [fresh.get(operation.pk, operation) for operation in operations]
