"""What requests were signed as: clients' own signers against our string to sign."""

import datetime
import io
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.config import Config
from urllib3 import HTTPResponse

from apis.s3 import request, signing
from apis.s3.errors import Refused
from apis.s3.request import Request
from apps.identity.signatures import Text

KEY = "a b/ü+%&=?~(1)'*!/x//y"
BOTH = pytest.mark.parametrize("version", ["s3v4", "s3"])
STYLES = pytest.mark.parametrize("style", ["path", "virtual"])


def client(version: str = "s3v4", style: str = "path", seen: list[Any] | None = None) -> Any:
    made = boto3.client(
        "s3", endpoint_url="http://s3.test:8610", aws_access_key_id="AKANN", aws_secret_access_key="hush", region_name="us-east-1",
        config=Config(signature_version=version, s3={"addressing_style": style}),
    )

    def keep(request: Any, **_: Any) -> AWSResponse:
        (seen if seen is not None else []).append(request)
        return AWSResponse(request.url, 200, {}, HTTPResponse(io.BytesIO(), preload_content=False))

    made.meta.events.register("before-send.s3", keep)
    return made


def read(sent: Any, **changed: str) -> Request:
    parts = urlsplit(sent.url)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": sent.method, "PATH_INFO": unquote_to_bytes(parts.path).decode("latin-1"), "QUERY_STRING": parts.query,
        "HTTP_HOST": parts.netloc, "wsgi.input": io.BytesIO(),
    }
    for name, value in sent.headers.items():
        text = value.decode() if isinstance(value, bytes) else str(value)
        named = name.upper().replace("-", "_")
        environ[named if named in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{named}"] = text
    return request.read(environ | changed, domains=("s3.test",))


def now(*, later_s: float = 0) -> datetime.datetime:
    """botocore signs with the real clock, and these tests may run long after they were read."""
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=later_s)


def is_right(asked: Request, at: datetime.datetime | None = None) -> bool:
    at = at or now()
    claim = signing.claim(asked, at)
    assert claim is not None and claim.access == "AKANN"
    return Text(signature=claim.signature, text=claim.text).is_by("hush", at)


CALLS: dict[str, dict[str, Any]] = {
    "list_buckets": {},
    "list_objects": {"Bucket": "bucket", "Prefix": "a b+c/ü", "Marker": "&=?"},
    "list_objects_v2": {"Bucket": "bucket", "Delimiter": "/"},
    "put_object": {"Bucket": "bucket", "Key": KEY, "Body": b"hello", "Metadata": {"foo-bar": "  a   b"}, "ContentType": "text/plain"},
    "get_object": {"Bucket": "bucket", "Key": KEY, "VersionId": "1", "Range": "bytes=0-3", "ResponseContentType": "text/x y"},
    "copy_object": {"Bucket": "bucket", "Key": KEY, "CopySource": {"Bucket": "other", "Key": KEY}},
    "upload_part": {"Bucket": "bucket", "Key": KEY, "UploadId": "u", "PartNumber": 3, "Body": b"x"},
    "get_bucket_acl": {"Bucket": "bucket"},
    "delete_objects": {"Bucket": "bucket", "Delete": {"Objects": [{"Key": "a"}]}},
}


@BOTH
@STYLES
@pytest.mark.parametrize("call", sorted(CALLS))
def test_what_boto3_signs_is_what_we_put_together(version: str, style: str, call: str) -> None:
    seen: list[Any] = []
    getattr(client(version, style, seen), call)(**CALLS[call])
    assert is_right(read(seen[0]))


@BOTH
@STYLES
def test_presigned_addresses_too(version: str, style: str) -> None:
    url = client(version, style).generate_presigned_url(
        "get_object", Params={"Bucket": "bucket", "Key": KEY, "ResponseContentDisposition": 'attachment; filename="a b.txt"'}, ExpiresIn=60
    )
    asked = read(AWSRequest("GET", url).prepare())
    assert is_right(asked)
    asked.method = "PUT"
    assert not is_right(asked)


