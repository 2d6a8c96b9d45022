"""A directory that does not answer is not asked again at once, so that not every sign-in waits for it."""

import threading
import time

from apps.common.errors import Unavailable

PAUSE_S = 10.0
_lock = threading.Lock()
_until = 0.0


def check() -> None:
    """Raises Unavailable `directory.unavailable` within `PAUSE_S` after a failure; then one caller may try, and all others wait
    for how that ends."""
    global _until
    with _lock:
        now = time.monotonic()
        if now < _until:
            raise unavailable(_until - now)
        if _until:
            _until = now + PAUSE_S


def failed() -> None:
    """It did not answer."""
    global _until
    with _lock:
        _until = time.monotonic() + PAUSE_S


def answered() -> None:
    """It did."""
    global _until
    with _lock:
        _until = 0.0


def unavailable(wait_s: float = PAUSE_S) -> Unavailable:
    """What its users are told; details are for operators, in the log and in `manage.py doctor`."""
    return Unavailable(
        "directory.unavailable",
        "The directory that knows your password does not answer now; try again soon. Tokens that you have go on working.",
        retry_after_s=round(max(wait_s, 1.0), 1),
    )
