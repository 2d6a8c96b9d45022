"""Rooms: a folder for each piece of work on an image, beside the content, so that a finished file is moved and not copied.

Whoever works in a room holds a lock on it, which the kernel lets go when the process dies at whatever line. So a room that can be
locked is nobody's any more, and what is in it may go.
"""

import contextlib
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from apps.common.errors import Unavailable


@contextlib.contextmanager
def room(operation_id: uuid.UUID, generation: int) -> Iterator[Path]:
    """An empty folder for this try, gone afterwards. Raises Unavailable `image.store`."""
    path = _root() / f"{operation_id}.{generation}"
    try:
        folder = _entered(path)
    except OSError as error:
        raise Unavailable("image.store", f"The image store cannot take this now: {error.strerror}.") from error
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(folder)


def clear() -> int:
    """Remove the rooms that nobody works in any more; returns how many those were."""
    count = 0
    for path in list(_root().glob("*.*")):
        with contextlib.suppress(OSError):
            folder = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
                count += 1
            finally:
                os.close(folder)
    return count


def _entered(path: Path) -> int:
    """Made and locked. Somebody who clears up may have come between the two."""
    while True:
        path.mkdir(parents=True, mode=0o700, exist_ok=True)
        folder = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(folder, fcntl.LOCK_EX)
        if os.fstat(folder).st_nlink:
            return folder
        os.close(folder)


def _root() -> Path:
    root: Path = settings.MEDIA_ROOT
    return root / "work"
