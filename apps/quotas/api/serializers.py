"""Shapes of quotas."""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from rest_framework import serializers

from apps.common.api import fields
from apps.common.api.inputs import Input
from apps.quotas.resources import MOST, RESOURCES, UNLIMITED
from apps.quotas.selectors import Quota


class SetLimits(Input):
    """Limits by resource: -1 is unlimited, null goes back to the default. What is not named stays."""

    def get_fields(self) -> dict[str, Any]:
        return {
            name: fields.Whole(min_value=UNLIMITED, max_value=MOST, required=False, allow_null=True, help_text=resource.text)
            for name, resource in RESOURCES.items()
        }


class QuotaSerializer(serializers.Serializer[Any]):
    resource = serializers.ChoiceField(choices=list(RESOURCES))
    unit = serializers.CharField(help_text="Empty for things that are counted.")
    limit = serializers.IntegerField(help_text="-1 is unlimited.")
    source = serializers.ChoiceField(choices=["default", "project", "domain"], help_text="Where this limit comes from.")  # type: ignore[assignment]
    used = serializers.IntegerField()
    domain_limit = serializers.IntegerField(allow_null=True, help_text="Of all projects of the domain together; null: none.")
    domain_used = serializers.IntegerField(allow_null=True, help_text="What they use together; null without such a limit.")
    left = serializers.IntegerField(allow_null=True, help_text="How much more may be had; null: as much as you like.")
    bounded_by = serializers.CharField(help_text="Whose limit is met first: default, project or domain; empty: nobody's.")


class QuotasSerializer(serializers.Serializer[Any]):
    project_id = serializers.UUIDField(allow_null=True)
    domain_id = serializers.UUIDField(allow_null=True, help_text="Of a domain's quotas; null for those of a project.")
    quotas = QuotaSerializer(many=True)


class DefaultSerializer(serializers.Serializer[Any]):
    resource = serializers.ChoiceField(choices=list(RESOURCES))
    unit = serializers.CharField()
    text = serializers.CharField(help_text="What is counted.")
    limit = serializers.IntegerField(help_text="Of a project that has no limit of its own; -1 is unlimited.")
    built_in = serializers.IntegerField(help_text="What it is unless an operator has set another.")


class DefaultsSerializer(serializers.Serializer[Any]):
    defaults = DefaultSerializer(many=True)


def quota(row: Quota) -> dict[str, Any]:
    return {**vars(row), "unit": RESOURCES[row.resource].unit, "left": row.left, "bounded_by": row.bounded_by}


def quotas(rows: Iterable[Quota], *, project_id: uuid.UUID | None = None, domain_id: uuid.UUID | None = None) -> dict[str, Any]:
    return {"project_id": project_id, "domain_id": domain_id, "quotas": [quota(row) for row in rows]}


def defaults(limits: Mapping[str, int]) -> dict[str, Any]:
    shown = [
        {"resource": name, "unit": each.unit, "text": each.text, "limit": limits[name], "built_in": each.default}
        for name, each in RESOURCES.items()
    ]
    return {"defaults": shown}
