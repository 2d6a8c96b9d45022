"""Senders who lie, break off or want to exhaust us: each gets S3's own error, and nothing of what they sent stays."""

import base64
import hashlib
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.objects.models import Garbage, Part, Version
from apps.quotas.models import Usage
from tests.api.s3.kit import Key, Server, body_of, refused, streamed
from tests.support.fixtures import Time

CONTENT = b"0123456789abcdef" * 16_384
CRC32 = ("x-amz-checksum-crc32", base64.b64encode(zlib.crc32(CONTENT).to_bytes(4, "big")).decode())
OTHER = base64.b64encode(b"1234")
K = "/annes-bucket/k"


def presigned(client: Any, operation: str = "put_object", **more: Any) -> str:
    url: str = client.generate_presigned_url(operation, Params={"Bucket": "annes-bucket", "Key": "k", **more})
    return url.removeprefix("http://s3.test")


@pytest.fixture
def clean(server: Server, bucket: str, tmp_path: Path) -> Iterator[None]:
    """Whatever the test did, there is nothing of it: no row, no file."""
    yield
    assert [model.objects.count() for model in (Version, Part, Garbage)] == [0, 0, 0]
    assert [path for path in tmp_path.joinpath("objects").rglob("*") if path.is_file()] == []


def changed(pattern: bytes, by: bytes) -> Callable[[bytes], bytes]:
    return lambda body: re.sub(pattern, by, body, count=1)


@pytest.mark.parametrize(
    ("change", "signed", "status", "code"),
    [
        (changed(b"0123", b"3210"), True, 403, "SignatureDoesNotMatch"),
        (changed(b"chunk-signature=[0-9a-f]{4}", b"chunk-signature=xxxx"), True, 403, "SignatureDoesNotMatch"),
        (changed(b";chunk-signature=[0-9a-f]{64}", b""), True, 403, "SignatureDoesNotMatch"),
        (changed(b"(crc32:).*", rb"\g<1>" + OTHER + b"\r"), True, 403, "SignatureDoesNotMatch"),
        (changed(b"trailer-signature:....", b"trailer-signature:xxxx"), True, 403, "SignatureDoesNotMatch"),
        (changed(b"x-amz-trailer-signature.*\n", b""), True, 403, "SignatureDoesNotMatch"),
        (changed(b"0123", b"3210"), False, 400, "BadDigest"),
        (changed(b"(crc32:).*", rb"\g<1>" + OTHER + b"\r"), False, 400, "BadDigest"),
        (changed(b"(crc32:).*", rb"\g<1>nonsense!\r"), False, 400, "InvalidRequest"),
        (changed(b"crc32:.*", b"crc32\r"), False, 400, "MalformedTrailerError"),
        (changed(b"x-amz-checksum-crc32.*\n", b""), False, 400, "MalformedTrailerError"),
        (changed(b"checksum-crc32:", b"checksum-sha1:"), False, 400, "MalformedTrailerError"),
        (changed(b"\r\n\r\n", b"\r\nx-other:1\r\n\r\n"), False, 400, "MalformedTrailerError"),
        (changed(b"10000\r\n", b"20000\r\n"), False, 400, "InvalidRequest"),
        (changed(b"10000\r\n", b"fffffffffffffffffffffff\r\n"), False, 400, "IncompleteBody"),
        (changed(b"10000\r\n", b"x\r\n"), False, 400, "InvalidRequest"),
        (lambda body: body[:100_000], False, 400, "IncompleteBody"),
        (lambda body: body[:65_545] + b"0\r\n" + b":".join(part.encode() for part in CRC32) + b"\r\n\r\n", False, 400, "IncompleteBody"),
        (lambda body: CONTENT, False, 400, "InvalidRequest"),
    ],
    ids=[
        "a byte", "a chunk's signature", "a chunk without one", "the signed trailer", "its signature", "its signature is missing",
        "a byte, unsigned", "the trailer", "a trailer that is no checksum", "a trailer that is none", "no trailer", "another trailer",
        "one more trailer", "a chunk that is shorter", "a chunk without end", "a chunk without a size", "it breaks off", "it ends early",
        "no chunks at all",
    ],
)
def test_wrong_chunks_and_trailers(
    server: Server, ann_key: Key, clean: None, change: Callable[[bytes], bytes], signed: bool, status: int, code: str
) -> None:
    body, headers = streamed(ann_key, K, CONTENT, trailer=CRC32, signed=signed)
    wrong = change(body)
    assert wrong != body
    server.ask("PUT", K, wrong, headers).refused(status, code)


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"x-amz-decoded-content-length": "5"}, 400, "IncompleteBody"), ({"x-amz-decoded-content-length": "999999"}, 400, "IncompleteBody"),
        ({"x-amz-decoded-content-length": "many"}, 400, "InvalidArgument"), ({"x-amz-decoded-content-length": ""}, 411, "MissingContentLength"),
        ({"x-amz-decoded-content-length": str(6 * 1024**3)}, 400, "EntityTooLarge"), ({"x-amz-trailer": "x-other"}, 400, "InvalidRequest"),
        ({"x-amz-content-sha256": "STREAMING-OTHER"}, 501, "NotImplemented"), ({"x-amz-content-sha256": "other"}, 400, "InvalidArgument"),
    ],
    ids=str,
)
def test_wrong_words_about_chunks(server: Server, ann: Any, clean: None, headers: dict[str, str], status: int, code: str) -> None:
    """Nobody signs these: a presigned address takes headers that are no part of it where they only say how the body comes."""
    words = {
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-trailer": CRC32[0], "x-amz-decoded-content-length": str(len(CONTENT)),
        "content-encoding": "aws-chunked", **headers,
    }
    ann.put_bucket_acl(Bucket="annes-bucket", ACL="public-read-write")
    body = b"40000\r\n" + CONTENT + b"\r\n0\r\n" + ":".join(CRC32).encode() + b"\r\n\r\n"
    server.ask("PUT", K, body, words).refused(status, code)


