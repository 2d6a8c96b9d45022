"""Buckets, the versions of their objects, uploads in parts, and content that nobody needs any more: global tables.

Content is in a store (`stores/`) under ids of its own, its *blobs*. A version without parts has one, named by the version's
id; one with parts has one for each. An empty object has none. Foreign keys have no index of their own: constraints and indexes that
begin with them serve.
"""

from typing import ClassVar

from django.db import models

from apps.common.ids import new_id
from apps.objects.fields import KeyField
from apps.objects.states import NULL, Versioning


class Bucket(models.Model):
    """A bucket; its name is unique in the installation.

    `acl`, `policy`: as `access.acl` and `access.policy` read them. `cors`: list of rules as S3 has them. What is in it counts
    in the quota of its project, whoever wrote it.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=63, unique=True)
    project_id = models.UUIDField(db_index=True)
    user_id = models.UUIDField(null=True)
    versioning = models.CharField(
        max_length=16, choices=[(each.value, each.name.lower()) for each in Versioning], blank=True, default=Versioning.NEVER.value
    )
    acl = models.JSONField(default=dict)
    policy = models.JSONField(null=True)
    cors = models.JSONField(default=list)
    tags = models.JSONField(default=dict)
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(versioning__in=[each.value for each in Versioning]), name="%(app_label)s_%(class)s_known_versioning"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Described(models.Model):
    """What an object is said to be, from the request that made it.

    `headers`: cache-control, content-disposition, content-encoding, content-language, expires; lower-case names. `metadata`:
    what the user added, without `x-amz-meta-`. `acl` None: private to `project_id`/`user_id`, the owner (None: anonymous).
    """

    content_type = models.CharField(max_length=255, blank=True)
    headers = models.JSONField(default=dict)
    metadata = models.JSONField(default=dict)
    tags = models.JSONField(default=dict)
    acl = models.JSONField(null=True)
    project_id = models.UUIDField(null=True)
    user_id = models.UUIDField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        abstract = True


class Version(Described):
    """One version of one object. Ids rise in the order in which versions of a key were committed.

    `version`: `null`, or the id in hex. `is_marker`: says that the object is deleted. `etag`: MD5 in hex, or that of the parts'
    MD5s, `-` and their number. `checksums`: algorithm → base64, and `type`. `parts_count`: 0 if the content is one blob, named
    by `id`. `upload_id`: of the upload in parts that it came from.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    bucket = models.ForeignKey(Bucket, models.DO_NOTHING, related_name="versions", db_index=False)
    key = KeyField()
    version = models.CharField(max_length=32)
    is_latest = models.BooleanField()
    is_marker = models.BooleanField(default=False)
    size_bytes = models.PositiveBigIntegerField(default=0)
    etag = models.CharField(max_length=40, blank=True)
    checksums = models.JSONField(default=dict)
    parts_count = models.PositiveIntegerField(default=0)
    upload_id = models.UUIDField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["bucket", "key"], condition=models.Q(is_latest=True), name="%(app_label)s_%(class)s_one_latest"
            ),
            models.UniqueConstraint(
                fields=["bucket", "key"], condition=models.Q(version=NULL), name="%(app_label)s_%(class)s_one_null"
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["bucket", "key"], condition=models.Q(is_latest=True, is_marker=False), name="objects_visible"
            ),
            models.Index(fields=["bucket", "key", "-id"], name="objects_versions"),
        ]

    def __str__(self) -> str:
        return str(self.key)


class Upload(Described):
    """An object that comes in parts. `algorithm`, `checksum_type`: of the checksums asked for, empty for none."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    bucket = models.ForeignKey(Bucket, models.DO_NOTHING, related_name="uploads", db_index=False)
    key = KeyField()
    algorithm = models.CharField(max_length=16, blank=True)
    checksum_type = models.CharField(max_length=16, blank=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["bucket", "key", "id"], name="objects_uploads")]

    def __str__(self) -> str:
        return str(self.key)


class Part(models.Model):
    """A part: first of an upload, then, where it is, of the version that the upload has become. Nothing is copied for that.

    `starts_at`: offset in the object, bytes; None as long as it is one of an upload. `etag`: MD5 in hex.
    """

    blob_id = models.UUIDField(primary_key=True)
    upload = models.ForeignKey(Upload, models.DO_NOTHING, null=True, related_name="parts", db_index=False)
    held_by = models.ForeignKey(Version, models.DO_NOTHING, null=True, related_name="parts", db_index=False)
    number = models.PositiveIntegerField()
    size_bytes = models.PositiveBigIntegerField()
    starts_at = models.PositiveBigIntegerField(null=True)
    etag = models.CharField(max_length=32)
    checksums = models.JSONField(default=dict)
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["upload", "number"], name="%(app_label)s_%(class)s_once_in_upload"),
            models.UniqueConstraint(fields=["held_by", "number"], name="%(app_label)s_%(class)s_once_in_version"),
            models.CheckConstraint(
                condition=models.Q(upload__isnull=False, held_by__isnull=True, starts_at__isnull=True)
                | models.Q(upload__isnull=True, held_by__isnull=False, starts_at__isnull=False),
                name="%(app_label)s_%(class)s_of_one",
            ),
        ]

    def __str__(self) -> str:
        return f"part {self.number}"


class Garbage(models.Model):
    """A blob that nothing refers to since `at`: written by the transaction that let go of it, removed from the store by the sweep."""

    blob_id = models.UUIDField(primary_key=True)
    at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name_plural = "garbage"

    def __str__(self) -> str:
        return str(self.blob_id)
