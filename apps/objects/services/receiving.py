"""Taking content in: one pass over the stream, chunk by chunk, into the store and through the hashes."""

import uuid
from dataclasses import dataclass

from apps.common.errors import CloudError, Invalid
from apps.common.ids import new_id
from apps.objects.hashing import ALGORITHMS, Hashes
from apps.objects.inputs import Expected, Stream
from apps.objects.models import Bucket
from apps.objects.states import PUT_MOST_BYTES
from apps.objects.stores import store
from apps.objects.stores.base import CHUNK_BYTES, Kept, Writer, full
from apps.quotas.services import reservations

# What is smaller is not worth three statements before it is read; it is refused after it.
_WORTH_ASKING_BYTES = 1024**2


@dataclass(frozen=True)
class Received:
    """Content that is on the disk, and belongs to nothing yet. `writer` None: it is empty. `etag`: MD5 in hex; `checksums`:
    algorithm → base64."""

    blob_id: uuid.UUID
    writer: Writer | None
    size_bytes: int
    etag: str
    checksums: dict[str, str]

    def kept(self) -> Kept:
        """`with received.kept():` around the transaction that refers to it."""
        return Kept(self.writer, (CloudError,))


def receive(*, bucket: Bucket, stream: Stream, expected: Expected | None, size_bytes: int | None) -> Received:
    """Raises Invalid `object.too_large`, `object.incomplete`, `object.md5`, `object.sha256`, `object.checksum`,
    `checksum.algorithm`, QuotaExceeded, Unavailable `object.storage_full`; then nothing of it stays."""
    expected = expected or Expected()
    _check_room(bucket, size_bytes)
    hashes = _hashes(expected)
    blob_id, writer = new_id(), None
    most = PUT_MOST_BYTES if size_bytes is None else size_bytes
    try:
        while chunk := stream.read(CHUNK_BYTES):
            writer = writer or store().receive(blob_id)
            hashes.update(chunk)
            if hashes.size_bytes > most:
                raise _too_large() if size_bytes is None else _incomplete(size_bytes, hashes.size_bytes)
            writer.write(chunk)
        _check(hashes, expected, size_bytes)
        if writer is not None:
            writer.finish()
    except BaseException:
        if writer is not None:
            writer.abort()
        raise
    checksums = {expected.algorithm: hashes.checksum, "type": "FULL_OBJECT"} if expected.algorithm else {}
    return Received(blob_id, writer, hashes.size_bytes, hashes.md5, checksums)


def _hashes(expected: Expected) -> Hashes:
    if expected.algorithm and expected.algorithm not in ALGORITHMS:
        message = f"{expected.algorithm} is no checksum that is offered; there are {', '.join(ALGORITHMS)}."
        raise Invalid("checksum.algorithm", message, field="algorithm")
    return Hashes(expected.algorithm, sha256=bool(expected.sha256))


def _check_room(bucket: Bucket, size_bytes: int | None) -> None:
    """Before the first byte is read, as far as the size is known."""
    if size_bytes is None or size_bytes < _WORTH_ASKING_BYTES:
        return
    if size_bytes > PUT_MOST_BYTES:
        raise _too_large()
    reservations.check(project_id=bucket.project_id, amounts={"object_bytes": size_bytes})
    free = store().free_bytes()
    if free is not None and size_bytes > free:
        raise full()


def _check(hashes: Hashes, expected: Expected, size_bytes: int | None) -> None:
    if size_bytes is not None and hashes.size_bytes != size_bytes:
        raise _incomplete(size_bytes, hashes.size_bytes)
    for name, wanted, got in (
        ("md5", expected.md5, hashes.md5), ("sha256", expected.sha256, hashes.sha256), ("checksum", expected.checksum, hashes.checksum),
    ):
        if wanted and wanted != got:
            what = expected.algorithm if name == "checksum" else {"md5": "MD5", "sha256": "SHA-256"}[name]
            raise Invalid(f"object.{name}", f"What came has the {what} {got}, expected was {wanted}.", field=name, expected=wanted, got=got)


def _incomplete(wanted: int, got: int) -> Invalid:
    text = "at least " if got > wanted else ""
    return Invalid("object.incomplete", f"{wanted} bytes were announced, {text}{got} came.", wanted=wanted, got=got)


def _too_large() -> Invalid:
    return Invalid("object.too_large", f"More than {PUT_MOST_BYTES} bytes: send it in parts.", limit=PUT_MOST_BYTES)
