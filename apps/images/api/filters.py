"""Query parameters."""

from rest_framework import serializers

from apps.common.api import fields
from apps.common.api.inputs import PageQuery, Query
from apps.images.api.serializers import FORMATS, VISIBILITIES
from apps.images.states import ImageState


class ImageQuery(PageQuery):
    state = fields.Choice(choices=[state.value for state in ImageState if state is not ImageState.DELETED], required=False)
    name = serializers.CharField(max_length=255, required=False)
    visibility = fields.Choice(choices=VISIBILITIES, required=False)
    disk_format = fields.Choice(choices=FORMATS, required=False)


class BlobQuery(Query):
    """What a signed address bears."""

    expires = serializers.CharField(max_length=20, help_text="Unix seconds")
    signature = serializers.CharField(max_length=128)
