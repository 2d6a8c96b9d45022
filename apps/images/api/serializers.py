"""Shapes of images."""

from typing import Any

from rest_framework import serializers

from apps.common.api import fields
from apps.common.api.inputs import Input
from apps.common.context import Actor
from apps.identity import policy
from apps.images.models import Image
from apps.images.states import ImageState
from contracts.compute.v1 import DiskFormat

FORMATS = [disk_format.value for disk_format in DiskFormat]
VISIBILITIES = ["private", "public"]
STATES = [state.value for state in ImageState]


class RegisterImage(Input):
    """An image without data yet; `PUT …/file` brings it."""

    name = fields.Name()
    disk_format = fields.Choice(choices=FORMATS)
    visibility = fields.Choice(choices=VISIBILITIES, default="private", help_text="`public` is for operators.")
    min_disk_gb = fields.Whole(min_value=0, max_value=1024**2, default=0)
    min_memory_mb = fields.Whole(min_value=0, max_value=1024**3, default=0)
    kernel_id = fields.Id(required=False, allow_null=True, help_text="Boot with this kernel image.")
    ramdisk_id = fields.Id(required=False, allow_null=True)
    kernel_args = fields.Line(max_length=255, default="", allow_blank=True)
    properties = fields.TextMap(required=False)


class ImageSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    state = serializers.ChoiceField(choices=STATES)
    visibility = serializers.ChoiceField(choices=VISIBILITIES)
    project_id = serializers.UUIDField(allow_null=True, help_text="Null for public images of others.")
    disk_format = serializers.ChoiceField(choices=FORMATS)
    size_bytes = serializers.IntegerField(allow_null=True)
    virtual_size_bytes = serializers.IntegerField(allow_null=True)
    sha256 = serializers.CharField(help_text="Hex; empty without data.")
    min_disk_gb = serializers.IntegerField()
    min_memory_mb = serializers.IntegerField()
    kernel_id = serializers.UUIDField(allow_null=True)
    ramdisk_id = serializers.UUIDField(allow_null=True)
    kernel_args = serializers.CharField()
    properties = serializers.DictField(child=serializers.CharField())
    created_at = serializers.DateTimeField()


def image(actor: Actor, row: Image) -> dict[str, Any]:
    """One image; whose a public one is concerns its owner and operators only."""
    own = policy.everywhere(actor, "images.image.publish") or row.project_id == actor.project_id
    return {
        "id": row.pk, "name": row.name, "state": row.state, "visibility": row.visibility,
        "project_id": row.project_id if own else None, "disk_format": row.disk_format, "size_bytes": row.size_bytes,
        "virtual_size_bytes": row.virtual_size_bytes, "sha256": row.sha256, "min_disk_gb": row.min_disk_gb,
        "min_memory_mb": row.min_memory_mb, "kernel_id": row.kernel_id, "ramdisk_id": row.ramdisk_id,
        "kernel_args": row.kernel_args, "properties": row.properties, "created_at": row.created_at,
    }
