"""Shapes of buckets and objects."""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.request import Request

from apps.common.api import fields
from apps.common.api.inputs import Input, PageQuery, Query
from apps.common.api.pagination import DEFAULT_LIMIT, MAX_LIMIT
from apps.common.context import Actor
from apps.identity import policy
from apps.objects.access.policy import VERSIONS
from apps.objects.models import Bucket
from apps.objects.selectors import buckets
from apps.objects.selectors.listing import Entry
from apps.objects.selectors.sizes import Size, sizes
from apps.objects.services.presigning import LONGEST_S, METHODS, Presigned
from apps.objects.states import Versioning

NEVER = "never"
VERSIONINGS = [NEVER, Versioning.ENABLED.value, Versioning.SUSPENDED.value]
_KEY: dict[str, Any] = {"max_length": 1024, "trim_whitespace": False}


class BucketQuery(PageQuery):
    name = serializers.CharField(max_length=63, required=False)
    prefix = serializers.CharField(max_length=63, required=False, help_text="What names begin with.")
    versioning = fields.Choice(choices=VERSIONINGS, required=False)
    project_id = serializers.UUIDField(required=False, help_text="Another project's. For operators.")
    all_projects = serializers.BooleanField(default=False, help_text="For operators.")


class CreateBucket(Input):
    name = fields.Line(min_length=3, max_length=63, help_text="Of all buckets of the installation, only one has it.")
    tags = fields.TextMap(required=False)


class SetVersioning(Input):
    versioning = fields.Choice(choices=VERSIONINGS[1:], help_text="Once enabled, it can only be suspended.")


class SetBucketPolicy(Input):
    """A bucket policy in the language of S3."""

    Version = fields.Choice(choices=VERSIONS, required=False)
    Id = fields.Text(required=False, allow_blank=True, max_length=255)
    Statement = serializers.JSONField(help_text="A list of statements, or one.")


class ObjectQuery(Query):
    prefix = serializers.CharField(required=False, allow_blank=True, **_KEY)
    delimiter = serializers.CharField(
        required=False, allow_blank=True, max_length=64, trim_whitespace=False, help_text="Keys that go on behind it are told once, as a prefix."
    )
    limit = serializers.IntegerField(
        min_value=1, max_value=MAX_LIMIT, required=False, help_text=f"Most items and prefixes in the answer (default {DEFAULT_LIMIT})."
    )
    after = serializers.CharField(required=False, help_text="Key or prefix that the page before ended with; taken from `next`.", **_KEY)


class DeleteObject(Query):
    key = serializers.CharField(**_KEY)
    version = serializers.CharField(required=False, max_length=64, help_text="Delete this version for good; default: the object.")


class Presign(Input):
    key = fields.Text(**_KEY)
    method = fields.Choice(choices=METHODS, default="GET")
    expires_s = fields.Whole(min_value=1, max_value=LONGEST_S, default=3600)
    version = fields.Text(required=False, max_length=64, help_text="Default: the latest one.")


class BucketSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    project_id = serializers.UUIDField()
    user_id = serializers.UUIDField(allow_null=True, help_text="Who made it.")
    versioning = serializers.CharField(help_text=f"{NEVER}, enabled or suspended.")
    tags = serializers.DictField(child=serializers.CharField())
    has_policy = serializers.BooleanField()
    created_at = serializers.DateTimeField()


class UsageSerializer(serializers.Serializer[Any]):
    objects = serializers.IntegerField(help_text="Those that lists show.")
    versions = serializers.IntegerField(help_text="With all that versioning keeps.")
    object_bytes = serializers.IntegerField(help_text="Of the objects that lists show.")
    size_bytes = serializers.IntegerField(help_text="Of all versions.")
    uploads = serializers.IntegerField(help_text="In parts, under way.")
    upload_bytes = serializers.IntegerField(help_text="Of their parts; counts in the quota, as `size_bytes` does.")
    is_exact = serializers.BooleanField(help_text="False: there is more than was counted.")


