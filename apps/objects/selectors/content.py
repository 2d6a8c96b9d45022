"""The bytes of a version."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from django.db.models import F

from apps.common.errors import Unavailable
from apps.objects.models import Part, Version
from apps.objects.stores import store
from apps.objects.stores.base import CHUNK_BYTES, Missing, Reader

# What is not larger comes in one piece anyway.
WHOLE_BYTES = CHUNK_BYTES


@dataclass(frozen=True)
class _Piece:
    """`size` bytes of a blob, from byte `offset` of it."""

    blob_id: uuid.UUID
    offset: int
    size: int


class Content:
    """Bytes `first` to `last` (both included) of a version, in chunks of at most 256 KiB; to be closed."""

    def __init__(self, pieces: Sequence[_Piece]) -> None:
        self._pieces, self._position = pieces, 0
        self._reader: Reader | None = None
        self._left = 0
        self.size_bytes = sum(piece.size for piece in pieces)
        if pieces:
            self._open()

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.read(CHUNK_BYTES), b"")

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end. Raises Unavailable `object.content` if less is there than was promised."""
        while self._reader is not None:
            if self._left:
                chunk = self._reader.read(min(size, self._left))
                if not chunk:
                    raise _damaged()
                self._left -= len(chunk)
                return chunk
            self.close()
            self._position += 1
            if self._position < len(self._pieces):
                self._open()
        return b""

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _open(self) -> None:
        piece = self._pieces[self._position]
        try:
            self._reader = store().open(piece.blob_id)
        except Missing as error:
            raise _damaged() from error
        if piece.offset:
            self._reader.seek(piece.offset)
        self._left = piece.size


def open_content(version: Version, *, first: int = 0, last: int | None = None) -> Content:
    """Opened so far that what is missing is known before the first byte is sent.

    Raises Unavailable `object.content`, `object.replaced` (since it was looked for: what is there now is found by trying again).
    """
    end = version.size_bytes if last is None else min(last + 1, version.size_bytes)
    if first >= end:
        return Content([])
    if not version.parts_count:
        return Content([_Piece(version.pk, first, end - first)])
    rows = Part.objects.filter(held_by_id=version.pk, starts_at__lt=end, starts_at__gt=first - F("size_bytes"), size_bytes__gt=0).order_by("number")
    pieces = []
    for blob_id, starts_at, size in rows.values_list("blob_id", "starts_at", "size_bytes"):
        offset = max(first - (starts_at or 0), 0)
        pieces.append(_Piece(blob_id, offset, min(end - (starts_at or 0), size) - offset))
    if sum(piece.size for piece in pieces) != end - first:
        raise missing_parts(version)
    return Content(pieces)


def whole(content: Content) -> bytes:
    """All of it in memory, and closed: of what is small, so that servers need not be asked for every piece. Raises as `Content.read`."""
    with closing(content):
        return b"".join(content)


def missing_parts(version: Version) -> Unavailable:
    """The refusal where not all parts of a version are found."""
    if Version.objects.filter(pk=version.pk).exists():
        return _damaged()
    return Unavailable("object.replaced", "The object was replaced or deleted at this very moment: try again.")


def open_blob(blob_id: uuid.UUID, size_bytes: int) -> Content:
    """All of one blob. Raises Unavailable `object.content`."""
    return Content([_Piece(blob_id, 0, size_bytes)] if size_bytes else [])


def _damaged() -> Unavailable:
    return Unavailable("object.content", "The content of this object is not there as it should be; `object_scrub` tells more.")
