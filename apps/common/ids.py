"""Public ids: UUID version 7, so that order of id is order of creation and a keyset page needs no other index."""

import os
import time
import uuid
from datetime import datetime
from threading import Lock

_lock = Lock()
_last = 0


def new_id() -> uuid.UUID:
    """A UUIDv7 (RFC 9562): 48 bits of milliseconds, 12 bits of finer time, 62 random bits. Rising within a process."""
    global _last
    with _lock:
        # Sub-millisecond precision in rand_a (RFC 9562 method 3), and never the same or an earlier stamp twice.
        stamp = max(time.time_ns() * 4096 // 1_000_000, _last + 1)
        _last = stamp
    millis, fine = stamp >> 12, stamp & 0xFFF
    tail = int.from_bytes(os.urandom(8), "big") & ((1 << 62) - 1)
    return uuid.UUID(int=(millis & ((1 << 48) - 1)) << 80 | 7 << 76 | fine << 64 | 2 << 62 | tail)


def parse(text: str) -> uuid.UUID | None:
    """The id that a text is; None for a text that is none."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def first_at(moment: datetime, *, later_s: float = 0.0) -> uuid.UUID:
    """The lowest UUIDv7 of a moment, or of so many seconds later: ids made since are higher."""
    return uuid.UUID(int=max(0, int((moment.timestamp() + later_s) * 1000)) << 80)
