"""Admin page of images: looked at and deleted; content comes in by API and commands."""

import dataclasses
import uuid
from collections.abc import Collection, Mapping
from typing import Any

from django.contrib import admin
from django.utils.safestring import SafeString

from apps.common.admin import drawing, references
from apps.common.admin.buttons import Button
from apps.common.admin.lists import reference
from apps.common.admin.pages import RecordAdmin
from apps.common.context import Actor
from apps.images.models import Image
from apps.images.services import images
from apps.images.states import ImageState

TONES = {ImageState.QUEUED: "off", ImageState.SAVING: "busy", ImageState.ACTIVE: "good", ImageState.DELETED: "bad"}


def _names(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    return dict(Image.objects.filter(pk__in=ids).values_list("pk", "name"))


references.register("image", model="images_image", names=_names)


def _delete(actor: Actor, image: Image, values: Mapping[str, Any]) -> str:
    # Images are found within a project: an operator steps into the one that owns this.
    images.delete(actor=dataclasses.replace(actor, project_id=image.project_id), image_id=image.pk)
    return f"The image {image} is deleted."


@admin.register(Image)
class ImageAdmin(RecordAdmin):
    """What instances boot from."""

    permission = "images.image.list"
    list_display = ("name", "state_shown", "disk_format", "visibility_shown", "size", "project", "created")
    list_filter = ("state", "disk_format", "visibility")
    search_fields = ("name", "=sha256")
    search_ids = ("pk", "project_id")
    references = {"project_id": "project"}
    project = reference("project_id", "project", "project")
    kernel = reference("kernel_id", "image", "kernel")
    ramdisk = reference("ramdisk_id", "image", "ramdisk")
    facts = (
        (
            "Facts",
            ("disk_format", "visibility_shown", "size", "virtual_size", "project", "created", "hash", "id_shown"),
        ),
        ("Needs", ("min_disk_gb", "min_memory_mb", "kernel", "ramdisk", "kernel_args", "properties")),
    )
    buttons = (
        Button(
            name="delete",
            label="Delete",
            permission="images.image.delete",
            run=_delete,
            dangerous=True,
            offered=lambda image: image.state != ImageState.DELETED,
            warning="No new instance can boot from it. Instances that run keep their disks. "
            "The content goes when no other image has it.",
        ),
    )

    def headline(self, image: Image) -> SafeString:
        return self.state_shown(image)

    def is_live(self, image: Image) -> bool:
        return image.state == ImageState.SAVING

    @admin.display(description="state")
    def state_shown(self, image: Image) -> SafeString:
        return drawing.badge(image.state, TONES[ImageState(image.state)], busy=image.state == ImageState.SAVING)

    @admin.display(description="visibility")
    def visibility_shown(self, image: Image) -> SafeString:
        return drawing.badge(image.visibility, "busy" if image.visibility == "public" else "off")

    @admin.display(description="size")
    def size(self, image: Image) -> str:
        return drawing.size(image.size_bytes)

    @admin.display(description="virtual size")
    def virtual_size(self, image: Image) -> str:
        return drawing.size(image.virtual_size_bytes)

    @admin.display(description="made")
    def created(self, image: Image) -> SafeString:
        return drawing.ago(image.created_at)

    @admin.display(description="SHA-256")
    def hash(self, image: Image) -> SafeString:
        return drawing.code(image.sha256)

    @admin.display(description="id")
    def id_shown(self, image: Image) -> SafeString:
        return drawing.code(image.pk)
