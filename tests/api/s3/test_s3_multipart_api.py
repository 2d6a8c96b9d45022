"""Uploads in parts over S3, and copies."""

import hashlib
import os
from typing import Any

import pytest

from tests.api.s3.kit import Server, body_of, refused

MIB = 1024**2
FIRST, LAST = os.urandom(5 * MIB), b"the end"


def begun(client: Any, bucket: str, key: str = "k", **more: Any) -> dict[str, Any]:
    """What all further requests about the upload need."""
    return {"Bucket": bucket, "Key": key, "UploadId": client.create_multipart_upload(Bucket=bucket, Key=key, **more)["UploadId"]}


def sent(client: Any, upload: dict[str, Any], number: int, content: bytes, **more: Any) -> dict[str, Any]:
    """A part as the completion names it."""
    answer = client.upload_part(**upload, PartNumber=number, Body=content, **more)
    return {"PartNumber": number, **{name: answer[name] for name in ("ETag", "ChecksumCRC32") if name in answer}}


def completed(client: Any, upload: dict[str, Any], parts: list[dict[str, Any]], **more: Any) -> Any:
    return client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, **more)


def test_an_object_comes_in_parts(ann: Any, bucket: str) -> None:
    upload = begun(ann, bucket, ContentType="text/plain", Metadata={"a": "b"})
    parts = [sent(ann, upload, 2, FIRST), sent(ann, upload, 7, LAST)]
    listed = ann.list_parts(**upload)
    assert [(row["PartNumber"], row["Size"]) for row in listed["Parts"]] == [(2, 5 * MIB), (7, len(LAST))]
    assert [row["UploadId"] for row in ann.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [upload["UploadId"]]
    with refused("NoSuchKey", 404):
        ann.get_object(Bucket=bucket, Key="k")
    made = completed(ann, upload, parts)
    etag = hashlib.md5(hashlib.md5(FIRST).digest() + hashlib.md5(LAST).digest()).hexdigest()
    assert (made["ETag"], made["Location"], made["Key"]) == (f'"{etag}-2"', f"http://s3.test/{bucket}/k", "k")
    found = ann.get_object(Bucket=bucket, Key="k")
    assert (body_of(found), found["ContentType"], found["Metadata"]) == (FIRST + LAST, "text/plain", {"a": "b"})
    assert "Uploads" not in ann.list_multipart_uploads(Bucket=bucket)
    assert completed(ann, upload, parts)["ETag"] == made["ETag"]  # an answer that was lost is given again


def test_a_part_of_it_can_be_had_by_number(ann: Any, bucket: str) -> None:
    upload = begun(ann, bucket)
    completed(ann, upload, [sent(ann, upload, 1, FIRST), sent(ann, upload, 2, LAST)])
    found = ann.get_object(Bucket=bucket, Key="k", PartNumber=2)
    assert (body_of(found), found["PartsCount"]) == (LAST, 2)
    assert found["ContentRange"] == f"bytes {5 * MIB}-{5 * MIB + len(LAST) - 1}/{5 * MIB + len(LAST)}"
    assert ann.head_object(Bucket=bucket, Key="k", PartNumber=1)["ContentLength"] == 5 * MIB
    with refused("InvalidPartNumber", 416):
        ann.get_object(Bucket=bucket, Key="k", PartNumber=3)
    with refused("InvalidRequest", 400):
        ann.get_object(Bucket=bucket, Key="k", PartNumber=1, Range="bytes=0-1")
    assert body_of(ann.get_object(Bucket=bucket, Key="k", Range=f"bytes={5 * MIB - 1}-{5 * MIB}")) == FIRST[-1:] + LAST[:1]


def test_an_object_in_one_piece_is_its_own_first_part(ann: Any, bucket: str) -> None:
    ann.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert ann.head_object(Bucket=bucket, Key="k", PartNumber=1)["ContentLength"] == 1
    with refused("InvalidPartNumber", 416):
        ann.get_object(Bucket=bucket, Key="k", PartNumber=2)


@pytest.mark.parametrize("kind", ["FULL_OBJECT", "COMPOSITE"])
def test_checksums_of_parts_make_one_of_the_whole(ann: Any, bucket: str, kind: str) -> None:
    upload = begun(ann, bucket, ChecksumAlgorithm="CRC32", ChecksumType=kind)
    parts = [sent(ann, upload, 1, FIRST, ChecksumAlgorithm="CRC32"), sent(ann, upload, 2, LAST, ChecksumAlgorithm="CRC32")]
    made = completed(ann, upload, parts)
    assert made["ChecksumType"] == kind
    assert made["ChecksumCRC32"].endswith("-2") == (kind == "COMPOSITE")
    found = ann.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectParts", "Checksum"])
    assert found["Checksum"]["ChecksumCRC32"].removesuffix("-2") == made["ChecksumCRC32"].removesuffix("-2")
    assert [row["Size"] for row in found["ObjectParts"]["Parts"]] == [5 * MIB, len(LAST)]


def test_a_part_sent_again_takes_the_place_of_the_first(ann: Any, bucket: str) -> None:
    upload = begun(ann, bucket)
    old = sent(ann, upload, 1, b"old")
    new = sent(ann, upload, 1, b"new")
    with refused("InvalidPart", 400):
        completed(ann, upload, [old])
    completed(ann, upload, [new])
    assert body_of(ann.get_object(Bucket=bucket, Key="k")) == b"new"


def test_what_makes_no_object_is_refused(ann: Any, bucket: str) -> None:
    upload = begun(ann, bucket)
    parts = [sent(ann, upload, 1, b"small"), sent(ann, upload, 2, b"small too")]
    with refused("EntityTooSmall", 400):
        completed(ann, upload, parts)
    with refused("InvalidPartOrder", 400):
        completed(ann, upload, parts[::-1])
    with refused("InvalidPart", 400):
        completed(ann, upload, [{"PartNumber": 9, "ETag": '"0"'}])
    with refused("MalformedXML", 400):
        completed(ann, upload, [])
    for number in (0, 10_001):
        with refused("InvalidArgument", 400):
            sent(ann, upload, number, b"x")


def test_an_upload_that_was_aborted_is_gone(ann: Any, bucket: str) -> None:
    upload = begun(ann, bucket)
    part = sent(ann, upload, 1, b"x")
    ann.abort_multipart_upload(**upload)
    for work in (lambda: completed(ann, upload, [part]), lambda: sent(ann, upload, 1, b"x"), lambda: ann.list_parts(**upload)):
        with refused("NoSuchUpload", 404):
            work()
    for nonsense in ("nonsense", "0" * 32):
        with refused("NoSuchUpload", 404):
            ann.list_parts(**{**upload, "UploadId": nonsense})


def test_parts_and_uploads_have_pages(ann: Any, bucket: str) -> None:
    uploads = [begun(ann, bucket, key) for key in ("a", "a", "b/c")]
    for number in range(1, 6):
        sent(ann, uploads[0], number, b"x")
    pages = list(ann.get_paginator("list_parts").paginate(**uploads[0], PaginationConfig={"PageSize": 2}))
    assert [[row["PartNumber"] for row in page["Parts"]] for page in pages] == [[1, 2], [3, 4], [5]]
    pages = list(ann.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, PaginationConfig={"PageSize": 1}))
    assert [row["UploadId"] for page in pages for row in page["Uploads"]] == [upload["UploadId"] for upload in uploads]
    assert [row["Prefix"] for row in ann.list_multipart_uploads(Bucket=bucket, Delimiter="/")["CommonPrefixes"]] == ["b/"]


