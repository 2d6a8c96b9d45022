"""Copies inside the store: a second name for the same blocks of the disk, whatever the size."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from typing import Any

from apps.common.context import Actor
from apps.common.errors import CloudError, Conflict, Unavailable
from apps.common.ids import new_id
from apps.common.sql import insert_rows
from apps.objects.hashing import Hashes
from apps.objects.inputs import About, Condition
from apps.objects.models import Bucket, Part, Upload, Version
from apps.objects.selectors import content
from apps.objects.selectors import objects as objects_there
from apps.objects.services import assembling, placing, writing
from apps.objects.states import MOST_PARTS
from apps.objects.stores import store
from apps.objects.stores.base import CHUNK_BYTES, Kept, Missing, Writer

# So many parts are linked, and their locks held, at once.
_AT_ONCE = 100


def described_as(
    origin: Version, *, about: About | None, tags: Mapping[str, str] | None, acl: Mapping[str, Any] | None
) -> About:
    """What a copy is said to be."""
    told = about or About(content_type=origin.content_type, headers=origin.headers, metadata=origin.metadata)
    return replace(told, tags=origin.tags if tags is None else tags, acl=acl)


def copy(
    *, actor: Actor, holder: Bucket, origin: Version, new: Version, algorithm: str, condition: Condition | None
) -> Version:
    """Put `new`, a copy of `origin`, in its place. Raises Unavailable `object.content`, `object.replaced`, and what `objects.put` raises."""
    if algorithm and algorithm not in origin.checksums:
        new.checksums = {algorithm: _computed(origin, algorithm), "type": "FULL_OBJECT"}
    if origin.parts_count:
        return _copy_parts(actor, holder, origin, new, condition)
    writer = linked(origin) if origin.size_bytes else None
    if writer is not None:
        new.pk = writer.blob_id
    with Kept(writer, (CloudError,)), placing.committed(holder):
        less = placing.place(holder, new, condition=condition)
        writing.write_down(actor, "objects.object.create", holder, new)
        placing.count(holder.project_id, more=new.size_bytes, less=less)
    return new


def linked(origin: "Version | Part") -> Writer:
    """A new blob with the content of a version without parts, or of a part. Raises Unavailable."""
    try:
        return store().link(origin.pk, new_id())
    except Missing as error:
        raise Unavailable("object.content", "The content of the source is not there as it should be; `object_scrub` tells more.") from error


def _copy_parts(actor: Actor, holder: Bucket, origin: Version, new: Version, condition: Condition | None) -> Version:
    """By way of an upload: a copy of 10,000 parts that is killed half-way is found, and expires, as such."""
    shared = {field.attname: getattr(new, field.attname) for field in Upload._meta.concrete_fields if hasattr(new, field.attname)}
    upload = Upload(**shared | {"id": new_id()})
    with placing.committed(holder):
        upload.save(force_insert=True)
    try:
        _link_parts(holder, origin, upload)
        with placing.committed(holder):
            placing.lock(holder, new.key)
            assembling.locked(upload)
            new.parts_count, size = assembling.counted(upload)
            if size != new.size_bytes:  # an upload can be seen, and so be written to
                raise Conflict("upload.changed", "Somebody else has changed the parts of this copy.")
            less = placing.place(holder, new, condition=condition)
            assembling.adopt(upload, new)
            writing.write_down(actor, "objects.object.create", holder, new)
            placing.count(holder.project_id, more=0, less=less)
    except CloudError:
        with placing.committed(holder):
            placing.count(holder.project_id, more=0, less=assembling.drop(upload))
        raise
    return new


def _link_parts(holder: Bucket, origin: Version, upload: Upload) -> None:
    waiting = iter(_all_parts(origin))
    while some := list(islice(waiting, _AT_ONCE)):
        with ExitStack() as kept:
            rows = []
            for part in some:
                writer = linked(part) if part.size_bytes else None
                kept.enter_context(Kept(writer, (CloudError,)))
                rows.append(
                    Part(
                        blob_id=writer.blob_id if writer else new_id(), upload_id=upload.pk, number=part.number, size_bytes=part.size_bytes,
                        etag=part.etag, checksums=part.checksums, created_at=upload.created_at,
                    )
                )
            with placing.committed(holder):
                assembling.locked(upload)
                insert_rows(rows)
                placing.count(holder.project_id, more=sum(row.size_bytes for row in rows), less=0)


def _all_parts(origin: Version) -> list[Part]:
    """In one statement: the parts of a version that is replaced meanwhile are all there, or none of them."""
    parts = objects_there.parts(origin, most=MOST_PARTS)
    if len(parts) != origin.parts_count:
        raise content.missing_parts(origin)
    return parts


def _computed(origin: Version, algorithm: str) -> str:
    hashes, bytes_of = Hashes(algorithm), content.open_content(origin)
    try:
        while chunk := bytes_of.read(CHUNK_BYTES):
            hashes.update(chunk)
    finally:
        bytes_of.close()
    return hashes.checksum
