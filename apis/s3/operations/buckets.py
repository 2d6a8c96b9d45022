"""Buckets: listed, made, looked at, deleted; where they are."""

from xml.etree.ElementTree import Element

from apis.s3 import xml
from apis.s3.answers import Answer, document, nothing
from apis.s3.call import Call
from apis.s3.describing import refuse_unknown
from apis.s3.errors import Refused
from apis.s3.operations import acls
from apis.s3.people import Names
from apps.objects.selectors import buckets as reads
from apps.objects.services import buckets

# Old clients know no pages of this list.
_MOST = 10_000
# Whose location is told by saying nothing.
_UNSAID = "us-east-1"
_OWNERSHIPS = ("", "ObjectWriter")


def list_buckets(call: Call) -> Answer:
    """Those of the project that the key is for."""
    query = call.request.query
    most, prefix, after = call.number("max-buckets", default=_MOST, least=1, most=_MOST), query.get("prefix"), query.get("continuation-token")
    rows = reads.buckets(actor=call.actor).order_by("name")
    if query.get("bucket-region") not in ("", call.region):
        rows = rows.none()
    if prefix:
        rows = rows.filter(name__startswith=prefix)
    if after:
        rows = rows.filter(name__gt=after)
    found = list(rows[: most + 1])
    shown = found[:most]
    listed: list[xml.Node] = [
        ("Bucket", [("Name", row.name), ("CreationDate", row.created_at), ("BucketRegion", call.region)]) for row in shown
    ]
    owner = Names(call.actor, []).person(call.actor.user_id)
    token = shown[-1].name if len(found) > most else None
    return document(
        "ListAllMyBucketsResult", [("Owner", owner), ("Buckets", listed), ("ContinuationToken", token), ("Prefix", prefix or None)]
    )


def create(call: Call) -> Answer:
    """CreateBucket."""
    request = call.request
    refuse_unknown(request.headers)
    if request.header("x-amz-bucket-object-lock-enabled").lower() == "true":
        raise Refused("NotImplemented", "Object lock is not offered.", Header="x-amz-bucket-object-lock-enabled")
    if request.header("x-amz-object-ownership") not in _OWNERSHIPS:
        raise Refused("NotImplemented", "Objects belong to who writes them.", Header="x-amz-object-ownership")
    content = call.body().all(64 * 1024)
    tags = _check_configuration(call, content) if content.strip() else {}
    buckets.create(actor=call.actor, name=call.bucket, acl=acls.of_headers(call), tags=tags or None)
    return Answer(headers={"Location": f"/{call.bucket}"})


def _check_configuration(call: Call, content: bytes) -> dict[str, str]:
    """What CreateBucketConfiguration says: the place must be ours. Tags, if it has some. Raises Refused."""
    root = xml.parse(content, "CreateBucketConfiguration")
    place = xml.text(root, "LocationConstraint") or ""
    if place not in ("", call.region):
        raise Refused(
            "IllegalLocationConstraintException",
            f"The {place} location constraint is incompatible for the region specific endpoint this request was sent to.",
        )
    if root.find("Location") is not None or root.find("Bucket") is not None:
        raise Refused("NotImplemented", "There are general purpose buckets only.")
    return tags_in(root.findall("Tags/Tag"))


def delete(call: Call) -> Answer:
    """DeleteBucket."""
    buckets.delete(actor=call.actor, name=call.bucket, context=call.context)
    return nothing()


def head(call: Call) -> Answer:
    """HeadBucket."""
    reads.bucket(actor=call.actor, name=call.bucket, context=call.context)
    return nothing(200, x_amz_bucket_region=call.region, x_amz_access_point_alias="false")


def location(call: Call) -> Answer:
    """GetBucketLocation."""
    reads.bucket(actor=call.actor, name=call.bucket, action="s3:GetBucketLocation", context=call.context)
    return document("LocationConstraint", "" if call.region == _UNSAID else call.region)


def tags_in(elements: list[Element]) -> dict[str, str]:
    """Tags of a document. Raises Refused."""
    pairs = [(xml.required(each, "Key"), xml.text(each, "Value")) for each in elements]
    if any(value is None for _, value in pairs):
        raise Refused("MalformedXML")
    if len({name for name, _ in pairs}) != len(pairs):
        raise Refused("InvalidTag", "Cannot provide multiple Tags with the same key")
    return {name: value or "" for name, value in pairs}


