"""Reads of buckets."""

import uuid
from collections import Counter
from collections.abc import Collection

from django.db.models import Count, QuerySet, Sum

from apps.common.context import Actor
from apps.common.errors import NotFound
from apps.common.sql import Compiled
from apps.identity import policy
from apps.objects.inputs import NO_CONTEXT, Context
from apps.objects.models import Bucket, Part, Version
from apps.objects.selectors import gate

_NAMED = Compiled(lambda name: Bucket.objects.filter(name=name)[:1], "a name that no bucket has")


def buckets(*, actor: Actor, all_projects: bool = False) -> "QuerySet[Bucket]":
    """Those of the project that the actor works in, by name. All of them: for whom has the permission everywhere, and asks for
    `all_projects` or works in none. Raises Forbidden."""
    policy.require(actor, "objects.bucket.list")
    if all_projects:
        policy.require_everywhere(actor, "objects.bucket.list")
    rows = Bucket.objects.order_by("name")
    if all_projects or (actor.project_id is None and policy.everywhere(actor, "objects.bucket.list")):
        return rows
    return rows.filter(project_id=actor.project_id) if actor.project_id else rows.none()


def bucket(*, actor: Actor, name: str, action: str = "s3:ListBucket", context: Context = NO_CONTEXT) -> Bucket:
    """One with which the actor may do `action`, named as in bucket policies. Raises NotFound `bucket.not_found`, Forbidden."""
    found = named(name)
    gate.require(actor, action, found, context=context)
    return found


def shown(*, actor: Actor, name: str, action: str = "s3:ListBucket", key: str = "", context: Context = NO_CONTEXT) -> Bucket:
    """The same where a bucket that the actor has no business with is as good as none. Raises NotFound, Forbidden."""
    policy.require(actor, gate.permission(action))
    found = named(name)
    ways = ((action, key), ("s3:ListBucket", ""))
    if not gate.knows(actor, found) and not any(gate.allows(actor, each, found, key=of, context=context) for each, of in ways):
        raise not_found(name)
    gate.require(actor, action, found, key=key, context=context)
    return found


def named(name: str) -> Bucket:
    """One whoever asks: for CORS, and for those who ask for permission next. Raises NotFound `bucket.not_found`."""
    found = _NAMED.first(name)
    if found is None:
        raise not_found(name)
    return found


def not_found(name: str) -> NotFound:
    """The refusal for a bucket that is not there."""
    return NotFound("bucket.not_found", f"There is no bucket {name}.", field="bucket", bucket=name)


def usage(project_ids: Collection[uuid.UUID] | None) -> dict[uuid.UUID, dict[str, int]]:
    """What buckets and their content count in quotas, by project: versions and parts of uploads."""
    rows = Bucket.objects.all()
    if project_ids is not None:
        rows = rows.filter(project_id__in=list(project_ids))
    owners = dict(rows.values_list("pk", "project_id"))
    found: dict[uuid.UUID, Counter[str]] = {}
    for project_id, count in rows.values_list("project_id").annotate(Count("pk")).order_by():
        found[project_id] = Counter(buckets=count, object_bytes=0)
    whole = Version.objects.values_list("bucket_id").annotate(Sum("size_bytes")).order_by()
    in_parts = Part.objects.filter(upload__isnull=False).values_list("upload__bucket_id").annotate(Sum("size_bytes")).order_by()
    if project_ids is not None:
        whole, in_parts = whole.filter(bucket__in=rows), in_parts.filter(upload__bucket__in=rows)
    for counted in (whole, in_parts):
        for bucket_id, size in counted:
            if bucket_id in owners:
                found[owners[bucket_id]]["object_bytes"] += size or 0
    return {project_id: dict(amounts) for project_id, amounts in found.items()}
