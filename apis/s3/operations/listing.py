"""Lists of objects, versions and uploads in parts."""

import base64
import binascii
from collections.abc import Callable
from urllib.parse import quote

from apis.s3 import xml
from apis.s3.answers import Answer, document, quoted
from apis.s3.call import Call
from apis.s3.errors import Refused
from apis.s3.people import Names
from apps.objects import states
from apps.objects.selectors import buckets as reads
from apps.objects.selectors import listing
from apps.objects.selectors.listing import Entry

Encode = Callable[[str], str]
STANDARD: xml.Node = ("StorageClass", "STANDARD")


def objects(call: Call) -> Answer:
    """ListObjects, the first form: it goes on after the last key."""
    query, encode = call.request.query, _encoding(call)
    most, delimiter, marker = _most(call), query.get("delimiter"), query.get("marker")
    bucket = reads.bucket(actor=call.actor, name=call.bucket, context=call.context)
    page = listing.objects(bucket, prefix=query.get("prefix"), delimiter=delimiter, after=marker, most=most)
    names = Names(call.actor, (row.user_id for row in page.entries))
    nodes: list[xml.Node] = [
        ("Name", bucket.name), ("Prefix", encode(query.get("prefix"))), ("Marker", encode(marker)), ("MaxKeys", most),
        ("Delimiter", encode(delimiter) if delimiter else None), _said_encoding(call), ("IsTruncated", page.more),
        ("NextMarker", encode(page.next_key) if page.more and delimiter else None),
    ]
    return document("ListBucketResult", nodes + [_object(row, encode, names) for row in page.entries] + _prefixes(page.prefixes, encode))


def objects_2(call: Call) -> Answer:
    """ListObjectsV2: it goes on by a token."""
    query, encode = call.request.query, _encoding(call)
    if query.get("list-type") != "2":
        raise Refused("InvalidArgument", "Invalid List Type", ArgumentName="list-type", ArgumentValue=query.get("list-type")[:64])
    most, delimiter, token, start = _most(call), query.get("delimiter"), query.get("continuation-token"), query.get("start-after")
    if "continuation-token" in query and not token:
        raise Refused("InvalidArgument", "The continuation token provided is incorrect", ArgumentName="continuation-token")
    bucket = reads.bucket(actor=call.actor, name=call.bucket, context=call.context)
    after = _untold(token) if token else start
    page = listing.objects(bucket, prefix=query.get("prefix"), delimiter=delimiter, after=after, most=most)
    names = Names(call.actor, (row.user_id for row in page.entries)) if query.get("fetch-owner").lower() == "true" else None
    nodes: list[xml.Node] = [
        ("Name", bucket.name), ("Prefix", encode(query.get("prefix"))), ("MaxKeys", most),
        ("KeyCount", len(page.entries) + len(page.prefixes)), ("Delimiter", encode(delimiter) if delimiter else None), _said_encoding(call),
        ("IsTruncated", page.more), ("ContinuationToken", token or None), ("StartAfter", encode(start) if start else None),
        ("NextContinuationToken", _told(page.next_key) if page.more else None),
    ]
    return document("ListBucketResult", nodes + [_object(row, encode, names) for row in page.entries] + _prefixes(page.prefixes, encode))


def versions(call: Call) -> Answer:
    """ListObjectVersions."""
    query, encode = call.request.query, _encoding(call)
    most, delimiter = _most(call), query.get("delimiter")
    marker, version_marker = query.get("key-marker"), query.get("version-id-marker")
    if "version-id-marker" in query and not (marker and version_marker):
        text = "A version-id marker cannot be " + ("empty." if marker else "specified without a key marker.")
        raise Refused("InvalidArgument", text, ArgumentName="version-id-marker", ArgumentValue=version_marker[:64])
    bucket = reads.bucket(actor=call.actor, name=call.bucket, action="s3:ListBucketVersions", context=call.context)
    page = listing.versions(
        bucket, prefix=query.get("prefix"), delimiter=delimiter, after=marker, after_version=version_marker, most=most
    )
    names = Names(call.actor, (row.user_id for row in page.entries))
    nodes: list[xml.Node] = [
        ("Name", bucket.name), ("Prefix", encode(query.get("prefix"))), ("KeyMarker", encode(marker)), ("VersionIdMarker", version_marker),
        ("MaxKeys", most), ("Delimiter", encode(delimiter) if delimiter else None), _said_encoding(call), ("IsTruncated", page.more),
        ("NextKeyMarker", encode(page.next_key) if page.more else None),
        ("NextVersionIdMarker", page.next_version or None if page.more else None),
    ]
    return document(
        "ListVersionsResult", nodes + [_version(row, encode, names) for row in page.entries] + _prefixes(page.prefixes, encode)
    )


