"""JSON by orjson, never more than the settings allow."""

from collections.abc import Mapping
from typing import Any, BinaryIO

import orjson
from django.conf import settings
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from apps.common.errors import Invalid


class JSON(BaseParser):
    """Takes one JSON object. Raises ParseError (400 `request.malformed`) with the place of the fault."""

    media_type = "application/json"

    def parse(self, stream: BinaryIO, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        limit: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        raw = stream.read(limit + 1)
        if len(raw) > limit:
            raise Invalid("request.too_large", f"The body has more than {limit} bytes.", limit=limit)
        try:
            data = orjson.loads(raw)
        except (orjson.JSONDecodeError, RecursionError) as error:
            raise ParseError(f"The body is not JSON: {error}") from error
        if not isinstance(data, dict):
            raise ParseError(f"Expected a JSON object, got {type(data).__name__}.")
        return data
