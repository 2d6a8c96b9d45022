"""JSON by orjson, never more than the settings allow."""

from collections.abc import Mapping
from typing import IO, Any

import orjson
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

# Deeper than anything we take, and shallow enough for whoever walks through it.
_DEEPEST = 32


class JSON(BaseParser):
    """Takes one JSON object. Raises ParseError (400 `request.malformed`) with the place of the fault, RequestDataTooBig (413)."""

    media_type = "application/json"

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        limit: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        raw = stream.read(limit + 1)
        if len(raw) > limit:
            raise RequestDataTooBig(f"The body has more than {limit} bytes.")
        try:
            data = orjson.loads(raw)
        except (orjson.JSONDecodeError, RecursionError) as error:
            raise ParseError(f"The body is not JSON: {error}") from error
        if not isinstance(data, dict):
            raise ParseError(f"Expected a JSON object, got {type(data).__name__}.")
        if raw.count(b"{") + raw.count(b"[") > _DEEPEST and _is_too_deep(data):
            raise ParseError(f"The body is nested more than {_DEEPEST} levels deep.")
        return data


def _is_too_deep(data: Any) -> bool:
    level = [data]
    for _ in range(_DEEPEST):
        level = [child for each in level for child in (each.values() if isinstance(each, dict) else each) if isinstance(child, dict | list)]
        if not level:
            return False
    return True


class Stream(BaseParser):
    """Leaves the body where it is: views of uploads read it piece by piece."""

    media_type = "application/octet-stream"

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        raise ParseError("This address takes the data itself; it has no fields.")