def uploads(call: Call) -> Answer:
    """ListMultipartUploads."""
    query, encode = call.request.query, _encoding(call)
    most = call.number("max-uploads", default=states.PAGE_MOST, least=0, most=states.PAGE_MOST)
    delimiter, marker, upload_marker = query.get("delimiter"), query.get("key-marker"), query.get("upload-id-marker")
    bucket = reads.bucket(actor=call.actor, name=call.bucket, action="s3:ListBucketMultipartUploads", context=call.context)
    page = listing.uploads(
        bucket, prefix=query.get("prefix"), delimiter=delimiter, after=marker, after_upload=upload_marker if marker else "", most=most
    )
    names = Names(call.actor, (row.user_id for row in page.entries))
    nodes: list[xml.Node] = [
        ("Bucket", bucket.name), ("KeyMarker", encode(marker)), ("UploadIdMarker", upload_marker),
        ("NextKeyMarker", encode(page.next_key) if page.more else None), ("NextUploadIdMarker", page.next_upload or None if page.more else None),
        ("Prefix", encode(query.get("prefix"))), ("Delimiter", encode(delimiter) if delimiter else None), _said_encoding(call),
        ("MaxUploads", most), ("IsTruncated", page.more),
    ]
    nodes += [
        ("Upload", [
            ("Key", encode(row.key)), ("UploadId", row.id.hex), ("Initiator", names.person(row.user_id)), ("Owner", names.person(row.user_id)),
            STANDARD, ("Initiated", row.created_at), ("ChecksumAlgorithm", row.algorithm or None), ("ChecksumType", row.checksum_type or None),
        ])
        for row in page.entries
    ]
    return document("ListMultipartUploadsResult", nodes + _prefixes(page.prefixes, encode))


def _object(row: Entry, encode: Encode, names: Names | None) -> xml.Node:
    return ("Contents", [
        ("Key", encode(row.key)), ("LastModified", row.created_at), ("ETag", quoted(row.etag)), *_algorithm(row), ("Size", row.size_bytes),
        ("Owner", names.person(row.user_id) if names else None), STANDARD,
    ])


def _version(row: Entry, encode: Encode, names: Names) -> xml.Node:
    first: list[xml.Node] = [
        ("Key", encode(row.key)), ("VersionId", row.version), ("IsLatest", row.is_latest), ("LastModified", row.created_at),
    ]
    owner: xml.Node = ("Owner", names.person(row.user_id))
    if row.is_marker:
        return ("DeleteMarker", [*first, owner])
    return ("Version", [*first, ("ETag", quoted(row.etag)), *_algorithm(row), ("Size", row.size_bytes), STANDARD, owner])


def _algorithm(row: Entry) -> list[xml.Node]:
    if not row.checksums:
        return []
    return [*(("ChecksumAlgorithm", name) for name in row.checksums if name != "type"), ("ChecksumType", row.checksums.get("type"))]


def _prefixes(prefixes: list[str], encode: Encode) -> list[xml.Node]:
    return [("CommonPrefixes", [("Prefix", encode(each))]) for each in prefixes]


def _most(call: Call) -> int:
    return call.number("max-keys", default=states.PAGE_MOST, least=0, most=states.PAGE_MOST)


def _encoding(call: Call) -> Encode:
    asked = call.request.query.get("encoding-type")
    if asked not in ("", "url"):
        raise Refused("InvalidArgument", "Invalid Encoding Method specified in Request", ArgumentName="encoding-type", ArgumentValue=asked[:64])
    return (lambda text: quote(text, safe="/-_.~")) if asked else str


def _said_encoding(call: Call) -> xml.Node:
    return ("EncodingType", call.request.query.get("encoding-type") or None)


def _told(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def _untold(token: str) -> str:
    try:
        return base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise Refused("InvalidArgument", "The continuation token provided is incorrect", ArgumentName="continuation-token") from None
