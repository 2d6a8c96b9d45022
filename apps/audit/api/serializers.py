"""Shapes of records."""

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from rest_framework import serializers

from apps.audit.states import Decision

DECISIONS = [each.value for each in Decision]
Row = Mapping[str, Any]


class RecordSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    at = serializers.DateTimeField()
    decision = serializers.ChoiceField(choices=DECISIONS)
    action = serializers.CharField(help_text="The permission's name where there is one, such as `compute.instance.create`.")
    resource_type = serializers.CharField()
    resource_id = serializers.CharField()
    name = serializers.CharField(help_text="What the resource was called then.")
    project_id = serializers.UUIDField(allow_null=True, help_text="Of the resource; of a refusal, of who was refused.")
    user_id = serializers.UUIDField(allow_null=True)
    user_name = serializers.CharField(help_text="`shell`: nobody in particular, at the shell of the control plane.")
    actor_project_id = serializers.UUIDField(allow_null=True, help_text="Where the user worked: a project or a domain; null also for one from outside.")
    address = serializers.CharField(help_text="Empty for one from outside of the project.")
    request_id = serializers.CharField()
    method = serializers.CharField(help_text="Of a refused request.")
    path = serializers.CharField(help_text="Of a refused request.")
    code = serializers.CharField(help_text="Why it was refused, for programs.")
    reason = serializers.CharField(help_text="Why it was refused.")
    changes = serializers.DictField(help_text="By field: [before, after]. Secrets are never in it.")


def whole(row: Row) -> Row:
    """As those see it who may read everything."""
    return row


def within(scope: uuid.UUID | None) -> Callable[[Row], Row]:
    """As a project (or domain) sees it: of somebody who came from outside, an operator, the name and not where from."""

    def shape(row: Row) -> Row:
        inside = row["actor_project_id"] in (row["project_id"], scope)
        return row if inside else {**row, "actor_project_id": None, "address": ""}

    return shape
