"""The store on another S3 server, against a server in memory that speaks as boto3's client does."""

import io
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.common.errors import Unavailable
from apps.common.ids import new_id
from apps.objects.stores import s3
from apps.objects.stores.base import Missing
from apps.objects.stores.s3 import S3

botocore = pytest.importorskip("botocore.exceptions", reason="boto3 is not installed")


class Server:
    """What of boto3's client the store uses."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, datetime]] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.refuses = ""

    def _answer(self, key: str, *, needed: bool = False) -> None:
        code = self.refuses or ("NoSuchKey" if needed and key not in self.objects else "")
        if code:
            raise botocore.ClientError({"Error": {"Code": code}}, "Any")

    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> None:  # noqa: N803
        self._answer(Key)
        self.objects[Key] = (Body, datetime.now(UTC))

    def head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        self._answer(Key, needed=True)
        return {"ContentLength": len(self.objects[Key][0])}

    def get_object(self, *, Bucket: str, Key: str, Range: str) -> dict[str, Any]:  # noqa: N803
        self._answer(Key, needed=True)
        return {"Body": io.BytesIO(self.objects[Key][0][int(Range.removeprefix("bytes=").rstrip("-")) :])}

    def delete_object(self, *, Bucket: str, Key: str) -> None:  # noqa: N803
        self._answer(Key)
        self.objects.pop(Key, None)

    def copy(self, source: dict[str, str], bucket: str, key: str) -> None:
        self._answer(source["Key"], needed=True)
        self.objects[key] = (self.objects[source["Key"]][0], datetime.now(UTC))

    def create_multipart_upload(self, *, Bucket: str, Key: str) -> dict[str, str]:  # noqa: N803
        self._answer(Key)
        self.uploads[Key] = {}
        return {"UploadId": Key}

    def upload_part(self, *, Bucket: str, Key: str, UploadId: str, PartNumber: int, Body: bytes) -> dict[str, str]:  # noqa: N803
        self._answer(Key)
        self.uploads[UploadId][PartNumber] = Body
        return {"ETag": str(PartNumber)}

    def complete_multipart_upload(self, *, Bucket: str, Key: str, UploadId: str, MultipartUpload: Any) -> None:  # noqa: N803
        self._answer(Key)
        parts = self.uploads.pop(UploadId)
        assert [each["PartNumber"] for each in MultipartUpload["Parts"]] == sorted(parts)
        self.objects[Key] = (b"".join(parts[number] for number in sorted(parts)), datetime.now(UTC))

    def abort_multipart_upload(self, *, Bucket: str, Key: str, UploadId: str) -> None:  # noqa: N803
        self.uploads.pop(UploadId)

    def list_multipart_uploads(self, *, Bucket: str, Prefix: str) -> dict[str, Any]:  # noqa: N803
        return {"Uploads": [{"Key": key, "UploadId": key} for key in self.uploads if key.startswith(Prefix)]}

    def get_paginator(self, name: str) -> "Server":
        assert name == "list_objects_v2"
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:  # noqa: N803
        self._answer("")
        keys = sorted(key for key in self.objects if key.startswith(Prefix))
        for first in range(0, len(keys), 2):
            yield {"Contents": [{"Key": key, "LastModified": self.objects[key][1]} for key in keys[first : first + 2]]}
        yield {}


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def store(server: Server, monkeypatch: pytest.MonkeyPatch) -> S3:
    monkeypatch.setattr(s3, "_PART_BYTES", 10)
    made = S3("objects")
    made.__dict__["client"] = server
    return made


def written(store: S3, *chunks: bytes) -> uuid.UUID:
    writer = store.receive(new_id())
    for chunk in chunks:
        writer.write(chunk)
    writer.finish()
    writer.settle()
    return writer.blob_id


def content(store: S3, blob_id: uuid.UUID, offset: int = 0) -> bytes:
    reader = store.open(blob_id)
    reader.seek(offset)
    chunks = iter(lambda: reader.read(3), b"")
    found = b"".join(chunks)
    reader.close()
    return found


@pytest.mark.parametrize("chunks", [(b"small",), (b"0123456789",), (b"012345", b"6789ab", b"c"), (b"x" * 25, b"y" * 25)])
def test_what_is_written_is_read_in_one_request_or_many(store: S3, server: Server, chunks: tuple[bytes, ...]) -> None:
    blob_id = written(store, *chunks)
    whole = b"".join(chunks)
    assert content(store, blob_id) == whole
    assert content(store, blob_id, 4) == whole[4:]
    assert content(store, blob_id, 1000) == b""
    assert store.size(blob_id) == len(whole)
    assert list(server.objects) == [store.key(blob_id)]
    assert [blob for batch in store.names(idle_s=0) for blob in batch] == [blob_id]
    store.remove(blob_id)
    assert store.size(blob_id) is None
    with pytest.raises(Missing):
        store.open(blob_id)


@pytest.mark.parametrize("size", [5, 25])
def test_an_aborted_writer_leaves_nothing(store: S3, server: Server, size: int) -> None:
    writer = store.receive(new_id())
    writer.write(b"x" * size)
    writer.abort()
    assert (server.objects, server.uploads) == ({}, {})


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("wanted", [False, True])
def test_what_a_dead_writer_left_is_found_after_a_day(store: S3, server: Server, wanted: bool, finished: bool) -> None:
    writer = store.receive(new_id())
    writer.write(b"x" * 25)
    if finished:
        writer.finish()
    writer.leave()
    assert [batch for batch in store.names(idle_s=0) if batch] == []
    assert store.sort_out(lambda blob_id: True, idle_s=0) == (0, 0)
    server.objects = {key: (data, at - timedelta(days=1)) for key, (data, at) in server.objects.items()}
    keep = wanted and finished
    assert store.sort_out(lambda blob_id: keep, idle_s=0) == ((1, 0) if keep else (0, 1))
    assert list(server.objects) == ([store.key(writer.blob_id)] if keep else [])
    assert server.uploads == {}


def test_a_link_is_a_copy_made_by_the_server(store: S3) -> None:
    source = written(store, b"data")
    copy = store.link(source, new_id())
    copy.settle()
    store.remove(source)
    assert content(store, copy.blob_id) == b"data"
    with pytest.raises(Missing):
        store.link(source, new_id())


def test_a_server_that_refuses_is_told_as_such(store: S3, server: Server) -> None:
    server.refuses = "SlowDown"
    with pytest.raises(Unavailable) as caught:
        store.receive(new_id())
    assert caught.value.code == "object.storage"
    assert "SlowDown" in caught.value.message
