"""Admin pages of versions of objects, and of uploads in parts. Objects are written by S3 only; here they can be deleted."""

import json
from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet, Sum
from django.http import HttpRequest
from django.utils.safestring import SafeString

from apps.common.admin import drawing, references
from apps.common.admin.buttons import Button
from apps.common.admin.lists import reference
from apps.common.admin.pages import RecordAdmin
from apps.common.context import Actor
from apps.objects.access.asking import canonical
from apps.objects.admin.grants import grants
from apps.objects.models import Upload, Version
from apps.objects.services import objects, uploads


def _delete(actor: Actor, row: Version, values: Mapping[str, Any]) -> str:
    objects.delete(actor=actor, bucket=row.bucket.name, key=row.key, version=row.version)
    return f"The version {row.version} of {row.key} is deleted."


def _abort(actor: Actor, row: Upload, values: Mapping[str, Any]) -> str:
    uploads.abort(actor=actor, bucket=row.bucket.name, key=row.key, upload_id=str(row.pk))
    return f"The upload of {row.key} has ended."


@admin.register(Version)
class VersionAdmin(RecordAdmin):
    """Every version of every object, in the order of buckets and keys."""

    permission = "objects.object.list"
    list_display = ("key", "bucket_link", "version", "state", "size_shown", "content_type", "created")
    list_select_related = ("bucket",)
    # An index has this order, and no other.
    ordering = ("bucket_id", "key", "-pk")
    search_fields = ("=key",)
    search_ids = ("pk", "bucket_id")
    search_help_text = "A whole key, or an id"
    references = {"project_id": "project", "user_id": "user"}
    project = reference("project_id", "project", "project of who wrote it")
    user = reference("user_id", "user", "written by")
    facts = (
        (
            "Facts", ("bucket_link", "version", "state", "size_shown", "etag", "content_type", "checksums_shown", "parts_count", "user", "project", "created", "id_shown"),
        ),
    )
    pictures = (("Headers and metadata", "described"), ("Tags", "tags_shown"), ("Access list", "acl_shown"))
    buttons = (
        Button(
            name="delete", label="Delete this version", question="Delete {rows} for good", permission="objects.object.delete", run=_delete,
            dangerous=True, gone=True, warning="Nothing of it is kept. If it is the latest one, the version before it is seen again.",
        ),
    )

    @admin.display(description="bucket")
    def bucket_link(self, row: Version) -> SafeString:
        return references.link("bucket", row.bucket_id, row.bucket.name)

    def headline(self, row: Version) -> SafeString:
        return self.state(row)

    @admin.display(description="is")
    def state(self, row: Version) -> SafeString:
        if row.is_marker:
            return drawing.badge("deleted", "bad", title="A delete marker: the object is not there.") if row.is_latest else drawing.badge("was deleted", "off")
        return drawing.badge("latest", "good") if row.is_latest else drawing.badge("older", "off")

    @admin.display(description="size")
    def size_shown(self, row: Version) -> str | SafeString:
        return drawing.NOTHING if row.is_marker else drawing.size(row.size_bytes)

    @admin.display(description="checksums")
    def checksums_shown(self, row: Version) -> str:
        return ", ".join(f"{name} {value}" for name, value in row.checksums.items()) or "–"

    def described(self, row: Version) -> SafeString:
        told = {**row.headers, **{f"x-amz-meta-{name}": value for name, value in row.metadata.items()}}
        return drawing.table(("Header", "Value"), told.items()) if told else drawing.EMPTY

    def tags_shown(self, row: Version) -> SafeString:
        return drawing.table(("Tag", "Value"), row.tags.items()) if row.tags else drawing.EMPTY

    def acl_shown(self, row: Version) -> SafeString:
        return grants(row.acl, canonical(row.user_id), canonical(row.bucket.user_id))

    @admin.display(description="written")
    def created(self, row: Version) -> SafeString:
        return drawing.ago(row.created_at)

    @admin.display(description="id")
    def id_shown(self, row: Version) -> SafeString:
        return drawing.code(row.pk)


@admin.register(Upload)
class UploadAdmin(RecordAdmin):
    """Uploads in parts that are under way; the forgotten ones end by themselves (setting `object_upload_days`)."""

    permission = "objects.object.list"
    list_display = ("key", "bucket_link", "parts_shown", "size_shown", "user", "begun")
    list_select_related = ("bucket",)
    search_fields = ("=key", "bucket__name")
    search_ids = ("pk", "bucket_id", "user_id")
    references = {"project_id": "project", "user_id": "user"}
    project = reference("project_id", "project", "project of who sends it")
    user = reference("user_id", "user", "sent by")
    facts = (("Facts", ("bucket_link", "parts_shown", "size_shown", "content_type", "algorithm", "user", "project", "begun", "id_shown")),)
    pictures = (("Metadata", "described"),)
    buttons = (
        Button(
            name="abort", label="End the upload", question="End the upload of {rows}", permission="objects.object.create", run=_abort, dangerous=True,
            gone=True, warning="Its parts are deleted: who sends them must begin anew.",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Upload]":
        counted: QuerySet[Upload] = super().get_queryset(request).annotate(parts_there=Count("parts"), bytes_there=Sum("parts__size_bytes"))
        return counted

    @admin.display(description="bucket")
    def bucket_link(self, row: Upload) -> SafeString:
        return references.link("bucket", row.bucket_id, row.bucket.name)

    @admin.display(description="parts")
    def parts_shown(self, row: Any) -> str:
        return drawing.number(row.parts_there)

    @admin.display(description="size so far")
    def size_shown(self, row: Any) -> str:
        return drawing.size(row.bytes_there or 0)

    def described(self, row: Upload) -> SafeString:
        told = {**row.headers, **row.metadata}
        return drawing.terminal(json.dumps(told, indent=2)) if told else drawing.EMPTY

    @admin.display(description="begun")
    def begun(self, row: Upload) -> SafeString:
        return drawing.ago(row.created_at)

    @admin.display(description="id")
    def id_shown(self, row: Upload) -> SafeString:
        return drawing.code(row.pk)
