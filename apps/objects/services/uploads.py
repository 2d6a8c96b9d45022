"""Uploads in parts."""

import uuid
from collections.abc import Sequence
from datetime import timedelta

from django.conf import settings

from apps.common import clock, ids
from apps.common.context import SYSTEM, Actor
from apps.common.errors import CloudError, Invalid
from apps.common.ids import new_id
from apps.objects import hashing
from apps.objects.inputs import NO_CONTEXT, About, Condition, Context, Expected, NamedPart, Source, Stream
from apps.objects.models import Bucket, Part, Upload, Version
from apps.objects.selectors import buckets, content, gate
from apps.objects.selectors import objects as objects_there
from apps.objects.selectors import uploads as uploads_there
from apps.objects.services import assembling, checking, completing, copying, placing, receiving, writing
from apps.objects.states import MOST_PARTS, ChecksumType
from apps.objects.stores.base import Kept

_EXPIRED_AT_ONCE = 100


def begin(
    *, actor: Actor, bucket: str, key: str, about: About, algorithm: str = "", checksum_type: str = "", context: Context = NO_CONTEXT
) -> Upload:
    """`algorithm`, `checksum_type` (FULL_OBJECT or COMPOSITE): of the checksums that the parts will have.

    Raises NotFound `bucket.not_found`, Forbidden, Invalid `key.invalid`, `tags.invalid`, `object.metadata`,
    `checksum.algorithm`, `checksum.type`.
    """
    checking.check_key(key)
    checking.check_about(about)
    checksum_type = _checksum_type(algorithm, checksum_type)
    holder = buckets.named(bucket)
    writing.allow_writing(actor, holder, key, about, context)
    upload = Upload(
        id=new_id(), bucket_id=holder.pk, key=key, algorithm=algorithm, checksum_type=checksum_type, **writing.described(actor, about)
    )
    with placing.committed(holder):
        upload.save(force_insert=True)
    return upload


def put_part(
    *, actor: Actor, bucket: str, key: str, upload_id: str, number: int, stream: Stream, expected: Expected | None = None,
    size_bytes: int | None = None, context: Context = NO_CONTEXT,
) -> Part:
    """Take in a part; sent again it replaces what was there. Raises what `objects.put` raises, NotFound `upload.not_found`,
    Invalid `part.number`, `checksum.algorithm` (not the one of the upload)."""
    _check_number(number)
    holder, upload = uploads_there.upload(
        actor=actor, bucket=bucket, key=key, upload_id=upload_id, action="s3:PutObject", context=context
    )
    expected = expected or Expected()
    if upload.algorithm and expected.algorithm not in ("", upload.algorithm):
        message = f"The parts of this upload have checksums by {upload.algorithm}, not by {expected.algorithm}."
        raise Invalid("checksum.algorithm", message, field="algorithm")
    expected.algorithm = expected.algorithm or upload.algorithm
    received = receiving.receive(bucket=holder, stream=stream, expected=expected, size_bytes=size_bytes)
    part = _part(upload, number, received.blob_id, received.size_bytes, received.etag, received.checksums)
    with received.kept():
        _add(holder, upload, part)
    return part


def copy_part(
    *, actor: Actor, bucket: str, key: str, upload_id: str, number: int, source: Source, context: Context = NO_CONTEXT
) -> Part:
    """A part out of another object, or a range of it. Raises what `put_part` and `objects.copy` raise, Invalid `object.range`."""
    _check_number(number)
    holder, upload = uploads_there.upload(
        actor=actor, bucket=bucket, key=key, upload_id=upload_id, action="s3:PutObject", context=context
    )
    _, origin = objects_there.found(
        actor=actor, bucket=source.bucket, key=source.key, version=source.version, action="s3:GetObject", context=context
    )
    if source.condition is not None:
        objects_there.check(origin, source.condition)
    first, last = _range(source, origin)
    whole = (first, last) == (0, origin.size_bytes - 1) and not origin.parts_count
    if whole and upload.algorithm in ("", *origin.checksums):
        writer = copying.linked(origin)
        part = _part(upload, number, writer.blob_id, origin.size_bytes, origin.etag, origin.checksums)
        with Kept(writer, (CloudError,)):
            _add(holder, upload, part)
        return part
    stream = content.open_content(origin, first=first, last=last)
    try:
        received = receiving.receive(
            bucket=holder, stream=stream, expected=Expected(algorithm=upload.algorithm), size_bytes=last - first + 1
        )
    finally:
        stream.close()
    part = _part(upload, number, received.blob_id, received.size_bytes, received.etag, received.checksums)
    with received.kept():
        _add(holder, upload, part)
    return part


