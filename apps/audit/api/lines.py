"""JSON lines: one record a line, oldest first, as many as there are, written while they are read."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import orjson

from apps.common.api.renderers import JSON

MEDIA_TYPE = "application/x-ndjson"


class JSONLines(JSON):
    """Makes the content type known; what answers in it is streamed and needs no renderer. Errors stay JSON."""

    media_type = MEDIA_TYPE
    format = "jsonl"


def encoded(pieces: Iterable[list[dict[str, Any]]], shape: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> Iterator[bytes]:
    """Each piece as whole lines."""
    for piece in pieces:
        yield b"".join(orjson.dumps(shape(row), default=str, option=orjson.OPT_APPEND_NEWLINE) for row in piece)
