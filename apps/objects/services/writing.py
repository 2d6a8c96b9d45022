"""What all writes of objects share: how the object is described, who may write it, and the trail."""

from typing import Any

from django.conf import settings

from apps.audit.services import record
from apps.common import clock
from apps.common.context import Actor
from apps.objects.access.decide import facts_of_new
from apps.objects.inputs import About, Context
from apps.objects.models import Bucket, Version
from apps.objects.selectors import gate


def described(actor: Actor, about: About) -> dict[str, Any]:
    """The columns of `models.Described`, for an object that this actor writes now."""
    return {
        "content_type": about.content_type, "headers": dict(about.headers), "metadata": dict(about.metadata), "tags": dict(about.tags),
        "acl": dict(about.acl) if about.acl is not None else None, "project_id": actor.project_id, "user_id": actor.user_id,
        "created_at": clock.now(),
    }


def allow_writing(actor: Actor, bucket: Bucket, key: str, about: About, context: Context) -> None:
    """Raises Forbidden: to say who may read it, or to tag it, one needs more than to write."""
    facts = {**context, **facts_of_new(about.tags, about.acl)}
    gate.require(actor, "s3:PutObject", bucket, key=key, context=facts)
    if about.tags:
        gate.require(actor, "s3:PutObjectTagging", bucket, key=key, context=facts)
    if about.acl is not None:
        gate.require(actor, "s3:PutObjectAcl", bucket, key=key, context=facts)


def write_down(actor: Actor, permission: str, bucket: Bucket, version: Version) -> None:
    """In the audit trail, if the operator wants to have it there."""
    if settings.ENV.audit_objects:
        told = {"version": version.version, "size_bytes": version.size_bytes or None}
        record.write(actor, permission, "object", f"{bucket.name}/{version.key}", project_id=bucket.project_id, name=version.key, changes=told)
