"""Query parameters."""

from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers

from apps.common.api import fields
from apps.common.api.inputs import PageQuery, Query
from apps.common.context import Actor
from apps.images import selectors
from apps.images.api.serializers import FORMATS, STATUSES, VISIBILITIES
from apps.images.models import Image
from apps.images.states import LONGEST_TAG, ImageState

_MOST_BYTES = 2**63 - 1
_RENAMED = {"min_size_bytes": "least_bytes", "max_size_bytes": "most_bytes"}


class ImageQuery(PageQuery):
    state = fields.Choice(choices=[state.value for state in ImageState if state is not ImageState.DELETED], required=False)
    name = serializers.CharField(max_length=255, required=False)
    visibility = fields.Choice(choices=VISIBILITIES, required=False, help_text="`community`: also those of other projects.")
    member_status = fields.Choice(
        choices=[*STATUSES, "all"], required=False, help_text="Those that others share with the project, by what it said to that."
    )
    disk_format = fields.Choice(choices=FORMATS, required=False)
    protected = serializers.BooleanField(required=False)
    tag = serializers.CharField(max_length=LONGEST_TAG, required=False)
    architecture = serializers.CharField(max_length=64, required=False, help_text="As the property has it, such as `x86_64`.")
    min_size_bytes = serializers.IntegerField(min_value=0, max_value=_MOST_BYTES, required=False)
    max_size_bytes = serializers.IntegerField(min_value=0, max_value=_MOST_BYTES, required=False)
    project_id = serializers.UUIDField(required=False, help_text="Another project's. For operators.")
    all_projects = serializers.BooleanField(default=False, help_text="For operators.")


class MemberQuery(PageQuery):
    """Members of one image."""


class BlobQuery(Query):
    """What a signed address bears."""

    expires = serializers.CharField(max_length=20, help_text="Unix seconds")
    signature = serializers.CharField(max_length=128)


def images(actor: Actor, query: dict[str, Any]) -> "QuerySet[Image]":
    """The rows that a list asks for. Raises Forbidden."""
    wanted: Any = {_RENAMED.get(name, name): value for name, value in query.items() if name not in ("limit", "after")}
    return selectors.found(actor=actor, **wanted).prefetch_related("tags")
