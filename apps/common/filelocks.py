"""Locks on files that are being written: the kernel lets go of them when their process dies, at whatever line.

So a file that can be locked has no writer any more, however young it is.
"""

import fcntl
import os
from pathlib import Path


def take(descriptor: int, path: Path) -> bool:
    """Lock the opened file for this process alone. False while somebody else has it, or if `path` is another file by now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return is_there(descriptor, path)


def is_there(descriptor: int, path: Path) -> bool:
    """Whether the opened file still is the one at `path`: it may have been removed between opening and locking."""
    try:
        named, opened = os.stat(path), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)


def sync_folder(folder: Path) -> None:
    """The names in `folder` survive a loss of power from now on. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