def test_a_copy_has_content_and_description_of_its_source(ann: Any, bucket: str) -> None:
    made = ann.put_object(Bucket=bucket, Key="a/ü +?", Body=b"x", ContentType="text/plain", Metadata={"a": "b"}, Tagging="t=1")
    copied = ann.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "a/ü +?"})
    assert copied["CopyObjectResult"]["ETag"] == made["ETag"]
    found = ann.get_object(Bucket=bucket, Key="copy")
    assert (body_of(found), found["ContentType"], found["Metadata"], found["TagCount"]) == (b"x", "text/plain", {"a": "b"}, 1)


def test_a_copy_can_be_described_anew(ann: Any, bucket: str) -> None:
    ann.put_object(Bucket=bucket, Key="k", Body=b"x", ContentType="text/plain", Metadata={"a": "b"}, Tagging="t=1")
    source = {"Bucket": bucket, "Key": "k"}
    ann.copy_object(Bucket=bucket, Key="k", CopySource=source, MetadataDirective="REPLACE", ContentType="a/b", Metadata={"c": "d"})
    found = ann.get_object(Bucket=bucket, Key="k")
    assert (body_of(found), found["ContentType"], found["Metadata"], found["TagCount"]) == (b"x", "a/b", {"c": "d"}, 1)
    ann.copy_object(Bucket=bucket, Key="k2", CopySource=source, TaggingDirective="REPLACE", Tagging="u=2&v=3")
    assert ann.head_object(Bucket=bucket, Key="k2")["TagCount"] == 2
    with refused("InvalidRequest", 400):
        ann.copy_object(Bucket=bucket, Key="k", CopySource=source)


