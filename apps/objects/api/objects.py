"""Views of objects: what is there, deleting, and addresses to fetch and send it. Content goes by S3 only."""

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.api.inputs import NoQuery
from apps.common.api.pagination import following_page, limit_of
from apps.common.api.views import View
from apps.identity.api.authentication import actor_of
from apps.objects.access.decide import facts_of_version
from apps.objects.api import shapes
from apps.objects.selectors import buckets as reads
from apps.objects.selectors import listing
from apps.objects.services import objects, presigning


class ObjectList(View):
    """Objects of a bucket."""

    permissions: ClassVar = {"GET": "objects.object.list", "DELETE": "objects.object.delete"}

    @extend_schema(
        operation_id="objects_list", parameters=[shapes.ObjectQuery], responses=shapes.ObjectPageSerializer, tags=["objects"]
    )
    def get(self, request: Request, bucket_name: str) -> Response:
        """List objects by key. With a delimiter, keys that go on behind it are told once, among the prefixes."""
        query = shapes.ObjectQuery.read(request)
        said = {f"s3:{name}": query[name] for name in ("prefix", "delimiter") if name in query} | {"s3:max-keys": str(limit_of(request))}
        row = reads.shown(actor=actor_of(request), name=bucket_name, context=shapes.facts(request) | said)
        found = listing.objects(
            row, prefix=query.get("prefix", ""), delimiter=query.get("delimiter", ""), after=query.get("after", ""), most=limit_of(request)
        )
        following = following_page(request, found.next_key) if found.more else None
        return Response({"items": [shapes.version(each) for each in found.entries], "prefixes": found.prefixes, "next": following})

    @extend_schema(
        operation_id="objects_delete", parameters=[shapes.DeleteObject], responses={200: shapes.DeletedSerializer}, tags=["objects"]
    )
    def delete(self, request: Request, bucket_name: str) -> Response:
        """Delete an object, or one version of it for good. What is not there is no error."""
        actor, query = actor_of(request), shapes.DeleteObject.read(request)
        context = shapes.facts(request) | facts_of_version(query.get("version", ""))
        action = "s3:DeleteObjectVersion" if "version" in query else "s3:DeleteObject"
        reads.shown(actor=actor, name=bucket_name, action=action, key=query["key"], context=context)
        done = objects.delete(actor=actor, bucket=bucket_name, context=context, **query)
        return Response({"key": done.key, "version": done.version, "is_marker": done.is_marker})


class ObjectPresign(View):
    """Addresses for those who have no key."""

    permissions: ClassVar = {"POST": "objects.object.get"}
    bodies: ClassVar = {"POST": shapes.Presign}

    @extend_schema(
        operation_id="objects_presign", request=shapes.Presign, responses={201: shapes.PresignedSerializer}, tags=["objects"]
    )
    def post(self, request: Request, bucket_name: str) -> Response:
        """Make an address with which anybody can fetch, send or delete one object for a while.

        It is signed with the newest access key that you have for your project; without one it is refused. To sign for PUT takes the
        permission objects.object.create, for DELETE objects.object.delete.
        """
        NoQuery.read(request)
        actor, wanted = actor_of(request), shapes.Presign.read(request)
        version = wanted.get("version", "")
        context, action = shapes.facts(request) | facts_of_version(version), presigning.action(wanted["method"], version)
        reads.shown(actor=actor, name=bucket_name, action=action, key=wanted["key"], context=context)
        return Response(shapes.presigned(presigning.presign(actor=actor, bucket=bucket_name, context=context, **wanted)), status=201)
