"""Content on another S3 server. Needs boto3.

    <area>/incoming/<blob>   empty: this blob is on its way, or was not settled
    <area>/data/abc/<blob>   the content

No lock tells here whether a writer still lives, so what is unsettled is left alone for a day.
"""

import contextlib
import logging
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from django.conf import settings

from apps.common.errors import CloudError, Unavailable
from apps.objects.stores.base import Missing, Reader, Writer

log = logging.getLogger(__name__)
_PART_BYTES = 8 * 1024 * 1024
_LONGEST_WRITE_S = 86400.0
_DIGITS = 3


class S3:
    """A store in a bucket of the server that the settings name."""

    def __init__(self, area: str) -> None:
        self._area, self.bucket = area, settings.ENV.object_s3_bucket

    @cached_property
    def client(self) -> Any:
        import boto3
        from botocore.config import Config

        env = settings.ENV
        return boto3.client(
            "s3", endpoint_url=env.object_s3_url, region_name="us-east-1", aws_access_key_id=env.object_s3_access,
            aws_secret_access_key=env.object_s3_secret,
            config=Config(
                s3={"addressing_style": "path"}, retries={"max_attempts": 3, "mode": "standard"}, connect_timeout=5, read_timeout=60,
                request_checksum_calculation="when_required", response_checksum_validation="when_required",
            ),
        )

    def receive(self, blob_id: uuid.UUID) -> Writer:
        self._announce(blob_id)
        return _S3Writer(self, blob_id)

    def link(self, source: uuid.UUID, blob_id: uuid.UUID) -> Writer:
        self._announce(blob_id)
        with answered(source):
            self.client.copy({"Bucket": self.bucket, "Key": self.key(source)}, self.bucket, self.key(blob_id))
        return _S3Writer(self, blob_id)

    def open(self, blob_id: uuid.UUID) -> Reader:
        size = self.size(blob_id)
        if size is None:
            raise Missing(blob_id)
        return _S3Reader(self, blob_id, size)

    def size(self, blob_id: uuid.UUID) -> int | None:
        try:
            with answered(blob_id):
                return int(self.client.head_object(Bucket=self.bucket, Key=self.key(blob_id))["ContentLength"])
        except Missing:
            return None

    def remove(self, blob_id: uuid.UUID) -> None:
        with contextlib.suppress(Missing), answered(blob_id):
            self.client.delete_object(Bucket=self.bucket, Key=self.key(blob_id))
            self.client.delete_object(Bucket=self.bucket, Key=self._mark(blob_id))

    def settle(self, blob_id: uuid.UUID) -> None:
        with answered(blob_id):
            self.client.delete_object(Bucket=self.bucket, Key=self._mark(blob_id))

    def names(self, *, idle_s: float) -> Iterator[list[uuid.UUID]]:
        unsettled = {blob_id for batch in self._listed("incoming", 0.0) for blob_id in batch}
        for batch in self._listed("data", idle_s):
            if found := [blob_id for blob_id in batch if blob_id not in unsettled]:
                yield found

    def sort_out(self, wanted: Callable[[uuid.UUID], bool], *, idle_s: float) -> tuple[int, int]:
        settled = removed = 0
        for batch in self._listed("incoming", max(idle_s, _LONGEST_WRITE_S)):
            for blob_id in batch:
                if wanted(blob_id):
                    self.settle(blob_id)
                    settled += 1
                else:
                    self._give_up_uploads(blob_id)
                    self.remove(blob_id)
                    removed += 1
        return settled, removed

    def free_bytes(self) -> int | None:
        return None

    def key(self, blob_id: uuid.UUID) -> str:
        """Where its content is."""
        return f"{self._area}/data/{blob_id.hex[-_DIGITS:]}/{blob_id.hex}"

    def _mark(self, blob_id: uuid.UUID) -> str:
        return f"{self._area}/incoming/{blob_id.hex}"

    def _announce(self, blob_id: uuid.UUID) -> None:
        with answered(blob_id):
            self.client.put_object(Bucket=self.bucket, Key=self._mark(blob_id), Body=b"")

    def _give_up_uploads(self, blob_id: uuid.UUID) -> None:
        with answered(blob_id):
            open_ones = self.client.list_multipart_uploads(Bucket=self.bucket, Prefix=self.key(blob_id)).get("Uploads", [])
            for each in open_ones:
                self.client.abort_multipart_upload(Bucket=self.bucket, Key=each["Key"], UploadId=each["UploadId"])

    def _listed(self, folder: str, idle_s: float) -> Iterator[list[uuid.UUID]]:
        before = datetime.now(UTC) - timedelta(seconds=idle_s)
        with answered(uuid.UUID(int=0)):
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"{self._area}/{folder}/")
            for page in pages:
                yield [
                    uuid.UUID(each["Key"].rpartition("/")[2]) for each in page.get("Contents", []) if each["LastModified"] <= before
                ]


