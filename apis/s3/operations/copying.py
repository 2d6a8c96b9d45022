"""Copies inside the store: of objects, and of parts."""

from dataclasses import replace
from urllib.parse import unquote

from apis.s3 import conditions
from apis.s3.answers import Answer, document, quoted
from apis.s3.call import Call
from apis.s3.checksums import algorithm_of
from apis.s3.describing import about, checksum_elements, header_tags, refuse_unknown, version_id
from apis.s3.errors import Refused
from apis.s3.operations import acls
from apps.objects.inputs import Source
from apps.objects.services import objects, uploads

_DIRECTIVES = ("", "COPY", "REPLACE")


def copy(call: Call) -> Answer:
    """CopyObject."""
    request, headers = call.request, call.request.headers
    refuse_unknown(headers)
    anew = _directive(call, "x-amz-metadata-directive") == "REPLACE"
    tags = header_tags(request) if _directive(call, "x-amz-tagging-directive") == "REPLACE" else None
    source = _source(call)
    row = objects.copy(
        actor=call.actor, source=source, bucket=call.bucket, key=call.key,
        about=replace(about(request, tags=False), tags=tags or {}) if anew else None, tags=tags, acl=acls.of_headers(call),
        algorithm=algorithm_of(request.header("x-amz-checksum-algorithm"), "x-amz-checksum-algorithm"),
        condition=conditions.of_write(headers), context=call.context,
    )
    return document(
        "CopyObjectResult", [("LastModified", row.created_at), ("ETag", quoted(row.etag)), *checksum_elements(row.checksums)],
        headers=version_id(row) | _source_version(source),
    )


def copy_part(call: Call) -> Answer:
    """UploadPartCopy."""
    refuse_unknown(call.request.headers)
    span = conditions.copied_span(call.request.header("x-amz-copy-source-range"))
    source = _source(call)
    if span is not None:
        source = replace(source, first=span.first, last=span.last)
    part = uploads.copy_part(
        actor=call.actor, bucket=call.bucket, key=call.key, upload_id=call.request.query.get("uploadId"), number=call.part_number(),
        source=source, context=call.context,
    )
    return document(
        "CopyPartResult",
        [("LastModified", part.created_at), ("ETag", quoted(part.etag)), *checksum_elements(part.checksums, with_type=False)],
        headers=_source_version(source),
    )


def _source(call: Call) -> Source:
    """`/bucket/key?versionId=…`, quoted. Raises Refused InvalidArgument."""
    text, _, query = call.request.header("x-amz-copy-source").partition("?")
    name, version = "", ""
    if query:
        name, _, version = query.partition("=")
    bucket, _, key = unquote(text).removeprefix("/").partition("/")
    if not bucket or not key or (query and (name != "versionId" or not version)) or "\x00" in key:
        raise Refused(
            "InvalidArgument", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey", ArgumentName="x-amz-copy-source",
        )
    return Source(
        bucket=bucket, key=key, version=unquote(version), condition=conditions.of_read(call.request.headers, "x-amz-copy-source-")
    )


def _source_version(source: Source) -> dict[str, str]:
    return {"x-amz-copy-source-version-id": source.version} if source.version else {}


def _directive(call: Call, name: str) -> str:
    text = call.request.header(name)
    if text not in _DIRECTIVES:
        raise Refused("InvalidArgument", f"Unknown {name.removeprefix('x-amz-')}.", ArgumentName=name, ArgumentValue=text[:64])
    return text
