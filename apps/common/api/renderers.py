"""JSON by orjson, plain text, and DRF's browsable page."""

from collections.abc import Mapping
from typing import Any

import orjson
from rest_framework import serializers
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer

PROBLEM = "application/problem+json"


class JSON(BaseRenderer):
    """Renders plain data; bytes are taken as JSON that a hot list has made itself. Errors say what they are by their type."""

    media_type = "application/json"
    format = "json"
    charset: str | None = None

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None) -> bytes:
        if renderer_context and (response := renderer_context.get("response")) is not None and response.exception:
            response["Content-Type"] = PROBLEM
        if data is None:
            return b""
        return data if isinstance(data, bytes) else orjson.dumps(data, default=str, option=orjson.OPT_NON_STR_KEYS)


class PlainText(JSON):
    """For answers that have one text: its `text` as it is. Errors stay JSON."""

    media_type = "text/plain"
    format = "txt"
    charset = "utf-8"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None) -> bytes:
        if isinstance(data, dict) and isinstance(data.get("text"), str):
            return str(data["text"]).encode()
        return super().render(data, accepted_media_type, renderer_context)


class Browsable(BrowsableAPIRenderer):
    """The API as pages. Forms take raw JSON and start with the fields that the view declares in `bodies`."""

    def get_default_renderer(self, view: Any) -> BaseRenderer:
        return _Pretty()

    def get_context(self, data: Any, accepted_media_type: Any, renderer_context: Any) -> dict[str, Any]:
        # Colours for code samples, as an inline style, which our security policy forbids and no page of ours needs.
        return {**super().get_context(data, accepted_media_type, renderer_context), "code_style": ""}

    def get_raw_data_form(self, data: Any, view: Any, method: str, request: Any) -> Any:
        form = super().get_raw_data_form(data, view, method, request)
        body = getattr(view, "bodies", {}).get(method)
        if form and body is not None:
            form.fields["_content"].initial = orjson.dumps(_skeleton(body()), option=orjson.OPT_INDENT_2).decode()
        return form


class _Pretty(JSON):
    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None) -> bytes:
        if isinstance(data, bytes):
            data = orjson.loads(data)
        return orjson.dumps(data, default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS) if data is not None else b""


def _skeleton(body: "serializers.Serializer[Any]") -> dict[str, Any]:
    """The required fields, to be filled in."""
    return {name: "" if isinstance(field, serializers.CharField) else None for name, field in body.fields.items() if field.required}