class _S3Writer:
    """One request for what is small, a multipart upload for the rest."""

    def __init__(self, store: S3, blob_id: uuid.UUID) -> None:
        self.blob_id, self._store = blob_id, store
        self._target = {"Bucket": store.bucket, "Key": store.key(blob_id)}
        self._buffer = bytearray()
        self._upload_id, self._parts = "", list[dict[str, Any]]()

    def write(self, chunk: bytes) -> None:
        self._buffer += chunk
        if len(self._buffer) >= _PART_BYTES:
            self._send_part()

    def finish(self) -> None:
        if not self._upload_id:
            with answered(self.blob_id):
                self._store.client.put_object(**self._target, Body=bytes(self._buffer))
        else:
            if self._buffer:
                self._send_part()
            with answered(self.blob_id):
                self._store.client.complete_multipart_upload(
                    **self._target, UploadId=self._upload_id, MultipartUpload={"Parts": self._parts}
                )
            self._upload_id = ""
        self._buffer.clear()

    def settle(self) -> None:
        try:
            self._store.settle(self.blob_id)
        except Exception:
            log.exception("blob %s is not settled yet; the sweep does it", self.blob_id)

    def abort(self) -> None:
        try:
            if self._upload_id:
                with answered(self.blob_id):
                    self._store.client.abort_multipart_upload(**self._target, UploadId=self._upload_id)
            self._store.remove(self.blob_id)
        except Exception:
            log.exception("what was written of blob %s is not removed yet; the sweep does it", self.blob_id)

    def leave(self) -> None:
        self._buffer.clear()

    def _send_part(self) -> None:
        with answered(self.blob_id):
            client = self._store.client
            if not self._upload_id:
                self._upload_id = client.create_multipart_upload(**self._target)["UploadId"]
            number = len(self._parts) + 1
            sent = client.upload_part(**self._target, UploadId=self._upload_id, PartNumber=number, Body=bytes(self._buffer))
        self._parts.append({"PartNumber": number, "ETag": sent["ETag"]})
        self._buffer.clear()


class _S3Reader:
    """Asks when the first byte is read; a seek before that costs nothing."""

    def __init__(self, store: S3, blob_id: uuid.UUID, size: int) -> None:
        self._store, self._blob_id, self._size = store, blob_id, size
        self._offset = 0
        self._body: Any = None

    def seek(self, offset: int, /) -> int:
        self.close()
        self._offset = offset
        return offset

    def read(self, size: int, /) -> bytes:
        if self._offset >= self._size:
            return b""
        with answered(self._blob_id):
            if self._body is None:
                self._body = self._store.client.get_object(
                    Bucket=self._store.bucket, Key=self._store.key(self._blob_id), Range=f"bytes={self._offset}-"
                )["Body"]
            chunk: bytes = self._body.read(size)
        self._offset += len(chunk)
        return chunk

    def close(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None


@contextlib.contextmanager
def answered(blob_id: uuid.UUID) -> Iterator[None]:
    """Errors of boto3 as ours. Raises Missing, Unavailable `object.storage`."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except CloudError:
        raise
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in ("404", "NoSuchKey"):
            raise Missing(blob_id) from error
        raise Unavailable("object.storage", f"The S3 server behind the object store refuses: {code}.") from error
    except (BotoCoreError, OSError) as error:
        raise Unavailable("object.storage", f"The S3 server behind the object store does not answer: {type(error).__name__}.") from error