def test_conditions_of_copies(ann: Any, mallory: Any, bucket: str) -> None:
    etag = ann.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    source = {"Bucket": bucket, "Key": "k"}
    ann.copy_object(Bucket=bucket, Key="copy", CopySource=source, CopySourceIfMatch=etag)
    with refused("PreconditionFailed", 412):
        ann.copy_object(Bucket=bucket, Key="copy", CopySource=source, CopySourceIfNoneMatch=etag)
    with refused("NoSuchKey", 404):
        ann.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "none"})
    mallory.create_bucket(Bucket="mallorys-bucket")
    with refused("AccessDenied", 403):
        mallory.copy_object(Bucket="mallorys-bucket", Key="copy", CopySource=source)


def test_a_part_can_be_copied_out_of_another_object(ann: Any, bucket: str) -> None:
    ann.put_object(Bucket=bucket, Key="source", Body=b"0123456789")
    upload = begun(ann, bucket)
    answer = ann.upload_part_copy(**upload, PartNumber=1, CopySource=f"{bucket}/source", CopySourceRange="bytes=2-5")
    completed(ann, upload, [{"PartNumber": 1, "ETag": answer["CopyPartResult"]["ETag"]}])
    assert body_of(ann.get_object(Bucket=bucket, Key="k")) == b"2345"
    with refused("InvalidArgument", 400):
        ann.upload_part_copy(**begun(ann, bucket), PartNumber=1, CopySource=f"{bucket}/source", CopySourceRange="bytes=2-")
    with refused("InvalidRange", 416):
        ann.upload_part_copy(**begun(ann, bucket), PartNumber=1, CopySource=f"{bucket}/source", CopySourceRange="bytes=5-50")


def test_versions_stay_and_can_be_had_back(ann: Any, server: Server, bucket: str) -> None:
    assert "Status" not in ann.get_bucket_versioning(Bucket=bucket)
    ann.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert ann.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    first, second = (ann.put_object(Bucket=bucket, Key="k", Body=content)["VersionId"] for content in (b"1", b"2"))
    assert body_of(ann.get_object(Bucket=bucket, Key="k", VersionId=first)) == b"1"
    assert ann.head_object(Bucket=bucket, Key="k")["VersionId"] == second
    marker = ann.delete_object(Bucket=bucket, Key="k")
    assert marker["DeleteMarker"] is True
    with refused("NoSuchKey", 404) as caught:
        ann.get_object(Bucket=bucket, Key="k")
    assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["x-amz-delete-marker"] == "true"
    with refused("MethodNotAllowed", 405):
        ann.get_object(Bucket=bucket, Key="k", VersionId=marker["VersionId"])
    copied = ann.copy_object(Bucket=bucket, Key="k", CopySource={"Bucket": bucket, "Key": "k", "VersionId": first})
    assert copied["CopySourceVersionId"] == first
    assert body_of(ann.get_object(Bucket=bucket, Key="k")) == b"1"
    ann.delete_object(Bucket=bucket, Key="k", VersionId=copied["VersionId"])
    gone = ann.delete_object(Bucket=bucket, Key="k", VersionId=marker["VersionId"])
    assert gone["DeleteMarker"] is True
    assert body_of(ann.get_object(Bucket=bucket, Key="k")) == b"2"
    with refused("NoSuchVersion", 404):
        ann.get_object(Bucket=bucket, Key="k", VersionId="0" * 32)
    with refused("InvalidArgument", 400):
        ann.get_object(Bucket=bucket, Key="k", VersionId="nonsense")


@pytest.mark.parametrize("status", ["", "Off"])
def test_versioning_is_enabled_or_suspended(ann: Any, bucket: str, status: str) -> None:
    with refused("IllegalVersioningConfigurationException", 400):
        ann.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
