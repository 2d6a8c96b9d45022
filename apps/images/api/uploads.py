"""The body of an upload, read piece by piece from the web server: never in memory or in a temporary file as a whole."""

from typing import Any, BinaryIO, cast

from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.request import Request

from apps.common.errors import Invalid

MEDIA_TYPE = "application/octet-stream"


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
