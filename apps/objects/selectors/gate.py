"""The one question that every service and selector asks: may this actor do that with this bucket or object?

What roles give is asked of identity; policy and access lists are read in `access`, which decides.
"""

import logging

import orjson

from apps.common import clock
from apps.common.context import Actor
from apps.common.errors import Forbidden, Invalid
from apps.identity import policy
from apps.objects.access import actions
from apps.objects.access.asking import Owner, Question, Subject
from apps.objects.access.decide import Case, Thing, Verdict, decide, facts_of_existing, facts_of_new
from apps.objects.access.exposure import Exposure, exposure
from apps.objects.access.policy import Policy, stored
from apps.objects.inputs import NO_CONTEXT, Context
from apps.objects.models import Bucket, Described, Upload

log = logging.getLogger(__name__)
_BUCKET = {"s3:DeleteBucket": "objects.bucket.delete", "s3:ListAllMyBuckets": "objects.bucket.list", "s3:CreateBucket": "objects.bucket.create"}
_OBJECT = {
    "s3:ListBucket": "objects.object.list", "s3:ListBucketVersions": "objects.object.list",
    "s3:ListBucketMultipartUploads": "objects.object.list", "s3:PutObject": "objects.object.create",
    "s3:AbortMultipartUpload": "objects.object.create", "s3:ListMultipartUploadParts": "objects.object.get",
    "s3:DeleteObject": "objects.object.delete", "s3:DeleteObjectVersion": "objects.object.delete",
}


def require(
    actor: Actor, action: str, bucket: Bucket, *, key: str = "", version: Described | None = None, context: Context = NO_CONTEXT
) -> None:
    """Raises Forbidden unless role, bucket policy or access list allow `action` (`s3:GetObject` …). `version`: what it is
    about, if that is there already. Codes: `policy.forbidden` (the role in the bucket's project is not enough), `object.denied` (by
    the bucket's policy), `object.forbidden`."""
    for each in actions.needed(action):
        verdict = _verdict(actor, each, bucket, key, version, context)
        if not verdict.allowed:
            raise _refusal(actor, each, bucket, verdict)


def allows(
    actor: Actor, action: str, bucket: Bucket, *, key: str = "", version: Described | None = None, context: Context = NO_CONTEXT
) -> bool:
    """The same as an answer."""
    return all(_verdict(actor, each, bucket, key, version, context).allowed for each in actions.needed(action))


def knows(actor: Actor, bucket: Bucket) -> bool:
    """Whether the actor may know of the bucket, whatever its policy says."""
    works_there = actor.project_id is not None and actor.project_id == bucket.project_id
    return works_there or policy.allows(actor, "objects.bucket.get", project_id=bucket.project_id)


def exposed(bucket: Bucket) -> Exposure:
    """To whom the bucket is open besides its project. A policy that cannot be read opens it to nobody."""
    try:
        asked = _policy(bucket)
    except Invalid:
        return Exposure.NOBODY
    return exposure(bucket.acl, asked, owner=Owner(bucket.user_id, bucket.project_id).canonical)


def permission(action: str) -> str:
    """The permission that gives an action to those who work in the bucket's project."""
    if action in _OBJECT or action in _BUCKET:
        return _OBJECT.get(action) or _BUCKET[action]
    thing = "object" if "Object" in action else "bucket"
    return f"objects.{thing}.{'get' if action.startswith('s3:Get') else 'update'}"


def _verdict(actor: Actor, action: str, bucket: Bucket, key: str, version: Described | None, context: Context) -> Verdict:
    needed = permission(action)
    by_role = policy.allows(actor, needed, project_id=bucket.project_id)
    if by_role and bucket.policy is None:
        return Verdict(True)
    try:
        asked = _policy(bucket)
    except Invalid as error:
        log.error("the policy of the bucket %s cannot be read, so it is taken to deny everything: %s", bucket.name, error)
        return Verdict(by_role and action in actions.ON_POLICIES and _keeps(actor, bucket), "its policy, which cannot be read")
    facts = dict(context)
    if version is not None:
        facts |= facts_of_new(version.tags, version.acl) if isinstance(version, Upload) else facts_of_existing(version.tags)
    case = Case(
        question=Question(
            subject=Subject(actor.user_id, actor.user_name, actor.project_id), action=action, bucket=bucket.name, key=key, facts=facts
        ),
        owner=Owner(bucket.user_id, bucket.project_id), now=clock.now(), policy=asked, acl=bucket.acl,
        thing=Thing(acl=version.acl, owner=Owner(version.user_id, version.project_id)) if version is not None else None,
        by_role=by_role, able=actor.user_id is not None and policy.allows(actor, needed),
        keeper=action in actions.ON_POLICIES and _keeps(actor, bucket),
    )
    return decide(case)


def _policy(bucket: Bucket) -> Policy | None:
    return None if bucket.policy is None else stored(orjson.dumps(bucket.policy), bucket.name)


def _keeps(actor: Actor, bucket: Bucket) -> bool:
    """Who can undo every policy of the bucket, so that nobody is locked out for good."""
    made_it = actor.user_id is not None and actor.user_id == bucket.user_id
    return made_it or policy.allows(actor, "objects.bucket.unlock", project_id=bucket.project_id)


def _refusal(actor: Actor, action: str, bucket: Bucket, verdict: Verdict) -> Forbidden:
    """Whoever has a part in the project is told what is in the way, others are not."""
    if verdict.denied_by and knows(actor, bucket):
        return Forbidden("object.denied", f"The bucket's policy denies {action}: {verdict.denied_by}.", action=action, statement=verdict.denied_by)
    if actor.project_id == bucket.project_id and not verdict.denied_by:
        try:
            policy.require(actor, permission(action), project_id=bucket.project_id)
        except Forbidden as error:
            return error
    return Forbidden("object.forbidden", f"You may not do {action} here: neither role, bucket policy nor access list allows it.", action=action)
