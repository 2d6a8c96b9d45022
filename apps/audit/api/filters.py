"""Query parameters."""

import uuid
from typing import Any

from rest_framework import serializers

from apps.audit.selectors import Search
from apps.audit.states import Decision
from apps.common.api import fields
from apps.common.api.inputs import PageQuery
from apps.common.errors import Invalid


class RecordQuery(PageQuery):
    user = serializers.CharField(max_length=255, required=False, help_text="Who did it: a user's id or name.")
    project_id = serializers.UUIDField(required=False, help_text="Whose trail it is in.")
    action = serializers.CharField(max_length=64, required=False, help_text="How it begins: `compute.instance`, `images.image.delete` …")
    resource_type = serializers.CharField(max_length=32, required=False, help_text="Such as `instance`.")
    resource_id = serializers.CharField(max_length=255, required=False)
    decision = fields.Choice(choices=[each.value for each in Decision], required=False)
    request_id = serializers.CharField(max_length=64, required=False)
    address = serializers.CharField(max_length=64, required=False, help_text="Where it came from.")
    since = serializers.DateTimeField(required=False, help_text="Not before this moment.")
    until = serializers.DateTimeField(required=False, help_text="Before this moment.")


def search(query: dict[str, Any]) -> Search:
    """What the query asks for."""
    return Search(**{name: value for name, value in query.items() if name not in ("limit", "after")})


def after(query: dict[str, Any]) -> uuid.UUID | None:
    """The record behind which an export goes on. Raises Invalid."""
    try:
        return uuid.UUID(query["after"]) if "after" in query else None
    except ValueError:
        raise Invalid("request.after", "after: expected the id of a record.", field="after") from None
