"""The body of an upload, read piece by piece from the web server: never in memory or in a temporary file as a whole."""

import re
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.request import Request

from apps.common.errors import Invalid

MEDIA_TYPE = "application/octet-stream"
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")
_NUMBER = re.compile(r"\d{1,18}")


@dataclass(frozen=True)
class Piece:
    """Where in the file the body is; `total`: how long the file is, if that is said."""

    offset: int
    length: int
    total: int | None


def body_of(request: Request) -> BinaryIO:
    """A stream that ends where the body ends, and raises Invalid `image.incomplete` if the client went away before.

    Raises UnsupportedMediaType. Chunked bodies were refused by the middleware: the web server gives the body of a client that
    went away the same end as a whole one, and half an image must not become active.
    """
    django_request = request._request
    if (content_type := django_request.content_type or "") not in ("", MEDIA_TYPE):
        raise UnsupportedMediaType(content_type)
    return cast(BinaryIO, _Measured(django_request, size_of(request)))


def size_of(request: Request) -> int:
    """How many bytes the body has."""
    length = request._request.META.get("CONTENT_LENGTH") or "0"
    return int(length) if length.isdecimal() else 0


def piece_of(request: Request) -> Piece:
    """By `Content-Range`, or by `Upload-Offset` and `Upload-Length`; without them the body is the file. Raises Invalid `image.range`."""
    length, given = size_of(request), request.headers.get("Content-Range", "").strip()
    if given:
        found = _RANGE.fullmatch(given)
        if found is None:
            raise _wrong("Content-Range", "expected bytes FIRST-LAST/TOTAL, or * for a total that is not known yet")
        first, last = int(found[1]), int(found[2])
        if last - first + 1 != length:
            raise _wrong("Content-Range", f"it does not fit a body of {length} bytes")
        return Piece(first, length, None if found[3] == "*" else int(found[3]))
    offset, total = _number(request, "Upload-Offset"), _number(request, "Upload-Length")
    if offset is None:
        return Piece(0, length, length if total is None else total)
    return Piece(offset, length, total)


def _number(request: Request, header: str) -> int | None:
    text = request.headers.get(header, "").strip()
    if text and not _NUMBER.fullmatch(text):
        raise _wrong(header, "expected a number of bytes")
    return int(text) if text else None


def _wrong(header: str, why: str) -> Invalid:
    return Invalid("image.range", f"{header}: {why}.", field=header)


class _Measured:
    def __init__(self, source: Any, length: int) -> None:
        self._source = source
        self._left = length

    def read(self, size: int) -> bytes:
        if not self._left:
            return b""
        try:
            chunk: bytes = self._source.read(min(size, self._left))
        except OSError as error:
            raise Invalid("image.incomplete", f"The upload broke off: {error}.") from error
        if not chunk:
            raise Invalid("image.incomplete", f"The upload broke off: {self._left} bytes are missing.", missing=self._left)
        self._left -= len(chunk)
        return chunk
