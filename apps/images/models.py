"""Images."""

from typing import ClassVar

from django.db import models

from apps.common.ids import new_id
from apps.images.states import ImageState
from contracts.compute.v1 import DiskFormat


class Image(models.Model):
    """A file that instances boot from. Content lives in the store under its SHA-256, once however many images share it."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    project_id = models.UUIDField(null=True)
    name = models.CharField(max_length=255)
    visibility = models.CharField(max_length=16, choices=[("private", "private"), ("public", "public")], default="private")
    state = models.CharField(max_length=16, choices=[(s.value, s.value) for s in ImageState], default=ImageState.QUEUED.value)
    disk_format = models.CharField(max_length=16, choices=[(f.value, f.value) for f in DiskFormat])
    size_bytes = models.PositiveBigIntegerField(null=True)
    virtual_size_bytes = models.PositiveBigIntegerField(null=True)
    sha256 = models.CharField(max_length=64, blank=True)
    min_disk_gb = models.PositiveIntegerField(default=0)
    min_memory_mb = models.PositiveIntegerField(default=0)
    kernel_id = models.UUIDField(null=True, blank=True)
    ramdisk_id = models.UUIDField(null=True, blank=True)
    kernel_args = models.CharField(max_length=255, blank=True)
    properties = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=~models.Q(state=ImageState.ACTIVE.value) | (models.Q(size_bytes__isnull=False) & ~models.Q(sha256="")),
                name="%(app_label)s_%(class)s_active_is_whole",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["project_id", "id"], name="images_by_project")]

    def __str__(self) -> str:
        return self.name
