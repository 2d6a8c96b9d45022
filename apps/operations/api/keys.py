"""Idempotency keys: with one, a request that is sent twice is done once."""

import re

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from apps.common.errors import Invalid

_PRINTABLE = re.compile(r"[\x20-\x7e]{1,128}")
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key", str, OpenApiParameter.HEADER,
    description="1 to 128 printable characters. The same key with the same request is done once and answered alike.",
)


def idempotency_key(request: Request) -> str:
    """Empty if the client gave none. Raises Invalid `client_token.malformed`."""
    text = request.headers.get("Idempotency-Key")
    if text is not None and not _PRINTABLE.fullmatch(text):
        raise Invalid("client_token.malformed", "Idempotency-Key: expected 1 to 128 printable characters.", field="Idempotency-Key")
    return text or ""
