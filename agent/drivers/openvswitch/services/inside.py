"""Work inside a network namespace, in a thread that lives for that work only."""

import ctypes
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

NAMESPACES = Path("/run/netns")
_CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
T = TypeVar("T")


def inside(namespace: str, work: Callable[[], T]) -> T:
    """What `work` returns or raises; sockets that it opens stay in the namespace. OSError if there is none."""
    result: list[T] = []
    raised: list[BaseException] = []

    def body() -> None:
        try:
            _enter(namespace)
            result.append(work())
        except BaseException as error:
            raised.append(error)

    # A thread that has changed its namespace is never used for anything else.
    thread = threading.Thread(target=body, name=f"inside-{namespace}", daemon=True)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
    return result[0]


def identity(namespace: str) -> int:
    """A number that changes when the namespace is made anew. Raises OSError if there is none."""
    return (NAMESPACES / namespace).stat().st_ino


def _enter(namespace: str) -> None:
    descriptor = os.open(NAMESPACES / namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(descriptor, _CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(NAMESPACES / namespace))
    finally:
        os.close(descriptor)
