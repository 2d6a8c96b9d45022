"""What comes in, checked: bodies and query parameters. What is not declared is refused, so a typing error shows."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from apps.common.api.pagination import DEFAULT_LIMIT, MAX_LIMIT


class Input(serializers.Serializer[Any]):
    """A JSON object in which every field is declared."""

    def to_internal_value(self, data: Any) -> Any:
        unknown = sorted(set(data) - set(self.fields)) if isinstance(data, Mapping) else []
        if unknown:
            known = ", ".join(self.fields) or "none"
            text = f"there is no such field; known are: {known}"
            raise serializers.ValidationError({name[:100]: [text] for name in unknown[:20]}, code="unknown_field")
        return super().to_internal_value(data)

    @classmethod
    def read(cls, request: Request) -> dict[str, Any]:
        """The checked body. Raises ValidationError."""
        checked: dict[str, Any] = _shared(cls).run_validation(request.data)
        return checked


class Query(Input):
    """The parameters of an address. `format` is DRF's (`?format=json` in a browser)."""

    @classmethod
    def read(cls, request: Request) -> dict[str, Any]:
        given = {name: value for name, value in request.query_params.items() if name != "format"}
        if not given and not _has_defaults(cls):
            return {}
        checked: dict[str, Any] = _shared(cls).run_validation(given)
        return checked


class PageQuery(Query):
    """Parameters of every list; `apps.common.api.pagination` reads the two."""

    limit = serializers.IntegerField(
        min_value=1, max_value=MAX_LIMIT, required=False, help_text=f"Most items in the answer (default {DEFAULT_LIMIT})."
    )
    after = serializers.CharField(
        max_length=64, required=False, help_text="Id of the last item of the page before; taken from `next`."
    )


class NoQuery(Query):
    """An address without parameters."""


@cache
def _shared(cls: type[Input]) -> Input:
    # Validation keeps nothing in the serializer, so one instance serves all requests; making one copies every field.
    return cls()


@cache
def _has_defaults(cls: type[Query]) -> bool:
    return any(field.required or field.default is not serializers.empty for field in _shared(cls).fields.values())


__all__ = ["Input", "NoQuery", "PageQuery", "Query"]
