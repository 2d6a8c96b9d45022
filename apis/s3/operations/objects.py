"""Objects: sent, looked at, taken in, deleted."""

from dataclasses import replace
from typing import TYPE_CHECKING

from apis.s3 import conditions, xml
from apis.s3.answers import Answer, date, document, quoted
from apis.s3.call import MOST_LONG_XML, Call
from apis.s3.conditions import Span
from apis.s3.describing import (
    SANDBOX,
    about,
    checksum_elements,
    checksum_headers,
    of_version,
    overrides,
    refuse_unknown,
    version_id,
)
from apis.s3.errors import Refused, refusal
from apis.s3.operations import acls
from apps.common.errors import CloudError
from apps.objects import states
from apps.objects.inputs import Condition, Deleted, Doomed
from apps.objects.selectors import content
from apps.objects.selectors import objects as reads
from apps.objects.services import objects

if TYPE_CHECKING:  # tables are private to their context; a type may be named
    from apps.objects.models import Version

_ATTRIBUTES = ("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize")


def get(call: Call) -> Answer:
    """GetObject; without the body HeadObject."""
    request = call.request
    refuse_unknown(request.headers)
    bucket, row = reads.found(
        actor=call.actor, bucket=call.bucket, key=call.key, version=call.version,
        action="s3:GetObjectVersion" if call.version else "s3:GetObject", context=call.context,
    )
    headers = of_version(bucket, row)
    replaced = overrides(request.query)
    if replaced and call.actor.user_id is None:
        raise Refused("InvalidRequest", "Request specific response headers cannot be used for anonymous GET requests.")
    if condition := conditions.of_read(request.headers):
        _check(row, condition, headers)
    answer = Answer(headers=_titled(headers) | replaced | {"Content-Security-Policy": SANDBOX, "X-Content-Type-Options": "nosniff"})
    span = _asked(call, row, answer)
    if span is not None:
        answer.status = 206
        answer.headers["Content-Range"] = f"bytes {span.first}-{span.last}/{row.size_bytes}" if span.length else f"bytes */{row.size_bytes}"
    elif request.header("x-amz-checksum-mode").upper() == "ENABLED":
        answer.headers |= checksum_headers(row.checksums)
    answer.length = span.length if span is not None else row.size_bytes
    if request.method == "GET" and answer.length:
        first, last = (span.first, span.last) if span else (0, None)
        stream = content.open_content(row, first=first, last=last)
        answer.body = stream if answer.length > content.WHOLE_BYTES else content.whole(stream)
    return answer


def _check(row: "Version", condition: Condition, headers: dict[str, str]) -> None:
    try:
        reads.check(row, condition)
    except CloudError as error:
        found = refusal(error)
        if found.code == "NotModified":
            found.headers |= {name: headers[name] for name in ("ETag", "Last-Modified", "x-amz-version-id") if name in headers}
        raise found from None


