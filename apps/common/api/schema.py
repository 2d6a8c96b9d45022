"""OpenAPI: every operation documents the same error shape, and every list the same page."""

from functools import cache
from typing import Any, Literal

from drf_spectacular.openapi import AutoSchema as SpectacularSchema
from drf_spectacular.utils import OpenApiResponse, inline_serializer
from rest_framework import serializers


class Fault(serializers.Serializer[Any]):
    """One thing that is wrong with the input."""

    field = serializers.CharField()
    code = serializers.CharField()
    message = serializers.CharField()


class Problem(serializers.Serializer[Any]):
    """application/problem+json (RFC 9457), with a stable `code`."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField(help_text="Stable; made for programs.")
    detail = serializers.CharField(help_text="For people.")
    field = serializers.CharField(required=False, help_text="The input at fault, as a dotted path.")
    errors = Fault(  # type: ignore[assignment]
        many=True, required=False, help_text="All that is wrong with the input; `code` and `field` are the first's."
    )
    request_id = serializers.CharField()


class AutoSchema(SpectacularSchema):
    """Adds the `default` answer, a problem, and `x-permission`: what one must be allowed to do."""

    def get_extensions(self) -> dict[str, Any]:
        permission = getattr(self.view, "permissions", {}).get(self.method)
        return {**super().get_extensions(), **({} if permission is None else {"x-permission": permission})}

    def _get_response_bodies(self, direction: Literal["request", "response"] = "response") -> Any:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        problem = self._get_response_for_code(  # type: ignore[no-untyped-call]
            OpenApiResponse(Problem, description="Refused, and why."), "default", media_types=["application/problem+json"]
        )
        return {**bodies, "default": problem}


@cache
def paged(item: "type[serializers.Serializer[Any]]") -> "serializers.Serializer[Any]":
    """The shape of a page of such items, for the documentation."""
    return inline_serializer(
        f"{item.__name__.removesuffix('Serializer')}Page",
        {
            "items": item(many=True),
            "next": serializers.URLField(allow_null=True, help_text="Address of the next page; null on the last one."),
        },
    )
