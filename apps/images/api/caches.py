"""What hosts have of images, and what they are to have; for operators."""

import uuid
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.api import fields
from apps.common.api.inputs import Input, PageQuery
from apps.common.api.pagination import page
from apps.common.api.schema import paged
from apps.common.api.views import View
from apps.identity.api.authentication import actor_of
from apps.images.models import CachedImage, Image
from apps.images.services import caches
from apps.operations.api import serializers as operation_serializers
from apps.operations.api.filters import WaitQuery
from apps.operations.api.waiting import wait_for

_MOST_HOSTS = 1000


class CacheQuery(PageQuery):
    image_id = fields.Id(required=False, help_text="Hosts that have the content of this image.")
    host = fields.Line(max_length=63, required=False, help_text="Its name or id.")


class ImageNameSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()


class CachedImageSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    host_id = serializers.UUIDField()
    host_name = serializers.CharField()
    sha256 = serializers.CharField(help_text="Hosts keep images by their content.")
    images = ImageNameSerializer(many=True, help_text="That have this content; none if they were deleted.")
    size_bytes = serializers.IntegerField()
    in_use = serializers.BooleanField(help_text="An instance stands on it, so the host does not drop it.")
    last_used_at = serializers.DateTimeField(allow_null=True)
    seen_at = serializers.DateTimeField(allow_null=True, help_text="When the host said so; null while it is fetching it.")


class SeedImage(Input):
    """Which hosts: those named, and those of a zone and of an aggregate."""

    hosts = serializers.ListField(child=fields.Line(max_length=63), max_length=_MOST_HOSTS, required=False, help_text="Names or ids.")
    zone = fields.Line(max_length=64, required=False, help_text="All of its hosts that are up.")
    aggregate = fields.Line(max_length=255, required=False, help_text="All of its hosts that are up; by name or id.")


class SkippedSerializer(serializers.Serializer[Any]):
    host_name = serializers.CharField()
    reason = serializers.CharField()


class SeededSerializer(serializers.Serializer[Any]):
    """One operation for each host and file (an image may have a kernel and a ramdisk)."""

    operations = operation_serializers.OperationSerializer(many=True)
    skipped = SkippedSerializer(many=True, help_text="Hosts of the zone or aggregate that cannot fetch it now.")


class ImageCacheList(View):
    """Images on hosts."""

    permissions: ClassVar = {"GET": "images.cache.list"}

    @extend_schema(operation_id="image_cache_list", parameters=[CacheQuery], responses=paged(CachedImageSerializer), tags=["images"])
    def get(self, request: Request) -> Response:
        """List what hosts have in their caches, as they said last. For operators."""
        query = CacheQuery.read(request)
        rows = caches.cached(actor=actor_of(request), image_id=query.get("image_id"), host=query.get("host", ""))

        def together(found: list[CachedImage]) -> None:
            found[:] = described(found)  # type: ignore[assignment]

        return page(request, rows, lambda row: row, together=together)


class ImageSeed(View):
    """Fetching before anybody boots."""

    permissions: ClassVar = {"POST": "images.cache.seed"}
    bodies: ClassVar = {"POST": SeedImage}

    @extend_schema(operation_id="images_seed", parameters=[WaitQuery], request=SeedImage, responses={202: SeededSerializer}, tags=["images"])
    def post(self, request: Request, image_id: uuid.UUID) -> Response:
        """Have hosts fetch an image now, with its kernel and ramdisk. For operators. Watch the operations."""
        actor, wait = actor_of(request), WaitQuery.read(request)["wait"]
        seeded = caches.seed(actor=actor, image_id=image_id, **SeedImage.read(request))
        rows = operation_serializers.rows_of(wait_for(seeded.operations, wait))
        content = {
            "operations": operation_serializers.operations(actor, rows),
            "skipped": [{"host_name": name, "reason": why} for name, why in sorted(seeded.skipped.items())],
        }
        return Response(content, status=202)


def described(rows: list[CachedImage]) -> list[dict[str, Any]]:
    """Rows as they go out, with the names of hosts and images."""
    names, images = caches.names_of(rows)
    return [_shown(row, names.get(row.host_id, ""), images.get(row.sha256, [])) for row in rows]


def _shown(row: CachedImage, host_name: str, images: list[Image]) -> dict[str, Any]:
    return {
        "id": row.pk, "host_id": row.host_id, "host_name": host_name, "sha256": row.sha256,
        "images": [{"id": image.pk, "name": image.name} for image in images], "size_bytes": row.size_bytes, "in_use": row.in_use,
        "last_used_at": row.last_used_at, "seen_at": row.seen_at,
    }