@BOTH
@pytest.mark.parametrize("where", ["REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "HTTP_X_AMZ_META_FOO_BAR"])
def test_whatever_is_changed_on_the_way_breaks_the_signature(version: str, where: str) -> None:
    seen: list[Any] = []
    client(version, seen=seen).put_object(**CALLS["put_object"])
    changed = {"REQUEST_METHOD": "GET", "PATH_INFO": "/bucket/other", "QUERY_STRING": "acl", "HTTP_X_AMZ_META_FOO_BAR": "c"}
    assert is_right(read(seen[0]))
    assert not is_right(read(seen[0], **{where: changed[where]}))


def test_names_with_underscores_are_known_by_what_was_signed() -> None:
    seen: list[Any] = []
    client(seen=seen).put_object(Bucket="bucket", Key="k", Body=b"", Metadata={"foo_bar": "1"})
    asked = read(seen[0])
    assert is_right(asked)
    claim = signing.claim(asked, now())
    assert claim is not None and "x-amz-meta-foo_bar" in claim.signed


@BOTH
def test_clocks_may_differ_by_a_quarter_of_an_hour(version: str) -> None:
    seen: list[Any] = []
    client(version, seen=seen).list_buckets()
    assert is_right(read(seen[0]), now(later_s=14 * 60))
    for minutes in (-16, 16):
        with pytest.raises(Refused) as caught:
            signing.claim(read(seen[0]), now(later_s=minutes * 60))
        assert (caught.value.code, caught.value.status) == ("RequestTimeTooSkewed", 403)


@BOTH
def test_a_presigned_address_ends(version: str) -> None:
    url = client(version).generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "k"}, ExpiresIn=60)
    with pytest.raises(Refused, match="Request has expired") as caught:
        signing.claim(read(AWSRequest("GET", url).prepare()), now(later_s=70))
    assert caught.value.code == "AccessDenied"


def test_a_header_of_s3_that_came_without_being_signed_is_refused() -> None:
    seen: list[Any] = []
    client(seen=seen).put_object(Bucket="bucket", Key="k", Body=b"")
    with pytest.raises(Refused, match="not signed") as caught:
        signing.claim(read(seen[0], HTTP_X_AMZ_ACL="public-read"), now())
    assert caught.value.facts["HeadersNotSigned"] == "x-amz-acl"


@pytest.mark.parametrize(
    ("query", "headers", "code"),
    [
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256", {}, "AuthorizationQueryParametersError"),
        ("X-Amz-Algorithm=Other&X-Amz-Signature=1", {}, "AuthorizationQueryParametersError"),
        ("AWSAccessKeyId=A&Signature=B", {}, "AccessDenied"),
        ("AWSAccessKeyId=A&Signature=B&Expires=soon", {}, "AccessDenied"),
        ("", {"HTTP_AUTHORIZATION": "Bearer x"}, "InvalidArgument"),
        ("", {"HTTP_AUTHORIZATION": "AWS x"}, "InvalidArgument"),
        ("", {"HTTP_AUTHORIZATION": "AWS a:b"}, "AccessDenied"),
        ("", {"HTTP_AUTHORIZATION": "AWS4-HMAC-SHA256 Credential=x"}, "AuthorizationHeaderMalformed"),
        ("", {"HTTP_AUTHORIZATION": "AWS4-HMAC-SHA256 Credential=a/20260101/r/ec2/aws4_request,SignedHeaders=host,Signature=0"}, "AuthorizationHeaderMalformed"),
        ("X-Amz-Algorithm=AWS4-HMAC-SHA256", {"HTTP_AUTHORIZATION": "AWS a:b"}, "InvalidArgument"),
    ],
    ids=lambda value: value if isinstance(value, str) else "headers" if value else "none",
)
def test_what_is_no_signature_is_told_so(query: str, headers: dict[str, str], code: str) -> None:
    environ = {
        "REQUEST_METHOD": "GET", "PATH_INFO": "/b/k", "QUERY_STRING": query, "HTTP_HOST": "s3.test", "wsgi.input": io.BytesIO(), **headers,
    }
    with pytest.raises(Refused) as caught:
        signing.claim(request.read(environ, domains=()), now())
    assert caught.value.code == code


def test_a_request_without_a_signature_claims_nothing() -> None:
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/b/k", "QUERY_STRING": "", "HTTP_HOST": "s3.test", "wsgi.input": io.BytesIO()}
    assert signing.claim(request.read(environ, domains=()), now()) is None
