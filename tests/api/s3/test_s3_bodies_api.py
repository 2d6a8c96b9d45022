"""What comes with a request is what was signed and announced, or it is refused."""

import base64
import hashlib
import zlib
from typing import Any

import pytest

from tests.api.s3.kit import Key, Server, body_of, refused


def crc32(content: bytes) -> str:
    return base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()


@pytest.mark.parametrize("https", [False, True], ids=["in a header", "in a trailer"])
@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
@pytest.mark.parametrize("content", [b"", b"hello", b"x" * 200_000], ids=["empty", "short", "long"])
def test_a_checksum_is_checked_kept_and_told(server: Server, ann_key: Key, bucket: str, algorithm: str, content: bytes, https: bool) -> None:
    client = server.client(ann_key, https=https)
    made = client.put_object(Bucket=bucket, Key="k", Body=content, ChecksumAlgorithm=algorithm)
    found = client.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert body_of(found) == content
    assert found[f"Checksum{algorithm}"] == made[f"Checksum{algorithm}"]
    if algorithm == "CRC32":
        assert found["ChecksumCRC32"] == crc32(content)
    assert found["ChecksumType"] == "FULL_OBJECT"
    assert "ContentEncoding" not in found
    assert f"Checksum{algorithm}" not in client.get_object(Bucket=bucket, Key="k", Range="bytes=0-0") if content else True


def test_a_wrong_checksum_keeps_the_object_out(ann: Any, bucket: str) -> None:
    for wrong in ({"ChecksumCRC32": crc32(b"y")}, {"ContentMD5": base64.b64encode(hashlib.md5(b"y").digest()).decode()}):
        with refused("BadDigest", 400):
            ann.put_object(Bucket=bucket, Key="k", Body=b"x", **wrong)
    with refused("InvalidDigest", 400):
        ann.put_object(Bucket=bucket, Key="k", Body=b"x", ContentMD5="nonsense")
    with refused("InvalidRequest", 400):
        ann.put_object(Bucket=bucket, Key="k", Body=b"x", ChecksumCRC32="nonsense")
    with refused("NoSuchKey", 404):
        ann.get_object(Bucket=bucket, Key="k")


@pytest.mark.parametrize(("algorithm", "value"), [("crc32c", "4waSgw=="), ("crc64nvme", "rosUhgp5mIg=")])
def test_checksums_that_boto3_needs_another_library_for(server: Server, ann_key: Key, bucket: str, algorithm: str, value: str) -> None:
    """The values are the ones that catalogues of CRCs give for these nine digits."""
    name = f"x-amz-checksum-{algorithm}"
    assert server.signed(ann_key, "PUT", f"/{bucket}/k", b"123456789", {name: value}).headers[name] == value
    assert server.signed(ann_key, "HEAD", f"/{bucket}/k", headers={"x-amz-checksum-mode": "ENABLED"}).headers[name] == value
    server.signed(ann_key, "PUT", f"/{bucket}/k", b"12345678x", {name: value}).refused(400, "BadDigest")


def test_a_body_other_than_the_signed_one_is_refused(server: Server, ann: Any, bucket: str) -> None:
    """Somebody between changes the body, and nothing else."""

    def change(request: Any, **_: Any) -> None:
        request.body = b"forged"

    ann.meta.events.register_first("before-send.s3", change)
    with refused("XAmzContentSHA256Mismatch", 400):
        ann.put_object(Bucket=bucket, Key="k", Body=b"signed", ChecksumCRC32=crc32(b"forged"))
    with refused("XAmzContentSHA256Mismatch", 400):
        ann.put_bucket_policy(Bucket=bucket, Policy="{}", ChecksumAlgorithm="CRC32")


def test_a_body_that_breaks_off_leaves_nothing(server: Server, ann: Any, bucket: str) -> None:
    url = ann.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"})
    path = url.removeprefix("http://s3.test")
    server.ask("PUT", path, b"only this", length=100).refused(400, "IncompleteBody")
    with refused("NoSuchKey", 404):
        ann.get_object(Bucket=bucket, Key="k")


def test_who_does_not_say_how_much_comes_is_refused(server: Server, ann: Any, bucket: str) -> None:
    url = ann.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"})
    server.ask("PUT", url.removeprefix("http://s3.test"), headers={"Transfer-Encoding": "chunked"}).refused(411, "MissingContentLength")


def test_what_is_too_big_is_refused_before_it_comes(server: Server, ann: Any, bucket: str) -> None:
    url = ann.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"})
    got = server.ask("PUT", url.removeprefix("http://s3.test"), b"x", length=6 * 1024**3)
    got.refused(400, "EntityTooLarge")
    assert got.headers["connection"] == "close"


def test_documents_have_a_limit(server: Server, ann: Any, bucket: str) -> None:
    with refused("MaxMessageLengthExceeded", 400):
        ann.put_bucket_policy(Bucket=bucket, Policy="x" * 30_000)
    with refused("MissingRequestBodyError", 400):
        ann.put_bucket_policy(Bucket=bucket, Policy="")


@pytest.mark.parametrize("body", ["<CORSConfiguration>", "<Other/>", '<!DOCTYPE x [<!ENTITY a "b">]><CORSConfiguration>&a;</CORSConfiguration>', "<CORSConfiguration/>"])
def test_documents_that_are_none_are_refused(server: Server, ann: Any, bucket: str, body: str) -> None:
    def change(request: Any, **_: Any) -> None:
        request.data = body.encode()
        for name in ("x-amz-checksum-crc32", "x-amz-sdk-checksum-algorithm"):
            del request.headers[name]

    ann.meta.events.register("before-sign.s3.PutBucketCors", change)
    with refused("MalformedXML", 400):
        ann.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]})


@pytest.mark.parametrize(
    ("headers", "code", "status"),
    [
        ({"x-amz-server-side-encryption": "AES256"}, "NotImplemented", 501), ({"x-amz-storage-class": "GLACIER"}, "NotImplemented", 501),
        ({"x-amz-storage-class": "GOLD"}, "InvalidStorageClass", 400), ({"x-amz-object-lock-legal-hold": "ON"}, "NotImplemented", 501),
        ({"x-amz-acl": "everybody"}, "InvalidArgument", 400),
    ],
    ids=str,
)
def test_what_we_do_not_do_is_not_taken_for_done(ann: Any, bucket: str, headers: dict[str, str], code: str, status: int) -> None:
    ann.meta.events.register("before-call.s3.PutObject", lambda params, **_: params["headers"].update(headers))
    with refused(code, status):
        ann.put_object(Bucket=bucket, Key="k", Body=b"x")
