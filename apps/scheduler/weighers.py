"""Weighers: the higher, the better."""

import numpy as np
import numpy.typing as npt

from apps.placement.names import MEMORY_MB
from apps.scheduler.table import CLASSES, HostTable


def free_memory(table: HostTable) -> npt.NDArray[np.int64]:
    """Spread: the host with most free memory (MiB) first."""
    free: npt.NDArray[np.int64] = table.free[CLASSES.index(MEMORY_MB)]
    return free
