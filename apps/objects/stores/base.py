"""What a store must do. A blob is content under an id; it is written once and never changed.

A writer finishes (the bytes will survive a loss of power), then its caller commits the row that refers to them, then it
settles them. Whoever is killed between leaves unsettled content: `sort_out` finds it later, and asks the rows.
"""

import errno
import uuid
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Protocol

from apps.common.errors import Unavailable

CHUNK_BYTES = 256 * 1024
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Writer(Protocol):
    """One blob on its way in. After `settle`, `abort` or `leave` it is at its end."""

    blob_id: uuid.UUID

    def write(self, chunk: bytes) -> None:
        """Raises Unavailable `object.storage_full`, `object.storage`."""

    def finish(self) -> None:
        """On return the bytes are on the disk. Raises as `write`."""

    def settle(self) -> None:
        """The row is committed. What goes wrong here is logged: the content is read from where it is, and settled later."""

    def abort(self) -> None:
        """There will be no row: nothing of it stays."""

    def leave(self) -> None:
        """Nobody knows whether the row was committed: `sort_out` finds out later."""


class Reader(Protocol):
    """One blob, opened: it stays readable when the blob is removed, as far as the store can do that."""

    def seek(self, offset: int, /) -> object:
        """Go to this byte."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""

    def close(self) -> None:
        """To be called in any case."""


class Store(Protocol):
    """A place for blobs."""

    def receive(self, blob_id: uuid.UUID) -> Writer:
        """Begin a blob. Raises Unavailable."""

    def link(self, source: uuid.UUID, blob_id: uuid.UUID) -> Writer:
        """A finished blob with the content of another one, without reading it. Raises Unavailable, Missing."""

    def open(self, blob_id: uuid.UUID) -> Reader:
        """Raises Missing, Unavailable."""

    def size(self, blob_id: uuid.UUID) -> int | None:
        """Bytes; None if there is no such blob. Raises Unavailable."""

    def remove(self, blob_id: uuid.UUID) -> None:
        """What is not there is no error. Raises Unavailable."""

    def settle(self, blob_id: uuid.UUID) -> None:
        """Settle a blob that another process has written. Raises Missing, Unavailable."""

    def names(self, *, idle_s: float) -> Iterator[list[uuid.UUID]]:
        """All settled blobs that have been there for so long, in batches."""

    def sort_out(self, wanted: Callable[[uuid.UUID], bool], *, idle_s: float) -> tuple[int, int]:
        """Settle or remove what has had no writer for so long, as `wanted` says; (settled, removed)."""

    def free_bytes(self) -> int | None:
        """Room that is left; None if nobody knows."""


class Missing(Exception):
    """The store has no such blob."""


def failed(error: OSError) -> Unavailable:
    """What a file system says, as a refusal."""
    if error.errno in _FULL:
        return full()
    return Unavailable("object.storage", f"The object store cannot do this now: {error.strerror or error}.")


def full() -> Unavailable:
    """There is no room."""
    return Unavailable("object.storage_full", "The object store is full: free space on it, or try again later.")


class Kept:
    """`with Kept(writer):` whatever the block raises, the writer is at its end afterwards.

    A refusal removes what was written; any other error may have come while the row was being committed, so it is left.
    """

    def __init__(self, writer: Writer | None, refusals: tuple[type[BaseException], ...]) -> None:
        self._writer, self._refusals = writer, refusals

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._writer is None:
            return
        if kind is None:
            self._writer.settle()
        elif issubclass(kind, self._refusals):
            self._writer.abort()
        else:
            self._writer.leave()
