"""Serving content in ranges (RFC 9110), in chunks, with constant memory."""

import re
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from apps.common.api import problems
from apps.images import store
from apps.images.models import Image

_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})")


@dataclass(frozen=True)
class _Part:
    first: int
    last: int


def respond(request: HttpRequest, image: Image) -> HttpResponseBase:
    """The content of an active image: 200, 206, 304, 404 (the file is gone) or 416."""
    path, size, etag = store.path_of(image.sha256), image.size_bytes or 0, f'"{image.sha256}"'
    if not path.is_file():
        return problems.refusal(404, "image.content_missing", "The content of this image is missing in the store.")
    if etag in [tag.strip() for tag in request.headers.get("If-None-Match", "").split(",")]:
        response: HttpResponseBase = HttpResponse(status=304)
        response["ETag"] = etag
        return response
    part = _wanted(request, etag, size)
    if part is None:
        response = problems.refusal(416, "image.range", f"The content has {size} bytes.", size=size)
        response["Content-Range"] = f"bytes */{size}"
        return response
    whole = part.last - part.first + 1 == size
    if request.method == "HEAD":
        response = HttpResponse(content_type="application/octet-stream")
    else:
        chunks = store.read(path, part.first, part.last)
        response = StreamingHttpResponse(chunks, status=200 if whole else 206, content_type="application/octet-stream")
        if not whole:
            response["Content-Range"] = f"bytes {part.first}-{part.last}/{size}"
    response["Content-Length"] = str(part.last - part.first + 1)
    response["Accept-Ranges"], response["ETag"] = "bytes", etag
    return response


def _wanted(request: HttpRequest, etag: str, size: int) -> _Part | None:
    """All of it, the one range that is asked for, or None if that lies outside. Several ranges are answered with all."""
    everything = _Part(0, size - 1)
    found = _RANGE.fullmatch(request.headers.get("Range", "").replace(" ", ""))
    if request.method == "HEAD" or found is None or request.headers.get("If-Range", etag).strip() != etag:
        return everything
    first, last = found.groups()
    if not first:
        if not last:
            return everything
        return _Part(max(0, size - int(last)), size - 1) if int(last) and size else None
    if last and int(last) < int(first):
        return everything  # not a range at all, so it is ignored
    if int(first) >= size:
        return None
    return _Part(int(first), min(int(last), size - 1) if last else size - 1)