def complete(
    *, actor: Actor, bucket: str, key: str, upload_id: str, parts: Sequence[NamedPart], checksum: str = "", checksum_type: str = "",
    size_bytes: int | None = None, condition: Condition | None = None, context: Context = NO_CONTEXT,
) -> Version:
    """Make the object out of these parts; nothing is copied. Asked again after it was done, the answer is the same.

    `checksum`: of the whole object, base64 (`…-N` for a composite one). Raises NotFound `upload.not_found`,
    Invalid `part.missing` (InvalidPart), `part.order`, `part.too_small` (all but the last have 5 MiB), `upload.empty`,
    `object.too_large`, `object.checksum`, `object.size`, `checksum.type`, Conflict `object.condition`.
    """
    completing.check_order(parts)
    holder = buckets.named(bucket)
    upload = uploads_there.rows(holder, key, upload_id).first()
    gate.require(actor, "s3:PutObject", holder, key=key, version=upload, context=context)
    if upload is None:
        return _completed(holder, key, upload_id)
    with placing.committed(holder):
        placing.lock(holder, key)
        upload = Upload.objects.select_for_update().filter(pk=upload.pk).first()
        if upload is None:  # somebody else was first, with the same request or another one
            return _completed(holder, key, upload_id)
        new, left_over = completing.assembled(upload, parts, checksum, checksum_type, size_bytes)
        less = assembling.let_go(left_over)
        less += placing.place(holder, new, condition=condition)
        assembling.adopt(upload, new)
        writing.write_down(actor, "objects.object.create", holder, new)
        placing.count(holder.project_id, more=0, less=less)
    return new


def abort(*, actor: Actor, bucket: str, key: str, upload_id: str, context: Context = NO_CONTEXT) -> None:
    """Raises NotFound `bucket.not_found`, `upload.not_found`, Forbidden."""
    holder, upload = uploads_there.upload(
        actor=actor, bucket=bucket, key=key, upload_id=upload_id, action="s3:AbortMultipartUpload", context=context
    )
    _abort(actor, holder, upload)


def expire() -> int:
    """End the uploads that were begun too long ago (setting `object_upload_days`); how many these were."""
    before = clock.now() - timedelta(days=settings.ENV.object_upload_days)
    old = list(Upload.objects.filter(pk__lt=ids.first_at(before)).select_related("bucket").order_by("pk")[:_EXPIRED_AT_ONCE])
    ended = 0
    for upload in old:
        try:
            _abort(SYSTEM, upload.bucket, upload)
        except CloudError:
            continue  # completed or aborted at this moment
        ended += 1
    return ended


def _abort(actor: Actor, holder: Bucket, upload: Upload) -> None:
    with placing.committed(holder):
        locked = assembling.locked(upload)
        less = assembling.drop(locked)
        writing.write_down(actor, "objects.object.delete", holder, Version(key=upload.key))
        placing.count(holder.project_id, more=0, less=less)


def _add(holder: Bucket, upload: Upload, part: Part) -> None:
    with placing.committed(holder):
        assembling.locked(upload)
        less = assembling.add(upload, part)
        placing.count(holder.project_id, more=part.size_bytes, less=less)


def _part(upload: Upload, number: int, blob_id: uuid.UUID, size_bytes: int, etag: str, checksums: dict[str, str]) -> Part:
    return Part(
        blob_id=blob_id, upload_id=upload.pk, number=number, size_bytes=size_bytes, etag=etag, checksums=checksums, created_at=clock.now()
    )


def _completed(holder: Bucket, key: str, upload_id: str) -> Version:
    """What an upload has become. Raises NotFound `upload.not_found`."""
    known = ids.parse(upload_id)
    found = Version.objects.filter(bucket_id=holder.pk, key=key, upload_id=known).first() if known is not None else None
    if found is None:
        raise uploads_there.not_found(upload_id)
    return found


def _check_number(number: int) -> None:
    if not 1 <= number <= MOST_PARTS:
        raise Invalid("part.number", f"Parts are numbered from 1 to {MOST_PARTS}.", field="number", limit=MOST_PARTS)


def _range(source: Source, origin: Version) -> tuple[int, int]:
    first = 0 if source.first is None else source.first
    last = origin.size_bytes - 1 if source.last is None else source.last
    if not 0 <= first <= last < origin.size_bytes:
        raise Invalid("object.range", f"The source has {origin.size_bytes} bytes.", field="range", size_bytes=origin.size_bytes)
    return first, last


def _checksum_type(algorithm: str, checksum_type: str) -> str:
    if not algorithm:
        if checksum_type:
            raise Invalid("checksum.type", "A type of checksum needs its algorithm.", field="checksum_type")
        return ""
    if algorithm not in hashing.ALGORITHMS:
        message = f"{algorithm} is no checksum that is offered; there are {', '.join(hashing.ALGORITHMS)}."
        raise Invalid("checksum.algorithm", message, field="algorithm")
    allowed = {
        ChecksumType.COMPOSITE.value: algorithm != "CRC64NVME", ChecksumType.FULL_OBJECT.value: algorithm in hashing.COMBINABLE,
    }
    chosen = checksum_type or ("FULL_OBJECT" if algorithm == "CRC64NVME" else "COMPOSITE")
    if not allowed.get(chosen, False):
        raise Invalid("checksum.type", f"{algorithm} cannot be of the type {chosen}.", field="checksum_type")
    return chosen
