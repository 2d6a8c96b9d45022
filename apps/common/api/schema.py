"""OpenAPI: every operation documents the same error shape."""

from typing import Any

from drf_spectacular.openapi import AutoSchema as SpectacularSchema
from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers


class Problem(serializers.Serializer[Any]):
    """application/problem+json (RFC 9457), with a stable `code`."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField(help_text="Stable; made for programs.")
    detail = serializers.CharField(help_text="For people.")
    field = serializers.CharField(required=False, help_text="The input at fault, as a dotted path.")
    request_id = serializers.CharField()


class AutoSchema(SpectacularSchema):
    """Adds the `default` answer: a problem."""

    def _get_response_bodies(self, direction: str = "response") -> Any:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        problem = self._get_response_for_code(
            OpenApiResponse(Problem, description="Refused, and why."), "default", media_types=["application/problem+json"]
        )
        return {**bodies, "default": problem}
