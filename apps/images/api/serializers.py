"""Shapes of images."""

from typing import Any

from rest_framework import serializers

from apps.common.api import fields
from apps.common.api.inputs import Input
from apps.common.context import Actor
from apps.identity import policy
from apps.images import selectors
from apps.images.models import Image, Member
from apps.images.states import LONGEST_TAG, MOST_TAGS, ImageFormat, ImageState, MemberStatus, Visibility

FORMATS = [each.value for each in ImageFormat]
VISIBILITIES = [each.value for each in Visibility]
STATES = [state.value for state in ImageState]
STATUSES = [status.value for status in MemberStatus]
_PROPERTIES = (
    "Known ones have a type: `architecture`, `hw_firmware_type` (bios, uefi), `hw_disk_bus`, `hw_vif_model`, `hw_machine_type`,"
    " `hw_qemu_guest_agent` (yes, no), `os_require_quiesce`, `os_type`, `os_distro`, `os_admin_user`, `trait:NAME` (required, forbidden)."
)


class _Tags(serializers.ListField):
    def __init__(self, **options: Any) -> None:
        super().__init__(child=fields.Name(max_length=LONGEST_TAG), max_length=MOST_TAGS, **options)


class RegisterImage(Input):
    """An image without data yet; `PUT …/content` brings it in pieces, `PUT …/file` at once."""

    name = fields.Name()
    disk_format = fields.Choice(choices=FORMATS)
    visibility = fields.Choice(choices=VISIBILITIES, default="private", help_text="`public` is for operators.")
    protected = fields.Flag(default=False, help_text="Cannot be deleted.")
    sha256 = fields.Line(max_length=64, required=False, help_text="Hex; data with another one are refused.")
    min_disk_gb = fields.Whole(min_value=0, max_value=1024**2, default=0)
    min_memory_mb = fields.Whole(min_value=0, max_value=1024**3, default=0)
    kernel_id = fields.Id(required=False, allow_null=True, help_text="Boot with this kernel image.")
    ramdisk_id = fields.Id(required=False, allow_null=True)
    kernel_args = fields.Line(max_length=255, default="", allow_blank=True)
    properties = fields.TextMap(required=False, help_text=_PROPERTIES)
    tags = _Tags(required=False)


class UpdateImage(Input):
    """What is to be another; what is left out stays. Properties and tags are replaced as a whole."""

    name = fields.Name(required=False)
    disk_format = fields.Choice(choices=FORMATS, required=False, help_text="Only before there are data.")
    visibility = fields.Choice(choices=VISIBILITIES, required=False, help_text="`public` is for operators.")
    protected = fields.Flag(required=False)
    min_disk_gb = fields.Whole(min_value=0, max_value=1024**2, required=False)
    min_memory_mb = fields.Whole(min_value=0, max_value=1024**3, required=False)
    kernel_id = fields.Id(required=False, allow_null=True)
    ramdisk_id = fields.Id(required=False, allow_null=True)
    kernel_args = fields.Line(max_length=255, required=False, allow_blank=True)
    properties = fields.TextMap(required=False, help_text=_PROPERTIES)
    tags = _Tags(required=False)


class ImageAction(Input):
    """What is to be done to an image."""

    action = fields.Choice(choices=["deactivate", "reactivate"])


class AddMember(Input):
    """A project to share a shared image with."""

    project_id = fields.Id()


class AnswerMember(Input):
    """What a project says to an image that is shared with it."""

    status = fields.Choice(choices=STATUSES)


class ImageSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    state = serializers.ChoiceField(choices=STATES)
    visibility = serializers.ChoiceField(choices=VISIBILITIES)
    protected = serializers.BooleanField()
    project_id = serializers.UUIDField(allow_null=True, help_text="Null for community and public images of others.")
    disk_format = serializers.ChoiceField(choices=FORMATS)
    size_bytes = serializers.IntegerField(allow_null=True)
    virtual_size_bytes = serializers.IntegerField(allow_null=True)
    sha256 = serializers.CharField(help_text="Hex; empty without data.")
    md5 = serializers.CharField(help_text="Hex; empty without data, and for old images.")
    min_disk_gb = serializers.IntegerField()
    min_memory_mb = serializers.IntegerField()
    kernel_id = serializers.UUIDField(allow_null=True)
    ramdisk_id = serializers.UUIDField(allow_null=True)
    kernel_args = serializers.CharField()
    properties = serializers.DictField(child=serializers.CharField())
    tags = serializers.ListField(child=serializers.CharField())
    created_at = serializers.DateTimeField()


class ImageMemberSerializer(serializers.Serializer[Any]):
    image_id = serializers.UUIDField()
    project_id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=STATUSES)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


def image(actor: Actor, row: Image) -> dict[str, Any]:
    """One image; whose a community or public one is concerns its owner and operators only."""
    told = row.project_id == actor.project_id or selectors.is_with_members(actor, row) or policy.everywhere(actor, "images.image.publish")
    return {
        "id": row.pk, "name": row.name, "state": row.state, "visibility": row.visibility, "protected": row.protected,
        "project_id": row.project_id if told else None, "disk_format": row.disk_format, "size_bytes": row.size_bytes,
        "virtual_size_bytes": row.virtual_size_bytes, "sha256": row.sha256, "md5": row.md5, "min_disk_gb": row.min_disk_gb,
        "min_memory_mb": row.min_memory_mb, "kernel_id": row.kernel_id, "ramdisk_id": row.ramdisk_id,
        "kernel_args": row.kernel_args, "properties": row.properties, "tags": sorted(tag.name for tag in row.tags.all()),
        "created_at": row.created_at,
    }


def member(row: Member) -> dict[str, Any]:
    return {
        "image_id": row.image_id, "project_id": row.project_id, "status": row.status, "created_at": row.created_at,
        "updated_at": row.updated_at,
    }
