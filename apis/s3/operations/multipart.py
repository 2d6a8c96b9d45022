"""Uploads in parts."""

import re
from dataclasses import replace
from urllib.parse import quote
from xml.etree.ElementTree import Element

from apis.s3 import checksums, conditions, xml
from apis.s3.answers import Answer, document, nothing, quoted
from apis.s3.call import MOST_LONG_XML, Call
from apis.s3.checksums import algorithm_of
from apis.s3.describing import about, checksum_elements, checksum_headers, refuse_unknown, version_id
from apis.s3.errors import Refused
from apis.s3.operations import acls
from apis.s3.operations.listing import STANDARD
from apis.s3.people import Names
from apps.objects import states
from apps.objects.inputs import NamedPart
from apps.objects.selectors import uploads as reads
from apps.objects.services import uploads

_CHECKSUM = re.compile(r"([A-Za-z0-9+/]+={0,2})(-\d{1,5})?")


def begin(call: Call) -> Answer:
    """CreateMultipartUpload."""
    request = call.request
    refuse_unknown(request.headers)
    row = uploads.begin(
        actor=call.actor, bucket=call.bucket, key=call.key, about=replace(about(request), acl=acls.of_headers(call)),
        algorithm=algorithm_of(request.header("x-amz-checksum-algorithm"), "x-amz-checksum-algorithm"), checksum_type=_type(call),
        context=call.context,
    )
    headers = {"x-amz-checksum-algorithm": row.algorithm, "x-amz-checksum-type": row.checksum_type} if row.algorithm else {}
    return document(
        "InitiateMultipartUploadResult", [("Bucket", call.bucket), ("Key", call.key), ("UploadId", row.id.hex)], headers=headers
    )


def put_part(call: Call) -> Answer:
    """UploadPart."""
    refuse_unknown(call.request.headers)
    number, body = call.part_number(), call.body()
    part = uploads.put_part(
        actor=call.actor, bucket=call.bucket, key=call.key, upload_id=_upload(call), number=number, stream=body,
        expected=body.expected, size_bytes=body.length, context=call.context,
    )
    return Answer(headers={"ETag": quoted(part.etag), **checksum_headers({**part.checksums, "type": ""})})


def complete(call: Call) -> Answer:
    """CompleteMultipartUpload. A checksum in its headers is that of the object, and not of this document."""
    request = call.request
    refuse_unknown(request.headers)
    root = call.document("CompleteMultipartUpload", most=MOST_LONG_XML, checksummed=False)
    parts = [_part(each) for each in root.findall("Part")]
    if not 1 <= len(parts) <= states.MOST_PARTS:
        raise Refused("MalformedXML")
    row = uploads.complete(
        actor=call.actor, bucket=call.bucket, key=call.key, upload_id=_upload(call), parts=parts, checksum=_checksum(call),
        checksum_type=_type(call), size_bytes=_size(call), condition=conditions.of_write(request.headers), context=call.context,
    )
    path = f"/{quote(call.key)}" if request.virtual else f"/{call.bucket}/{quote(call.key)}"
    nodes: list[xml.Node] = [
        ("Location", f"{request.scheme}://{request.host}{path}"), ("Bucket", call.bucket), ("Key", call.key), ("ETag", quoted(row.etag)),
        *checksum_elements(row.checksums),
    ]
    return document("CompleteMultipartUploadResult", nodes, headers=version_id(row))


def abort(call: Call) -> Answer:
    """AbortMultipartUpload."""
    uploads.abort(actor=call.actor, bucket=call.bucket, key=call.key, upload_id=_upload(call), context=call.context)
    return nothing()


def list_parts(call: Call) -> Answer:
    """ListParts."""
    most = call.number("max-parts", default=states.PAGE_MOST, least=0, most=states.PAGE_MOST)
    after = call.number("part-number-marker", default=0, least=0, most=2**31 - 1)
    _, upload = reads.upload(actor=call.actor, bucket=call.bucket, key=call.key, upload_id=_upload(call), context=call.context)
    found = reads.parts(upload, after=after, most=most + 1) if most else []
    shown = found[:most]
    owner = Names(call.actor, [upload.user_id]).person(upload.user_id)
    nodes: list[xml.Node] = [
        ("Bucket", call.bucket), ("Key", call.key), ("UploadId", upload.id.hex), ("Initiator", owner), ("Owner", owner), STANDARD,
        ("PartNumberMarker", after), ("NextPartNumberMarker", shown[-1].number if shown else after), ("MaxParts", most),
        ("IsTruncated", len(found) > most), ("ChecksumAlgorithm", upload.algorithm or None), ("ChecksumType", upload.checksum_type or None),
    ]
    nodes += [
        ("Part", [
            ("PartNumber", part.number), ("LastModified", part.created_at), ("ETag", quoted(part.etag)), ("Size", part.size_bytes),
            *checksum_elements(part.checksums, with_type=False),
        ])
        for part in shown
    ]
    return document("ListPartsResult", nodes)


def _upload(call: Call) -> str:
    return call.request.query.get("uploadId")


def _part(element: Element) -> NamedPart:
    number, etags = xml.required(element, "PartNumber"), conditions.etags(xml.required(element, "ETag"))
    if not re.fullmatch(r"\d{1,6}", number, re.ASCII) or len(etags) != 1:
        raise Refused("MalformedXML")
    found = {name: value for name in checksums.LENGTHS if (value := xml.text(element, f"Checksum{name}"))}
    return NamedPart(int(number), etags[0], found)


def _checksum(call: Call) -> str:
    """Of the whole object, if the request says it. Raises Refused InvalidRequest."""
    given = [(name, call.request.header(checksums.header_of(name))) for name in checksums.LENGTHS]
    said = [(name, value) for name, value in given if value]
    if not said:
        return ""
    name, value = said[0]
    match = _CHECKSUM.fullmatch(value)
    if len(said) > 1 or match is None:
        raise Refused("InvalidRequest", f"Value for {checksums.header_of(name)} header is invalid.")
    checksums.check(name, match[1])
    return value


def _type(call: Call) -> str:
    text = call.request.header("x-amz-checksum-type").upper()
    if text not in ("", *(each.value for each in states.ChecksumType)):
        raise Refused("InvalidRequest", "Value for x-amz-checksum-type header is invalid.")
    return text


def _size(call: Call) -> int | None:
    text = call.request.header("x-amz-mp-object-size")
    if not text:
        return None
    if not re.fullmatch(r"\d{1,15}", text, re.ASCII):
        raise Refused("InvalidRequest", "Value for x-amz-mp-object-size header is invalid.")
    return int(text)
