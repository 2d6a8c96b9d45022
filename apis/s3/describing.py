"""What an object is said to be: headers of a request → `About`, and a version → headers of an answer."""

import re
from collections.abc import Mapping
from email.header import Header
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from apis.s3 import checksums
from apis.s3.answers import date, quoted
from apis.s3.bodies import encodings
from apis.s3.errors import Refused
from apis.s3.request import Query, Request
from apps.objects.inputs import DEFAULT_TYPE, About
from apps.objects.states import NULL

if TYPE_CHECKING:
    from apps.objects.models import Bucket, Version

HEADERS = ("cache-control", "content-disposition", "content-encoding", "content-language", "expires")
_META = "x-amz-meta-"
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]*")
# response-content-type … replace what the object says of itself, for this answer.
OVERRIDES = {
    f"response-{name}": name for name in ("cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires")
}
# What is asked of us by them we do not do, and must not seem to have done.
_REFUSED = (
    "x-amz-server-side-encryption", "x-amz-copy-source-server-side-encryption", "x-amz-object-lock-", "x-amz-website-redirect-location",
    "x-amz-write-offset-bytes", "x-amz-object-annotation-directive", "x-amz-rename-source", "x-amz-bucket-namespace",
    "x-amz-if-match-last-modified-time", "x-amz-if-match-size",
)
_KNOWN_CLASSES = frozenset({
    "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER", "DEEP_ARCHIVE", "OUTPOSTS", "GLACIER_IR", "SNOW",
    "EXPRESS_ONEZONE",
})
# A page out of a bucket is a stranger's: in a browser it runs apart, without this host's cookies.
SANDBOX = "sandbox allow-downloads allow-forms allow-modals allow-popups allow-scripts"


def refuse_unknown(headers: Mapping[str, str]) -> None:
    """Raises Refused NotImplemented for headers that ask for what there is not, InvalidStorageClass."""
    for name in headers:
        if name.startswith(_REFUSED):
            raise Refused("NotImplemented", "A header you provided implies functionality that is not implemented", Header=name)
    storage = headers.get("x-amz-storage-class", "").strip() or "STANDARD"
    if storage in _KNOWN_CLASSES:
        raise Refused("NotImplemented", "There is one storage class, STANDARD.", Header="x-amz-storage-class")
    if storage != "STANDARD":
        raise Refused("InvalidStorageClass", StorageClassRequested=storage[:64])


def about(request: Request, *, tags: bool = True) -> About:
    """Out of the headers of a request; the access list is added by the caller."""
    headers = {name: request.header(name) for name in HEADERS if request.header(name)}
    # It says how the body was sent, and is no coding of the object.
    codings = [each for each in encodings(request) if each != "aws-chunked"]
    headers.pop("content-encoding", None)
    if codings:
        headers["content-encoding"] = ",".join(codings)
    return About(
        content_type=request.header("content-type")[:255] or DEFAULT_TYPE, headers=headers, metadata=metadata(request),
        tags=header_tags(request) if tags else {},
    )


def metadata(request: Request) -> dict[str, str]:
    """What the user adds. The server shows `a_b` as `a-b`: what was signed tells which it was. Raises Refused InvalidArgument."""
    signed = {name.replace("_", "-"): name for name in request.signed_headers}
    found = {
        signed.get(name, name).removeprefix(_META): value.strip() for name, value in request.headers.items() if name.startswith(_META)
    }
    for name in found:  # out of forms and addresses they may be anything
        if not _NAME.fullmatch(name):
            raise Refused("InvalidArgument", "This is no name of a header.", ArgumentName=(_META + name)[:128])
    return found


def header_tags(request: Request) -> dict[str, str]:
    """`x-amz-tagging: a=1&b=2`. Raises Refused InvalidArgument."""
    text = request.header("x-amz-tagging")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), errors="strict")
    except (ValueError, UnicodeDecodeError):
        pairs = [("", ""), ("", "")]
    if len(dict(pairs)) != len(pairs):
        raise Refused(
            "InvalidArgument", "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name"
            " duplicates.", ArgumentName="x-amz-tagging",
        )
    return dict(pairs)


def of_version(bucket: "Bucket", version: "Version") -> dict[str, str]:
    """All headers that say what a version is, without those of one answer (length, range)."""
    headers = {
        "Last-Modified": date(version.created_at), "ETag": quoted(version.etag), "Content-Type": encoded(version.content_type) or DEFAULT_TYPE,
        "Accept-Ranges": "bytes", **version_id(version, bucket),
    }
    headers |= {name: encoded(value) for name, value in version.headers.items()}
    headers |= {_META + name: encoded(value) for name, value in version.metadata.items()}
    if version.tags:
        headers["x-amz-tagging-count"] = str(len(version.tags))
    return headers


def version_id(version: "Version", bucket: "Bucket | None" = None) -> dict[str, str]:
    """Of buckets that never had versions, versions are not spoken of."""
    versioned = version.version != NULL or (bucket is not None and bucket.versioning)
    return {"x-amz-version-id": version.version} if versioned else {}


def checksum_headers(found: Mapping[str, str]) -> dict[str, str]:
    """Checksums as they are stored → headers."""
    headers = {checksums.header_of(name): value for name, value in found.items() if name in checksums.LENGTHS}
    if headers and found.get("type"):
        headers["x-amz-checksum-type"] = found["type"]
    return headers


def checksum_elements(found: Mapping[str, str], *, with_type: bool = True) -> list[tuple[str, str]]:
    """The same as elements of a document."""
    elements = [(f"Checksum{name}", value) for name, value in found.items() if name in checksums.LENGTHS]
    return elements + ([("ChecksumType", found["type"])] if elements and with_type and found.get("type") else [])


def overrides(query: Query) -> dict[str, str]:
    """Headers that the request wants otherwise. Raises Refused InvalidArgument."""
    found = {}
    for param, name in OVERRIDES.items():
        if param in query:
            value = query.get(param)
            if any(ord(letter) < 32 or ord(letter) == 127 for letter in value):
                raise Refused("InvalidArgument", "Header value cannot be represented.", ArgumentName=param)
            found[name.title()] = encoded(value)
    return found


def encoded(value: str) -> str:
    """A value that a header can hold: what is not ASCII is encoded as in mails, which is what S3 does."""
    if value.isascii():
        return "".join(letter for letter in value if letter.isprintable() or letter == "\t")
    return Header(value, "utf-8", maxlinelen=10**6).encode()