class BucketWithUsageSerializer(BucketSerializer):
    usage = UsageSerializer()


class BucketPolicySerializer(serializers.Serializer[Any]):
    Version = serializers.CharField(required=False)
    Id = serializers.CharField(required=False)
    Statement = serializers.JSONField()


class ObjectSerializer(serializers.Serializer[Any]):
    key = serializers.CharField()
    version = serializers.CharField(help_text="`null` if versioning was not enabled when it was written.")
    size_bytes = serializers.IntegerField()
    etag = serializers.CharField()
    content_type = serializers.CharField()
    user_id = serializers.UUIDField(allow_null=True, help_text="Who wrote it; null: nobody in particular.")
    created_at = serializers.DateTimeField()


class ObjectPageSerializer(serializers.Serializer[Any]):
    items = ObjectSerializer(many=True)
    prefixes = serializers.ListField(child=serializers.CharField())
    next = serializers.URLField(allow_null=True, help_text="Address of the next page; null on the last one.")


class DeletedSerializer(serializers.Serializer[Any]):
    key = serializers.CharField()
    version = serializers.CharField(allow_blank=True, help_text="The version that is gone, or that of the delete marker.")
    is_marker = serializers.BooleanField(help_text="Whether a delete marker hides the object now, or was deleted itself.")


class PresignedSerializer(serializers.Serializer[Any]):
    url = serializers.URLField()
    method = serializers.CharField()
    access_key = serializers.CharField(help_text="Public id of the key that it is signed with; deleting that ends it.")
    expires_at = serializers.DateTimeField()


def asked(actor: Actor, query: Mapping[str, Any]) -> "QuerySet[Bucket]":
    """What a checked BucketQuery asks for. Raises Forbidden for what only operators may ask."""
    wanted = query.get("project_id", actor.project_id)
    beyond = query["all_projects"] or wanted != actor.project_id
    if beyond:
        policy.require_everywhere(actor, "objects.bucket.list")
    rows = buckets.buckets(actor=actor, all_projects=beyond)
    exact = {name: query[name] for name in ("name", "project_id") if name in query}
    if "versioning" in query:
        exact["versioning"] = "" if query["versioning"] == NEVER else query["versioning"]
    return rows.filter(**exact, **({"name__startswith": query["prefix"]} if "prefix" in query else {}))


def bucket(row: Bucket) -> dict[str, Any]:
    return {
        "id": row.pk, "name": row.name, "project_id": row.project_id, "user_id": row.user_id, "versioning": row.versioning or NEVER,
        "tags": row.tags, "has_policy": row.policy is not None, "created_at": row.created_at,
    }


def with_usage(row: Bucket) -> dict[str, Any]:
    return {**bucket(row), "usage": usage(sizes([row.pk])[row.pk])}


def usage(size: Size) -> dict[str, Any]:
    return {
        "objects": size.objects, "object_bytes": size.object_bytes, "versions": size.versions, "size_bytes": size.size_bytes,
        "uploads": size.uploads, "upload_bytes": size.upload_bytes, "is_exact": size.is_exact,
    }


def version(row: Entry) -> dict[str, Any]:
    return {
        "key": row.key, "version": row.version, "size_bytes": row.size_bytes, "etag": row.etag, "content_type": row.content_type,
        "user_id": row.user_id, "created_at": row.created_at,
    }


def presigned(made: Presigned) -> dict[str, Any]:
    return {"url": made.url, "method": made.method, "access_key": made.access_key, "expires_at": made.expires_at}


def facts(request: Request) -> dict[str, str]:
    """What bucket policies ask about, as far as requests here tell it."""
    found = {
        "aws:sourceip": str(request.META.get("REMOTE_ADDR", "")), "aws:securetransport": "true" if request.is_secure() else "false",
        "aws:useragent": request.headers.get("User-Agent", ""), "aws:referer": request.headers.get("Referer", ""),
    }
    return {name: value for name, value in found.items() if value}
