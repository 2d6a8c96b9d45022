"""The one question that every service and selector asks: may this actor do that with this bucket or object?"""

from apps.common.context import Actor
from apps.common.errors import Forbidden
from apps.identity import policy
from apps.objects.inputs import NO_CONTEXT, Context
from apps.objects.models import Bucket, Described

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
    about, if that is there already."""
    if not allows(actor, action, bucket, key=key, version=version, context=context):
        raise Forbidden("object.forbidden", f"You may not do {action} here: neither role, bucket policy nor access list allows it.", action=action)


def allows(
    actor: Actor, action: str, bucket: Bucket, *, key: str = "", version: Described | None = None, context: Context = NO_CONTEXT
) -> bool:
    """The same as an answer."""
    return policy.allows(actor, permission(action), project_id=bucket.project_id)


def permission(action: str) -> str:
    """The permission that gives an action to those who work in the bucket's project."""
    if action in _OBJECT or action in _BUCKET:
        return _OBJECT.get(action) or _BUCKET[action]
    thing = "object" if "Object" in action else "bucket"
    return f"objects.{thing}.{'get' if action.startswith('s3:Get') else 'update'}"
