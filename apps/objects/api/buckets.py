"""Views of buckets. Clients of S3 do all of this, and more, in their own language; see docs/s3.md."""

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.api.inputs import NoQuery
from apps.common.api.pagination import page
from apps.common.api.schema import paged
from apps.common.api.views import View
from apps.common.errors import NotFound
from apps.identity.api.authentication import actor_of
from apps.objects.api import shapes
from apps.objects.selectors import buckets as reads
from apps.objects.services import buckets
from apps.objects.states import Versioning


class BucketList(View):
    """Buckets of the project."""

    permissions: ClassVar = {"GET": "objects.bucket.list", "POST": "objects.bucket.create"}
    bodies: ClassVar = {"POST": shapes.CreateBucket}

    @extend_schema(
        operation_id="buckets_list", parameters=[shapes.BucketQuery], responses=paged(shapes.BucketSerializer), tags=["objects"]
    )
    def get(self, request: Request) -> Response:
        """List buckets, newest first. How much is in each is told by the bucket itself."""
        actor, query = actor_of(request), shapes.BucketQuery.read(request)
        return page(request, shapes.asked(actor, query), shapes.bucket)

    @extend_schema(
        operation_id="buckets_create", request=shapes.CreateBucket, responses={201: shapes.BucketSerializer}, tags=["objects"]
    )
    def post(self, request: Request) -> Response:
        """Create a bucket in the project."""
        NoQuery.read(request)
        made = buckets.create(actor=actor_of(request), **shapes.CreateBucket.read(request))
        return Response(shapes.bucket(made), status=201)


class BucketDetail(View):
    """One bucket."""

    permissions: ClassVar = {"GET": "objects.bucket.get", "DELETE": "objects.bucket.delete"}

    @extend_schema(operation_id="buckets_get", responses=shapes.BucketWithUsageSerializer, tags=["objects"])
    def get(self, request: Request, bucket_name: str) -> Response:
        """Show a bucket, with how much is in it."""
        NoQuery.read(request)
        row = reads.shown(actor=actor_of(request), name=bucket_name, action="s3:GetBucketVersioning", context=shapes.facts(request))
        return Response(shapes.with_usage(row))

    @extend_schema(operation_id="buckets_delete", responses={204: None}, tags=["objects"])
    def delete(self, request: Request, bucket_name: str) -> Response:
        """Delete an empty bucket; uploads in parts that are under way end with it."""
        NoQuery.read(request)
        actor, context = actor_of(request), shapes.facts(request)
        reads.shown(actor=actor, name=bucket_name, action="s3:DeleteBucket", context=context)
        buckets.delete(actor=actor, name=bucket_name, context=context)
        return Response(status=204)


class BucketVersioning(View):
    """Whether a bucket keeps what is replaced and deleted."""

    permissions: ClassVar = {"PUT": "objects.bucket.update"}
    bodies: ClassVar = {"PUT": shapes.SetVersioning}

    @extend_schema(
        operation_id="buckets_set_versioning", request=shapes.SetVersioning, responses=shapes.BucketSerializer, tags=["objects"]
    )
    def put(self, request: Request, bucket_name: str) -> Response:
        """Enable or suspend versioning."""
        NoQuery.read(request)
        actor, context, wanted = actor_of(request), shapes.facts(request), shapes.SetVersioning.read(request)
        reads.shown(actor=actor, name=bucket_name, action="s3:PutBucketVersioning", context=context)
        row = buckets.put_versioning(actor=actor, name=bucket_name, versioning=Versioning(wanted["versioning"]), context=context)
        return Response(shapes.bucket(row))


class BucketPolicy(View):
    """What a bucket's policy allows and denies to whom."""

    permissions: ClassVar = {"GET": "objects.bucket.get", "PUT": "objects.bucket.update", "DELETE": "objects.bucket.update"}
    bodies: ClassVar = {"PUT": shapes.SetBucketPolicy}

    @extend_schema(operation_id="buckets_get_policy", responses=shapes.BucketPolicySerializer, tags=["objects"])
    def get(self, request: Request, bucket_name: str) -> Response:
        """Show the policy."""
        NoQuery.read(request)
        row = reads.shown(actor=actor_of(request), name=bucket_name, action="s3:GetBucketPolicy", context=shapes.facts(request))
        if row.policy is None:
            raise NotFound("bucket.no_policy", f"The bucket {bucket_name} has no policy.", field="bucket", bucket=bucket_name)
        return Response(row.policy)

    @extend_schema(
        operation_id="buckets_set_policy", request=shapes.SetBucketPolicy, responses=shapes.BucketPolicySerializer, tags=["objects"]
    )
    def put(self, request: Request, bucket_name: str) -> Response:
        """Set the policy. What in it is not understood is refused, and the refusal names the part."""
        NoQuery.read(request)
        actor, context, wanted = actor_of(request), shapes.facts(request), shapes.SetBucketPolicy.read(request)
        reads.shown(actor=actor, name=bucket_name, action="s3:PutBucketPolicy", context=context)
        return Response(buckets.put_policy(actor=actor, name=bucket_name, policy=wanted, context=context).policy)

    @extend_schema(operation_id="buckets_delete_policy", responses={204: None}, tags=["objects"])
    def delete(self, request: Request, bucket_name: str) -> Response:
        """Take the policy away."""
        NoQuery.read(request)
        actor, context = actor_of(request), shapes.facts(request)
        reads.shown(actor=actor, name=bucket_name, action="s3:DeleteBucketPolicy", context=context)
        buckets.put_policy(actor=actor, name=bucket_name, policy=None, context=context)
        return Response(status=204)
