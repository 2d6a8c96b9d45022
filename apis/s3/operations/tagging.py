"""Tags of buckets and objects."""

from collections.abc import Mapping

from apis.s3 import xml
from apis.s3.answers import Answer, document, nothing
from apis.s3.call import Call
from apis.s3.describing import version_id
from apis.s3.errors import Refused
from apis.s3.operations.buckets import tags_in
from apps.objects.selectors import buckets as bucket_reads
from apps.objects.selectors import objects as object_reads
from apps.objects.services import buckets, objects


def get_of_bucket(call: Call) -> Answer:
    """GetBucketTagging."""
    row = bucket_reads.bucket(actor=call.actor, name=call.bucket, action="s3:GetBucketTagging", context=call.context)
    if not row.tags:
        raise Refused("NoSuchTagSet", BucketName=call.bucket)
    return _rendered(row.tags)


def put_of_bucket(call: Call) -> Answer:
    """PutBucketTagging."""
    buckets.put_tags(actor=call.actor, name=call.bucket, tags=_read(call), context=call.context)
    return nothing()


def delete_of_bucket(call: Call) -> Answer:
    """DeleteBucketTagging."""
    buckets.put_tags(actor=call.actor, name=call.bucket, tags={}, context=call.context)
    return nothing()


def get_of_object(call: Call) -> Answer:
    """GetObjectTagging."""
    action = "s3:GetObjectVersionTagging" if call.version else "s3:GetObjectTagging"
    bucket, row = object_reads.found(
        actor=call.actor, bucket=call.bucket, key=call.key, version=call.version, action=action, context=call.context
    )
    answer = _rendered(row.tags)
    answer.headers |= version_id(row, bucket)
    return answer


def put_of_object(call: Call) -> Answer:
    """PutObjectTagging."""
    row = objects.put_tags(
        actor=call.actor, bucket=call.bucket, key=call.key, tags=_read(call), version=call.version, context=call.context
    )
    return Answer(headers=version_id(row))


def delete_of_object(call: Call) -> Answer:
    """DeleteObjectTagging."""
    row = objects.put_tags(actor=call.actor, bucket=call.bucket, key=call.key, tags={}, version=call.version, context=call.context)
    return Answer(status=204, headers=version_id(row))


def read(content: bytes) -> dict[str, str]:
    """A document `Tagging`. Raises Refused."""
    return tags_in(xml.parse(content, "Tagging").findall("TagSet/Tag"))


def _read(call: Call) -> dict[str, str]:
    return read(call.content())


def _rendered(tags: Mapping[str, str]) -> Answer:
    return document("Tagging", [("TagSet", [("Tag", [("Key", name), ("Value", value)]) for name, value in tags.items()])])