def _asked(call: Call, row: "Version", answer: Answer) -> Span | None:
    """The bytes that are asked for, by range or by part; None for all. Raises Refused."""
    request = call.request
    text = request.header("range")
    if "partNumber" not in request.query:
        current = conditions.is_current(request.header("if-range"), row.etag, row.created_at)
        return conditions.span(text, row.size_bytes) if text and current else None
    if text:
        raise Refused("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
    number = call.part_number()
    if row.parts_count:
        part = reads.part(row, number)
        if part is None:
            raise Refused("InvalidPartNumber", PartNumberRequested=number, ActualPartCount=row.parts_count)
        answer.headers["x-amz-mp-parts-count"] = str(row.parts_count)
        start = part.starts_at or 0
        return Span(start, start + part.size_bytes - 1)
    if number != 1:
        raise Refused("InvalidPartNumber", PartNumberRequested=number, ActualPartCount=1)
    return Span(0, row.size_bytes - 1)


def _titled(headers: dict[str, str]) -> dict[str, str]:
    """As overrides name them, so that these replace them."""
    return {name if name.startswith("x-amz-") or name == "ETag" else name.title(): value for name, value in headers.items()}


def put(call: Call) -> Answer:
    """PutObject."""
    request = call.request
    refuse_unknown(request.headers)
    body = call.body()
    row = objects.put(
        actor=call.actor, bucket=call.bucket, key=call.key, stream=body, about=replace(about(request), acl=acls.of_headers(call)),
        expected=body.expected, size_bytes=body.length, condition=conditions.of_write(request.headers), context=call.context,
    )
    return Answer(headers={"ETag": quoted(row.etag), **version_id(row), **checksum_headers(row.checksums)})


def delete(call: Call) -> Answer:
    """DeleteObject."""
    refuse_unknown(call.request.headers)
    found = objects.delete(
        actor=call.actor, bucket=call.bucket, key=call.key, version=call.version, condition=conditions.of_write(call.request.headers),
        context=call.context,
    )
    headers = {"x-amz-version-id": found.version} if found.version else {}
    return Answer(status=204, headers=headers | ({"x-amz-delete-marker": "true"} if found.is_marker else {}))


def delete_many(call: Call) -> Answer:
    """DeleteObjects."""
    root = call.document("Delete", most=MOST_LONG_XML)
    quiet = (xml.text(root, "Quiet") or "").lower() == "true"
    doomed = []
    for each in root.findall("Object"):
        key = each.find("Key")
        if key is None or not key.text or each.find("LastModifiedTime") is not None or each.find("Size") is not None:
            raise Refused("MalformedXML")
        etags = conditions.etags(xml.text(each, "ETag") or "")
        doomed.append(Doomed(key.text, xml.text(each, "VersionId") or "", etags[0] if etags else ""))
    if not 1 <= len(doomed) <= states.DELETE_MOST_KEYS:
        raise Refused("MalformedXML")
    results = objects.delete_many(actor=call.actor, bucket=call.bucket, doomed=doomed, context=call.context)
    nodes = [_deleted(each, result) for each, result in zip(doomed, results, strict=True) if not (quiet and isinstance(result, Deleted))]
    return document("DeleteResult", nodes)


def _deleted(asked: Doomed, result: Deleted | CloudError) -> xml.Node:
    if isinstance(result, CloudError):
        said = refusal(result)
        return ("Error", [("Key", asked.key), ("VersionId", asked.version or None), ("Code", said.code), ("Message", said.message)])
    marker: list[xml.Node] = [("DeleteMarker", True), ("DeleteMarkerVersionId", result.version)] if result.is_marker else []
    return ("Deleted", [("Key", asked.key), ("VersionId", asked.version or None), *marker])


def attributes(call: Call) -> Answer:
    """GetObjectAttributes."""
    request = call.request
    asked = [each.strip() for each in request.header("x-amz-object-attributes").split(",") if each.strip()]
    if not asked or any(each not in _ATTRIBUTES for each in asked):
        raise Refused("InvalidArgument", "Invalid attribute name specified.", ArgumentName="x-amz-object-attributes")
    bucket, row = reads.found(
        actor=call.actor, bucket=call.bucket, key=call.key, version=call.version,
        action="s3:GetObjectVersionAttributes" if call.version else "s3:GetObjectAttributes", context=call.context,
    )
    known: dict[str, xml.Value] = {
        "ETag": row.etag, "Checksum": checksum_elements(row.checksums) or None,
        "ObjectParts": _parts(call, row) if "ObjectParts" in asked and row.parts_count else None,
        "StorageClass": "STANDARD", "ObjectSize": row.size_bytes,
    }
    nodes: list[xml.Node] = [(name, known[name]) for name in _ATTRIBUTES if name in asked]
    headers = {"Last-Modified": date(row.created_at), **version_id(row, bucket)}
    return document("GetObjectAttributesResponse", nodes, headers=headers)


def _parts(call: Call, row: "Version") -> list[xml.Node]:
    most, after = _header_number(call, "x-amz-max-parts", 1000), _header_number(call, "x-amz-part-number-marker", 0)
    found = reads.parts(row, after=after, most=most + 1) if most else []
    shown = found[:most]
    nodes: list[xml.Node] = [
        ("PartsCount", row.parts_count), ("PartNumberMarker", after), ("NextPartNumberMarker", shown[-1].number if shown else after),
        ("MaxParts", most), ("IsTruncated", len(found) > most),
    ]
    if not row.checksums:
        return nodes
    return nodes + [
        ("Part", [("PartNumber", each.number), ("Size", each.size_bytes), *checksum_elements(each.checksums, with_type=False)])
        for each in shown
    ]


def _header_number(call: Call, name: str, default: int) -> int:
    text = call.request.header(name)
    if not text:
        return default
    if not text.isascii() or not text.isdecimal() or len(text) > 6:
        raise Refused("InvalidArgument", f"{name}: expected a number.", ArgumentName=name, ArgumentValue=text[:64])
    return min(int(text), 1000) if name.endswith("max-parts") else int(text)


