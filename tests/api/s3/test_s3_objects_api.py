"""Objects over S3: taken in, sent, looked at, deleted."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.s3.kit import Key, Server, body_of, refused


def test_what_was_put_is_what_one_gets(ann: Any, bucket: str) -> None:
    made = ann.put_object(
        Bucket=bucket, Key="a/ü b+c", Body=b"hello", ContentType="text/plain", CacheControl="no-cache", ContentDisposition="inline",
        ContentEncoding="gzip", ContentLanguage="de", Metadata={"with-dash": "1", "with_line": "zwei"}, Tagging="a=1&b=2%2B3",
    )
    assert made["ETag"] == f'"{hashlib.md5(b"hello").hexdigest()}"'
    found = ann.get_object(Bucket=bucket, Key="a/ü b+c")
    assert body_of(found) == b"hello"
    assert (found["ETag"], found["ContentLength"], found["AcceptRanges"], found["TagCount"]) == (made["ETag"], 5, "bytes", 2)
    assert (found["ContentType"], found["CacheControl"], found["ContentDisposition"]) == ("text/plain", "no-cache", "inline")
    assert (found["ContentEncoding"], found["ContentLanguage"]) == ("gzip", "de")
    assert found["Metadata"] == {"with-dash": "1", "with_line": "zwei"}
    assert datetime.now(UTC) - found["LastModified"] < timedelta(minutes=1)
    head = ann.head_object(Bucket=bucket, Key="a/ü b+c")
    same = ("ETag", "ContentLength", "ContentType", "Metadata", "LastModified")
    assert [head[name] for name in same] == [found[name] for name in same]
    assert ann.get_object_tagging(Bucket=bucket, Key="a/ü b+c")["TagSet"] == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2+3"}]


@pytest.mark.parametrize("key", ["..", "a//b", "/", "a/../b", "%2F", "ü" * 512, "\x01", "<&>", "a?b#c", " "])
def test_keys_are_any_text(ann: Any, bucket: str, key: str) -> None:
    ann.put_object(Bucket=bucket, Key=key, Body=b"x")
    assert body_of(ann.get_object(Bucket=bucket, Key=key)) == b"x"
    assert [row["Key"] for row in ann.list_objects_v2(Bucket=bucket)["Contents"]] == [key]


def test_an_empty_object_is_an_object(ann: Any, bucket: str) -> None:
    ann.put_object(Bucket=bucket, Key="k", Body=b"")
    assert body_of(ann.get_object(Bucket=bucket, Key="k")) == b""
    with refused("InvalidRange", 416):
        ann.get_object(Bucket=bucket, Key="k", Range="bytes=0-")


def test_a_part_of_it_can_be_had(ann: Any, bucket: str) -> None:
    ann.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    for asked, content, told in (("2-4", b"234", "2-4"), ("7-", b"789", "7-9"), ("-2", b"89", "8-9"), ("0-99", b"0123456789", "0-9")):
        found = ann.get_object(Bucket=bucket, Key="k", Range=f"bytes={asked}")
        assert (body_of(found), found["ContentRange"]) == (content, f"bytes {told}/10")
        assert found["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert body_of(ann.get_object(Bucket=bucket, Key="k", Range="bytes=1-2,4-5")) == b"0123456789"
    with refused("InvalidRange", 416) as caught:
        ann.get_object(Bucket=bucket, Key="k", Range="bytes=10-")
    assert caught.value.response["Error"]["ActualObjectSize"] == "10"


def test_a_range_of_what_is_another_object_by_now_is_all_of_it(ann: Any, server: Server, bucket: str) -> None:
    etag = ann.put_object(Bucket=bucket, Key="k", Body=b"0123456789")["ETag"]
    url = ann.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    assert server.url("GET", url, headers={"Range": "bytes=0-1", "If-Range": etag}).body == b"01"
    assert server.url("GET", url, headers={"Range": "bytes=0-1", "If-Range": '"other"'}).body == b"0123456789"


def test_conditions_of_reading(ann: Any, bucket: str) -> None:
    etag = ann.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    ago, soon = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(hours=1)
    for good in ({"IfMatch": etag}, {"IfNoneMatch": '"other"'}, {"IfModifiedSince": ago}, {"IfUnmodifiedSince": soon}):
        assert body_of(ann.get_object(Bucket=bucket, Key="k", **good)) == b"x"
    for condition in ({"IfNoneMatch": etag}, {"IfModifiedSince": soon}):
        with refused("304", 304) as caught:
            ann.get_object(Bucket=bucket, Key="k", **condition)
        assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["etag"] == etag
    for condition in ({"IfMatch": '"other"'}, {"IfUnmodifiedSince": ago}):
        with refused("PreconditionFailed", 412):
            ann.get_object(Bucket=bucket, Key="k", **condition)


def test_conditions_of_writing(ann: Any, bucket: str) -> None:
    etag = ann.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    with refused("PreconditionFailed", 412):
        ann.put_object(Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")
    ann.put_object(Bucket=bucket, Key="k", Body=b"3", IfMatch=etag)
    with refused("PreconditionFailed", 412):
        ann.put_object(Bucket=bucket, Key="k", Body=b"4", IfMatch=etag)
    with refused("NoSuchKey", 404):
        ann.put_object(Bucket=bucket, Key="not-there", Body=b"5", IfMatch=etag)
    assert body_of(ann.get_object(Bucket=bucket, Key="k")) == b"3"


def test_an_answer_can_be_had_with_other_headers(ann: Any, anybody: Any, bucket: str) -> None:
    ann.put_object(Bucket=bucket, Key="k", Body=b"x", ContentType="text/plain")
    found = ann.get_object(Bucket=bucket, Key="k", ResponseContentType="a/b", ResponseContentDisposition="attachment", ResponseCacheControl="x")
    assert (found["ContentType"], found["ContentDisposition"], found["CacheControl"]) == ("a/b", "attachment", "x")


def test_pages_out_of_buckets_run_apart_from_this_host(ann: Any, bucket: str) -> None:
    ann.put_object(Bucket=bucket, Key="k", Body=b"<script>", ContentType="text/html")
    headers = ann.get_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPHeaders"]
    assert headers["content-security-policy"].startswith("sandbox")
    assert "allow-same-origin" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


def test_a_refusal_can_be_read_whatever_the_key_is(server: Server, ann_key: Key, bucket: str) -> None:
    for key in ("%01", "%EF%BF%BF", "a%1B%0A"):
        assert server.signed(ann_key, "GET", f"/{bucket}/{key}").refused(404, "NoSuchKey").findtext("Key")


def test_what_is_not_there(ann: Any, mallory: Any, bucket: str) -> None:
    with refused("NoSuchKey", 404) as caught:
        ann.get_object(Bucket=bucket, Key="k")
    assert caught.value.response["Error"]["Key"] == "k"
    with refused("404", 404):
        ann.head_object(Bucket=bucket, Key="k")
    with refused("NoSuchBucket", 404):
        ann.get_object(Bucket="no-such-bucket", Key="k")
    with refused("AccessDenied", 403):  # it is not told whether there is one
        mallory.get_object(Bucket=bucket, Key="k")


def test_what_is_deleted_is_gone_and_can_be_deleted_again(ann: Any, bucket: str) -> None:
    ann.put_object(Bucket=bucket, Key="k", Body=b"x")
    for _ in range(2):
        ann.delete_object(Bucket=bucket, Key="k")
    with refused("NoSuchKey", 404):
        ann.get_object(Bucket=bucket, Key="k")


def test_many_are_deleted_at_once(ann: Any, bucket: str) -> None:
    keys = ["a", "b/ü", "<c>"]
    for key in keys:
        ann.put_object(Bucket=bucket, Key=key, Body=b"x")
    answer = ann.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in [*keys, "never"]]})
    assert [row["Key"] for row in answer["Deleted"]] == [*keys, "never"]
    assert "Contents" not in ann.list_objects_v2(Bucket=bucket)
    assert "Deleted" not in ann.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a"}], "Quiet": True})


@pytest.mark.parametrize("count", [0, 1001])
def test_at_most_a_thousand_are_deleted_at_once(ann: Any, bucket: str, count: int) -> None:
    with refused("MalformedXML", 400):
        ann.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": str(number)} for number in range(count)]})


def test_tags_of_objects(ann: Any, bucket: str) -> None:
    ann.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert ann.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    ann.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "a", "Value": "1"}]})
    assert ann.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "a", "Value": "1"}]
    ann.delete_object_tagging(Bucket=bucket, Key="k")
    assert ann.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    with refused("InvalidTag", 400):
        ann.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": str(number), "Value": ""} for number in range(11)]})
    with refused("InvalidArgument", 400):
        ann.put_object(Bucket=bucket, Key="k", Body=b"", Tagging="a=1&a=2")


def test_attributes_of_objects(ann: Any, bucket: str) -> None:
    ann.put_object(Bucket=bucket, Key="k", Body=b"x", ChecksumAlgorithm="SHA256")
    found = ann.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ETag", "Checksum", "ObjectSize", "StorageClass", "ObjectParts"])
    assert (found["ETag"], found["ObjectSize"], found["StorageClass"]) == (hashlib.md5(b"x").hexdigest(), 1, "STANDARD")
    assert found["Checksum"]["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(b"x").digest()).decode()
    assert "ObjectParts" not in found
    with refused("InvalidArgument", 400):
        ann.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["Colour"])


def test_metadata_has_a_limit(ann: Any, bucket: str) -> None:
    ann.put_object(Bucket=bucket, Key="k", Body=b"", Metadata={"a": "x" * 2047})
    with refused("MetadataTooLarge", 400):
        ann.put_object(Bucket=bucket, Key="k", Body=b"", Metadata={"a": "x" * 2048})


def test_the_bucket_may_be_in_the_host(server: Server, ann_key: Key, ann: Any, bucket: str) -> None:
    virtual = server.client(ann_key, s3={"addressing_style": "virtual"})
    virtual.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert body_of(ann.get_object(Bucket=bucket, Key="k")) == b"x"
    assert [row["Key"] for row in virtual.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]