def test_a_header_of_ours_that_a_presigned_address_does_not_hold_is_refused(server: Server, ann_key: Key, clean: None) -> None:
    client = server.client(ann_key, signature_version="s3v4")
    for name in ("x-amz-acl", "x-amz-meta-a", "x-amz-decoded-content-length", "x-amz-tagging"):
        error = server.ask("PUT", presigned(client), b"x", {name: "1"}).refused(403, "AccessDenied")
        assert error.findtext("HeadersNotSigned") == name


@pytest.mark.parametrize(
    ("said", "status", "code"),
    [
        (len(CONTENT) + 1, 400, "IncompleteBody"), (6 * 1024**3, 400, "EntityTooLarge"), (10**18, 400, "EntityTooLarge"),
    ],
)
def test_a_length_that_is_not_true(server: Server, ann: Any, clean: None, said: int, status: int, code: str) -> None:
    server.ask("PUT", presigned(ann), CONTENT, length=said).refused(status, code)
    upload = ann.create_multipart_upload(Bucket="annes-bucket", Key="k")["UploadId"]
    part = presigned(ann, "upload_part", UploadId=upload, PartNumber=1)
    server.ask("PUT", part, CONTENT, length=said).refused(status, code)
    ann.abort_multipart_upload(Bucket="annes-bucket", Key="k", UploadId=upload)


@pytest.mark.parametrize("said", ["-1", "1e3", "+5", "٣", "5, 5", "0x5"])
def test_a_length_that_is_no_number(server: Server, ann: Any, clean: None, said: str) -> None:
    server.ask("PUT", presigned(ann), headers={"Content-Length": said}).refused(400, "InvalidArgument")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"content-md5": base64.b64encode(hashlib.md5(b"other").digest()).decode()}, "BadDigest"), ({"content-md5": "AAAA"}, "InvalidDigest"),
        ({"content-md5": ""}, "InvalidDigest"), ({"content-md5": "é" * 22 + "=="}, "InvalidDigest"),
        ({"x-amz-content-sha256": hashlib.sha256(b"other").hexdigest()}, "XAmzContentSHA256Mismatch"),
        ({CRC32[0]: OTHER.decode()}, "BadDigest"), ({CRC32[0]: "nonsense"}, "InvalidRequest"),
        ({CRC32[0]: CRC32[1], "x-amz-checksum-sha1": "x"}, "InvalidRequest"),
    ],
    ids=["md5", "short md5", "empty md5", "md5 of no letters", "sha256", "crc32", "no crc32", "two"],
)
@pytest.mark.parametrize("part", [False, True], ids=["object", "part"])
def test_a_digest_of_something_else(server: Server, ann: Any, clean: None, headers: dict[str, str], code: str, part: bool) -> None:
    ann.put_bucket_acl(Bucket="annes-bucket", ACL="public-read-write")
    upload = server.ask("POST", f"{K}?uploads").xml.findtext("UploadId")
    server.ask("PUT", f"{K}?partNumber=1&uploadId={upload}" if part else K, CONTENT, headers).refused(400, code)
    server.ask("DELETE", f"{K}?uploadId={upload}")


