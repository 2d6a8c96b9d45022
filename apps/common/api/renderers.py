"""JSON by orjson, and DRF's browsable page."""

from collections.abc import Mapping
from typing import Any

import orjson
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer


class JSON(BaseRenderer):
    """Renders plain data; bytes are taken as JSON that a hot list has made itself."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None) -> bytes:
        if data is None:
            return b""
        if isinstance(data, bytes):
            return data
        indent = orjson.OPT_INDENT_2 if accepted_media_type and "indent" in accepted_media_type else 0
        return orjson.dumps(data, default=str, option=orjson.OPT_NON_STR_KEYS | indent)


class Browsable(BrowsableAPIRenderer):
    """The API as pages; lists that were rendered as bytes are shown as they are."""

    def get_default_renderer(self, view: Any) -> BaseRenderer:
        return _Pretty()

    def show_form_for_method(self, view: Any, method: str, request: Any, obj: Any) -> bool:
        return False if isinstance(obj, bytes) else super().show_form_for_method(view, method, request, obj)


class _Pretty(JSON):
    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None) -> bytes:
        if isinstance(data, bytes):
            data = orjson.loads(data)
        return orjson.dumps(data, default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS) if data is not None else b""
