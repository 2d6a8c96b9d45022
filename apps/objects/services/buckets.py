"""Buckets: made, deleted, and what is said of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import IntegrityError, transaction

from apps.audit.services import record
from apps.common import clock
from apps.common.context import Actor
from apps.common.errors import Conflict, Invalid
from apps.identity import policy as roles
from apps.objects.access import acl as access_lists
from apps.objects.access import policy as policies
from apps.objects.inputs import NO_CONTEXT, Context
from apps.objects.models import Bucket, Upload, Version
from apps.objects.selectors import buckets, gate
from apps.objects.services import assembling, checking
from apps.objects.states import Versioning
from apps.quotas.services import reservations


def create(*, actor: Actor, name: str, acl: Mapping[str, Any] | None = None, tags: Mapping[str, str] | None = None) -> Bucket:
    """A new bucket of the project that the actor works in.

    Raises Forbidden, Invalid `bucket.name`, `tags.invalid`, `acl.invalid`, Conflict `bucket.yours` (the project has it already) or
    `bucket.taken` (somebody else has), QuotaExceeded.
    """
    roles.require(actor, "objects.bucket.create")
    project_id = roles.in_project(actor)
    checking.check_bucket_name(name)
    checking.check_tags(tags or {})
    access_lists.check(acl, is_object=False)
    bucket = Bucket(
        name=name, project_id=project_id, user_id=actor.user_id, acl=dict(acl or {}), tags=dict(tags or {}), created_at=clock.now()
    )
    try:
        with transaction.atomic():
            bucket.save(force_insert=True)
            record.write(actor, "objects.bucket.create", "bucket", bucket.pk, project_id=project_id, name=name, changes={"acl": acl})
            reservations.reserve(project_id=project_id, amounts={"buckets": 1})
    except IntegrityError as error:
        owner = Bucket.objects.filter(name=name).values_list("project_id", flat=True).first()
        if owner == project_id:
            raise Conflict("bucket.yours", f"This project has the bucket {name} already.", field="name", bucket=name) from error
        raise Conflict("bucket.taken", f"The name {name} is taken: names of buckets are shared by all.", field="name", bucket=name) from error
    return bucket


def delete(*, actor: Actor, name: str, context: Context = NO_CONTEXT) -> None:
    """Uploads in parts that are open end with it. Raises NotFound `bucket.not_found`, Forbidden, Conflict `bucket.not_empty`."""
    holder = buckets.named(name)
    gate.require(actor, "s3:DeleteBucket", holder, context=context)
    with transaction.atomic():
        bucket = _locked(holder)
        if Version.objects.filter(bucket_id=bucket.pk).exists():
            raise Conflict("bucket.not_empty", f"The bucket {name} is not empty: delete its objects first, all versions of them.", bucket=name)
        less = sum(assembling.drop(upload) for upload in Upload.objects.select_for_update().filter(bucket_id=bucket.pk).order_by("pk"))
        Bucket.objects.filter(pk=bucket.pk).delete()
        record.write(actor, "objects.bucket.delete", "bucket", bucket.pk, project_id=bucket.project_id, name=name)
        reservations.release(project_id=bucket.project_id, amounts={"buckets": 1, "object_bytes": less})


def put_acl(*, actor: Actor, name: str, acl: Mapping[str, Any], context: Context = NO_CONTEXT) -> Bucket:
    """Raises NotFound, Forbidden, Invalid `acl.invalid`."""
    access_lists.check(acl, is_object=False)
    return _change(actor, name, "s3:PutBucketAcl", context, acl=dict(acl))


def put_policy(*, actor: Actor, name: str, policy: Mapping[str, Any] | None, context: Context = NO_CONTEXT) -> Bucket:
    """None takes it away. Raises NotFound, Forbidden, Invalid `bucket.policy`."""
    if policy is None:
        return _change(actor, name, "s3:DeleteBucketPolicy", context, policy=None)
    policies.check(policy, bucket=name)
    return _change(actor, name, "s3:PutBucketPolicy", context, policy=dict(policy))


def put_cors(*, actor: Actor, name: str, rules: Sequence[Mapping[str, Any]], context: Context = NO_CONTEXT) -> Bucket:
    """Rules as S3 has them (AllowedOrigins …), checked by the caller; none takes them away. Raises NotFound, Forbidden."""
    return _change(actor, name, "s3:PutBucketCORS", context, cors=[dict(rule) for rule in rules])


def put_tags(*, actor: Actor, name: str, tags: Mapping[str, str], context: Context = NO_CONTEXT) -> Bucket:
    """Raises NotFound, Forbidden, Invalid `tags.invalid`."""
    checking.check_tags(tags)
    return _change(actor, name, "s3:PutBucketTagging", context, tags=dict(tags))


def put_versioning(*, actor: Actor, name: str, versioning: Versioning, context: Context = NO_CONTEXT) -> Bucket:
    """Raises NotFound, Forbidden, Invalid `bucket.versioning` (once on, it can only be suspended)."""
    if versioning is Versioning.NEVER:
        raise Invalid("bucket.versioning", "Versioning is enabled or suspended.", field="versioning")
    return _change(actor, name, "s3:PutBucketVersioning", context, versioning=versioning.value)


def _change(actor: Actor, name: str, action: str, context: Context, **columns: Any) -> Bucket:
    """Write these columns, and what they were, in the trail."""
    holder = buckets.named(name)
    gate.require(actor, action, holder, context=context)
    with transaction.atomic():
        bucket = _locked(holder, stays=True)
        # A value that is itself a list goes as a tuple.
        changes = {field: [_plain(getattr(bucket, field)), _plain(value)] for field, value in columns.items()}
        for field, value in columns.items():
            setattr(bucket, field, value)
        bucket.save(update_fields=list(columns))
        record.write(actor, "objects.bucket.update", "bucket", bucket.pk, project_id=bucket.project_id, name=name, changes=changes)
    return bucket


def _locked(holder: Bucket, *, stays: bool = False) -> Bucket:
    """The bucket as it is now. Unless it `stays`, whoever writes objects into it has ended, or waits. Raises NotFound."""
    bucket = Bucket.objects.select_for_update(no_key=stays).filter(pk=holder.pk).first()
    if bucket is None:
        raise buckets.not_found(holder.name)
    return bucket


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