BOMBS = {
    "entities": b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><%s>&b;</%s>',
    "a file": b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><%s>&a;</%s>',
    "a foreign description": b'<!DOCTYPE x SYSTEM "http://192.0.2.1/x.dtd"><%s></%s>',
    "depth": b"<%s>" + b"<a>" * 5000 + b"</a>" * 5000 + b"</%s>",
    "no end": b"<%s>" + b"<a>" * 5000,
    "elements": b"<%s>" + b"<a/>" * 150_000 + b"</%s>",
    "attributes": b"<%s " + b" ".join(b'a%d=""' % number for number in range(60_000)) + b"></%s>",
    "a coding": b'<?xml version="1.0" encoding="UTF-16"?><%s></%s>',
    "none": b"\x00\x01\x02",
}
DOCUMENTS = {
    "POST /annes-bucket?delete": b"Delete", "PUT /annes-bucket?acl": b"AccessControlPolicy", "PUT /annes-bucket?cors": b"CORSConfiguration",
    "PUT /annes-bucket?tagging": b"Tagging", "PUT /annes-bucket?versioning": b"VersioningConfiguration",
    "PUT /another-bucket": b"CreateBucketConfiguration", "POST /annes-bucket/k?uploadId=%s": b"CompleteMultipartUpload",
}
# Of these 64 KiB are read at most.
SHORT = ("PUT /annes-bucket?acl", "PUT /another-bucket")


@pytest.mark.parametrize("bomb", sorted(BOMBS))
def test_documents_that_want_to_exhaust_us(server: Server, ann_key: Key, ann: Any, clean: None, bomb: str) -> None:
    upload = ann.create_multipart_upload(Bucket="annes-bucket", Key="k")["UploadId"]
    for asked, root in DOCUMENTS.items():
        method, target = asked.replace("%s", upload).split()
        body = BOMBS[bomb].replace(b"%s", root)
        code = "MaxMessageLengthExceeded" if asked in SHORT and len(body) > 64 * 1024 else "MalformedXML"
        server.signed(ann_key, method, target, body).refused(400, code)
    assert [row["Name"] for row in ann.list_buckets()["Buckets"]] == ["annes-bucket"]
    ann.abort_multipart_upload(Bucket="annes-bucket", Key="k", UploadId=upload)


def test_documents_that_are_too_long_are_refused(server: Server, ann_key: Key, clean: None) -> None:
    for asked, root in DOCUMENTS.items():
        method, target = asked.replace("%s", "0" * 32).split()
        body = b"<%b>%b</%b>" % (root, b" " * (9 * 1024**2), root)
        server.signed(ann_key, method, target, body).refused(400, "MaxMessageLengthExceeded")


def test_headers_and_queries_have_a_limit(server: Server, ann_key: Key, ann: Any, clean: None) -> None:
    long = "x" * 40_000
    for target, headers in (
        (K, {"cache-control": long}), (K, {f"x-amz-meta-{number}": "x" * 1000 for number in range(40)}), (f"{K}?tagging&{long}", {}),
        ("/annes-bucket?prefix=" + long, {}),
    ):
        server.signed(ann_key, "PUT", target, b"x", headers).refused(400, "RequestHeaderSectionTooLarge")
    server.ask("GET", "/", headers={"authorization": long}).refused(400, "RequestHeaderSectionTooLarge")
    with refused("MetadataTooLarge", 400):
        ann.put_object(Bucket="annes-bucket", Key="k", Body=b"x", Metadata={"a": "x" * 3000})


@pytest.mark.parametrize("minutes", [-16, 16])
@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_a_clock_that_is_wrong_either_way(server: Server, ann_key: Key, bucket: str, clean: None, time_machine: Time, minutes: int, version: str) -> None:
    client = server.client(ann_key, signature_version=version)
    time_machine.forward(minutes * 60)
    with refused("RequestTimeTooSkewed", 403) as caught:
        client.put_object(Bucket=bucket, Key="k", Body=CONTENT)
    assert {"RequestTime", "ServerTime"} <= caught.value.response["Error"].keys()


