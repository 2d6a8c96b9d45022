"""One upload in parts, and its parts."""

from django.db.models import QuerySet

from apps.common import ids
from apps.common.context import Actor
from apps.common.errors import NotFound
from apps.objects.inputs import NO_CONTEXT, Context
from apps.objects.models import Bucket, Part, Upload
from apps.objects.selectors import buckets, gate


def upload(
    *, actor: Actor, bucket: str, key: str, upload_id: str, action: str = "s3:ListMultipartUploadParts", context: Context = NO_CONTEXT
) -> tuple[Bucket, Upload]:
    """Raises NotFound `bucket.not_found`, `upload.not_found`, Forbidden."""
    holder = buckets.named(bucket)
    row = rows(holder, key, upload_id).first()
    gate.require(actor, action, holder, key=key, version=row, context=context)
    if row is None:
        raise not_found(upload_id)
    return holder, row


def rows(bucket: Bucket, key: str, upload_id: str) -> "QuerySet[Upload]":
    """The one upload, if it is there."""
    found = ids.parse(upload_id)
    return Upload.objects.none() if found is None else Upload.objects.filter(pk=found, bucket_id=bucket.pk, key=key)


def not_found(upload_id: str) -> NotFound:
    """The refusal for an upload that is not there, or not any more."""
    return NotFound("upload.not_found", f"There is no upload {upload_id} (any more).", field="upload_id", upload_id=upload_id)


def parts(upload: Upload, *, after: int = 0, most: int = 1000) -> list[Part]:
    """By number, from the one after number `after`."""
    return list(Part.objects.filter(upload_id=upload.pk, number__gt=after).order_by("number")[:most])
