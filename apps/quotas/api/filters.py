"""Query parameters."""

from typing import Any

from rest_framework import serializers

from apps.common.api.inputs import Query


class QuotaQuery(Query):
    project_id = serializers.UUIDField(required=False, help_text="Of another project than the one you work in.")
    domain_id = serializers.UUIDField(required=False, help_text="Of a domain: its limits, and what its projects use together.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs) > 1:
            raise serializers.ValidationError({"domain_id": ["not together with project_id"]}, code="ambiguous")
        return attrs
