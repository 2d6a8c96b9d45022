"""The first thing that a request meets: an id for it, and a limit on its size."""

import re
import uuid
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from apps.common import context
from apps.common.api import problems

_SAFE = re.compile(r"[A-Za-z0-9._-]{1,64}")
# These views read their body as a stream and keep their own limit.
_STREAMED = re.compile(r"^/api/v1/images/[^/]+/(file|content|saved)$")


class RequestContext:
    """Binds the request id (taken from `X-Request-Id` if it is harmless) and answers it; refuses bodies that are too big."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-Id", "")
        request_id = given if _SAFE.fullmatch(given) else f"req-{uuid.uuid4().hex}"
        token = context.request_id.set(request_id)
        try:
            response = _refused(request) or self.get_response(request)
        finally:
            context.request_id.reset(token)
        response["X-Request-Id"] = request_id
        return response


def _refused(request: HttpRequest) -> HttpResponse | None:
    if "\x00" in request.path:
        return problems.not_found(request)  # no name holds it, and PostgreSQL takes no text that does
    length = request.META.get("CONTENT_LENGTH") or ""
    if not length and request.headers.get("Transfer-Encoding"):
        # Django would take it for an empty body, and where a chunked one breaks off nobody could tell.
        return problems.refusal(411, "request.length", "Send a Content-Length; chunked bodies are not taken.")
    if _STREAMED.match(request.path):
        return None
    limit: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if not length.isdecimal() or int(length) <= limit:
        return None
    detail = f"The body has {length} bytes; at most {limit} are taken."
    return problems.refusal(413, "request.too_large", detail, limit=limit)
