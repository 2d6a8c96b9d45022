"""Images, who they are shared with, and uploads under way: global tables."""

from typing import ClassVar

from django.db import models

from apps.common.ids import new_id
from apps.images.states import LONGEST_TAG, WHOLE, ImageFormat, ImageState, MemberStatus, Visibility


class Image(models.Model):
    """A file that instances boot from. Content lives in the store under its SHA-256, once however many images share it.

    `sha256`, `md5` in hex, of the content; `expected_sha256`: what the owner says that it must be. `size_bytes`: of the content;
    as long as it comes in, what counts in the quota. `properties`: texts by name, checked by `properties`.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    project_id = models.UUIDField(null=True)
    name = models.CharField(max_length=255)
    visibility = models.CharField(
        max_length=16, choices=[(v.value, v.value) for v in Visibility], default=Visibility.PRIVATE.value
    )
    protected = models.BooleanField(default=False)
    state = models.CharField(max_length=16, choices=[(s.value, s.value) for s in ImageState], default=ImageState.QUEUED.value)
    disk_format = models.CharField(max_length=16, choices=[(f.value, f.value) for f in ImageFormat])
    size_bytes = models.PositiveBigIntegerField(null=True)
    virtual_size_bytes = models.PositiveBigIntegerField(null=True)
    sha256 = models.CharField(max_length=64, blank=True)
    md5 = models.CharField(max_length=32, blank=True)
    expected_sha256 = models.CharField(max_length=64, blank=True)
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
                condition=~models.Q(state__in=[state.value for state in WHOLE])
                | (models.Q(size_bytes__isnull=False) & ~models.Q(sha256="")),
                name="%(app_label)s_%(class)s_active_is_whole",
            ),
            models.CheckConstraint(
                condition=models.Q(visibility__in=[v.value for v in Visibility]), name="%(app_label)s_%(class)s_known_visibility"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["project_id", "id"], name="images_by_project"),
            models.Index(fields=["sha256"], condition=~models.Q(sha256=""), name="images_by_content"),
        ]

    def __str__(self) -> str:
        return self.name


class ImageTag(models.Model):
    """A word by which an image is found."""

    image = models.ForeignKey(Image, models.CASCADE, related_name="tags")
    name = models.CharField(max_length=LONGEST_TAG)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["image", "name"], name="%(app_label)s_%(class)s_once")]

    def __str__(self) -> str:
        return self.name


class Member(models.Model):
    """A project that an image is shared with, and what it says to that."""

    image = models.ForeignKey(Image, models.CASCADE, related_name="members")
    project_id = models.UUIDField(db_index=True)
    status = models.CharField(
        max_length=16, choices=[(s.value, s.value) for s in MemberStatus], default=MemberStatus.PENDING.value
    )
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["image", "project_id"], name="%(app_label)s_%(class)s_once"),
            models.CheckConstraint(
                condition=models.Q(status__in=[s.value for s in MemberStatus]), name="%(app_label)s_%(class)s_known_status"
            ),
        ]

    def __str__(self) -> str:
        return str(self.project_id)


class CachedImage(models.Model):
    """What a host has in its cache, as it said last; without `seen_at` it was only told to fetch it. By content: several images
    may have the same."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    host_id = models.UUIDField()
    sha256 = models.CharField(max_length=64)
    size_bytes = models.PositiveBigIntegerField(default=0)
    last_used_at = models.DateTimeField(null=True)
    in_use = models.BooleanField(default=False, help_text="An instance stands on it, so the host does not drop it.")
    seen_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["host_id", "sha256"], name="%(app_label)s_%(class)s_once")]
        indexes: ClassVar = [models.Index(fields=["sha256"], name="images_cached_by_content")]

    def __str__(self) -> str:
        return f"{self.sha256[:12]} on {self.host_id}"


class Upload(models.Model):
    """Content that comes in, into the scratch file of this id. It is made before that file, and ends with it.

    `size_bytes`: what was announced, if it was. `received_bytes`: so many are on the disk for good.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    image = models.OneToOneField(Image, models.CASCADE, related_name="upload")
    size_bytes = models.PositiveBigIntegerField(null=True)
    received_bytes = models.PositiveBigIntegerField(default=0)
    moved_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return str(self.pk)