def test_a_presigned_address_out_of_the_future_is_not_yet_good(server: Server, ann_key: Key, clean: None, time_machine: Time) -> None:
    target = presigned(server.client(ann_key, signature_version="s3v4"))
    time_machine.forward(-16 * 60)
    server.ask("PUT", target, b"x").refused(403, "AccessDenied")


@pytest.mark.parametrize(
    ("name", "value", "status", "code"),
    [
        ("Authorization", "AWS4-HMAC-SHA256", 400, "AuthorizationHeaderMalformed"),
        ("Authorization", "AWS4-HMAC-SHA256 Credential=,SignedHeaders=,Signature=", 400, "AuthorizationHeaderMalformed"),
        ("Authorization", "AWS4-HMAC-SHA256 Credential=a/20260101/r/s3/aws4_request,SignedHeaders=host,Signature=é", 403, "AccessDenied"),
        ("Authorization", "AWS4-ECDSA-P256-SHA256 Credential=a", 400, "InvalidArgument"), ("Authorization", "AWS a:b:c", 403, "AccessDenied"),
        ("Authorization", "Basic YTpi", 400, "InvalidArgument"), ("X-Amz-Security-Token", "x", 400, "InvalidToken"),
    ],
)
def test_signatures_that_are_none(server: Server, clean: None, name: str, value: str, status: int, code: str) -> None:
    for method in ("PUT", "GET"):
        server.ask(method, K, b"x" if method == "PUT" else b"", {name: value}).refused(status, code)


def test_a_signature_is_good_for_its_day_and_its_service_only(server: Server, ann_key: Key, clean: None) -> None:
    body, headers = streamed(ann_key, K, CONTENT)
    for old, new, status, code in (
        (r"/\d{8}/", "/20200101/", 403, "SignatureDoesNotMatch"), ("/s3/", "/ec2/", 400, "AuthorizationHeaderMalformed"),
        ("us-east-1", "eu-north-1", 403, "SignatureDoesNotMatch"), ("SignedHeaders=host;", "SignedHeaders=", 403, "AccessDenied"),
        ("x-amz-decoded-content-length", "x-amz-date", 403, "AccessDenied"), ("Signature=.*", "Signature=" + "0" * 64, 403, "SignatureDoesNotMatch"),
    ):
        wrong = re.sub(old, new, headers["authorization"], count=1)
        assert wrong != headers["authorization"]
        server.ask("PUT", K, body, {**headers, "authorization": wrong}).refused(status, code)


def test_what_was_good_before_stays_as_it_was(server: Server, ann_key: Key, ann: Any, bucket: str, tmp_path: Path) -> None:
    def state() -> tuple[Any, ...]:
        rows = [list(model.objects.order_by("pk").values()) for model in (Version, Part, Garbage, Usage)]
        return rows, sorted(path for path in tmp_path.joinpath("objects").rglob("*") if path.is_file())

    ann.put_object(Bucket=bucket, Key="k", Body=CONTENT)
    before = state()
    body, headers = streamed(ann_key, K, b"x" * 100_000)
    server.ask("PUT", K, body[:-100], headers).refused(400, "IncompleteBody")
    assert body_of(ann.get_object(Bucket=bucket, Key="k")) == CONTENT
    assert state() == before


class Slow:
    """A body of one byte, whose sender lets other things happen first."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self._meanwhile = meanwhile

    def read(self, size: int, /) -> bytes:
        self._meanwhile()
        return b"x"


def test_slow_senders_whom_nobody_knows_leave_room_for_those_who_sign(server: Server, ann: Any, bucket: str) -> None:
    """Two of them are served at once here; a third one is put off, and nobody else."""
    ann.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    refused_ones = []

    def meanwhile() -> None:
        refused_ones.append(server.ask("PUT", K, b"x"))
        ann.put_object(Bucket=bucket, Key="signed", Body=b"x")
        assert server.ask("GET", f"/{bucket}").status == 200  # without a body nobody is slow

    assert server.ask("PUT", K, Slow(lambda: server.ask("PUT", f"{K}2", Slow(meanwhile), length=1)), length=1).status == 200
    assert int(refused_ones[0].headers["retry-after"]) > 0
    refused_ones[0].refused(503, "SlowDown")
    assert server.ask("PUT", K, b"x").status == 200
