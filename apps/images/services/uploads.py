"""Content on its way in: at once or in pieces, never visible before it is whole, what it says it is, and safe.

The row of an upload is made before its scratch file and ends with it. Whoever writes holds a lock on the file, so a process that
is killed leaves an upload that can go on. Lock order: image, upload, quota; the lock on the file comes before them all.
"""

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.db import transaction

from apps.audit.services import record
from apps.common import clock, states
from apps.common.context import Actor
from apps.common.errors import Conflict, Invalid, InvalidState, NotFound, QuotaExceeded, Unavailable
from apps.images import inspect, store
from apps.images.models import Image, Upload
from apps.images.services import contents, images, sizes
from apps.images.states import MACHINE, ImageFormat, ImageState
from apps.quotas.services import reservations

# After so many bytes what has come is made sure, and whoever goes on after a kill begins there.
CHECKPOINT_BYTES = 64 * 1024**2


@dataclass(frozen=True)
class Progress:
    """How far an upload is: bytes that need not be sent again, and how many there will be, if that was said."""

    offset: int
    size_bytes: int | None


def progress(*, actor: Actor, image_id: uuid.UUID) -> Progress:
    """Raises NotFound, Forbidden."""
    image = images.owned(actor=actor, image_id=image_id, permission="images.image.update")
    row = Upload.objects.filter(image_id=image.pk).first()
    if row is None:
        whole = image.size_bytes if image.sha256 else None
        return Progress(whole or 0, whole)
    return Progress(row.received_bytes, row.size_bytes)


def upload(*, actor: Actor, image_id: uuid.UUID, stream: BinaryIO, size_bytes: int | None = None) -> Image:
    """Take in all the data of a queued image, or nothing; what has come in pieces and is not being written gives way to it.

    `size_bytes`: how long the stream is, if that is known: then nothing is read that the project may not keep.
    Raises NotFound, Forbidden, InvalidState, Conflict `image.busy`, Unavailable, QuotaExceeded, Invalid (`image.too_large`,
    `image.sha256`, and what `inspect` refuses).
    """
    image = images.owned(actor=actor, image_id=image_id, permission="images.image.update")
    if size_bytes is not None:
        sizes.check(size_bytes)
    earlier = Upload.objects.filter(image_id=image.pk).first()
    if earlier is not None and not store.is_busy(earlier.pk):
        give_up(image.pk, upload_id=earlier.pk)
    row = _begin(image.pk, size_bytes)
    with _ended(row), store.writing(row.pk) as scratch:
        _take_in(row, scratch, stream, most=sizes.most_bytes())
        return _finish(actor, row, scratch)


def put(
    *, actor: Actor, image_id: uuid.UUID, stream: BinaryIO, offset: int, length: int, size_bytes: int | None = None
) -> Image:
    """Take in a piece: `length` bytes from `offset` on. With the last one of `size_bytes` the image becomes active.

    What has come stays if the stream breaks off. Raises what `upload` raises, and Conflict `image.offset`, whose fact `offset`
    says where to go on, Invalid `image.length`.
    """
    image = images.owned(actor=actor, image_id=image_id, permission="images.image.update")
    sizes.check(size_bytes if size_bytes is not None else offset + length)
    row = Upload.objects.filter(image_id=image.pk).first()
    if row is None:
        if offset and image.state == ImageState.QUEUED:
            raise _elsewhere(0)
        row = _begin(image.pk, size_bytes)
    _check_offset(row, offset)
    try:
        with store.writing(row.pk, at=offset) as scratch:
            # Another request may have been at it between the two looks.
            row = Upload.objects.filter(pk=row.pk).first() or _fail(_gone())
            _check_offset(row, offset)
            _announce(row, size_bytes, offset + length)
            _take_in(row, scratch, stream, most=offset + length)
            if scratch.size != row.size_bytes:
                _mark(row, scratch)
                return Image.objects.get(pk=image.pk)
            with _ended(row, refusals_only=True):
                return _finish(actor, row, scratch)
    except store.Lost:
        give_up(image.pk, upload_id=row.pk)
        raise _elsewhere(0) from None


def cancel(*, actor: Actor, image_id: uuid.UUID) -> None:
    """What has come of an upload goes, and the image waits for its data again. Without an upload it is no error.

    Raises NotFound, Forbidden.
    """
    image = images.owned(actor=actor, image_id=image_id, permission="images.image.update")
    row = Upload.objects.filter(image_id=image.pk).first()
    if row is not None:
        give_up(image.pk, upload_id=row.pk)


def give_up(image_id: uuid.UUID, *, upload_id: uuid.UUID | None = None) -> None:
    """An upload (this one, or whatever there is) came to nothing: the image waits for its data again. Whoever still writes it is
    refused at the end. It is no error if there is none any more."""
    with transaction.atomic():
        rows = Image.objects.filter(pk=image_id)
        image = rows.select_for_update().first()
        found = Upload.objects.filter(image_id=image_id, **({} if upload_id is None else {"pk": upload_id}))
        ended = list(found.values_list("pk", flat=True))
        found.delete()
        if image is not None and image.state == ImageState.SAVING and (ended or upload_id is None):
            _count_bytes(image, 0)
            states.move(rows, MACHINE, ImageState.QUEUED, size_bytes=None)
    for each in {*ended, *([] if upload_id is None else [upload_id])}:
        store.discard(each)


def interrupted() -> list[contents.Lost]:
    """Images that say that they are being uploaded, and are not."""
    rows = Image.objects.filter(state=ImageState.SAVING, upload=None).values_list("pk", "name")
    return [contents.Lost(pk, name) for pk, name in rows]


def expire() -> int:
    """End uploads that nobody went on with for `image_upload_hours`; how many."""
    before = clock.now() - timedelta(hours=settings.ENV.image_upload_hours)
    rows = [row for row in Upload.objects.filter(moved_at__lte=before) if not store.is_busy(row.pk)]
    for row in rows:
        give_up(row.image_id, upload_id=row.pk)
    return len(rows)


def sweep() -> int:
    """Forgotten uploads, and files of nobody."""
    return expire() + contents.sweep()


def import_file(*, actor: Actor, name: str, path: Path, disk_format: str, visibility: str = "private", **more: Any) -> Image:
    """Register and upload a local file in one go; for commands at the shell."""
    with path.open("rb") as file:
        return import_stream(
            actor=actor, name=name, stream=file, size_bytes=path.stat().st_size, disk_format=disk_format, visibility=visibility, **more
        )


def import_stream(
    *, actor: Actor, name: str, stream: BinaryIO, disk_format: str, visibility: str = "private", size_bytes: int | None = None,
    protected: bool = False, **more: Any,
) -> Image:
    """Register and upload in one go: both or nothing. Raises what the two raise."""
    image = images.register(actor=actor, name=name, disk_format=disk_format, visibility=visibility, **more)
    try:
        made = upload(actor=actor, image_id=image.pk, stream=stream, size_bytes=size_bytes)
    except BaseException:
        images.delete(actor=actor, image_id=image.pk)
        raise
    return images.update(actor=actor, image_id=made.pk, protected=True) if protected else made


@transaction.atomic
def _begin(image_id: uuid.UUID, size_bytes: int | None) -> Upload:
    rows = Image.objects.filter(pk=image_id)
    image = rows.select_for_update().get()
    if not states.move(rows.filter(state=ImageState.QUEUED), MACHINE, ImageState.SAVING, size_bytes=0):
        raise InvalidState("image.state", f"This image is {image.state}; data goes to queued ones only.", state=image.state)
    row = Upload.objects.create(image_id=image_id, size_bytes=size_bytes, moved_at=clock.now())
    image.state, image.size_bytes = ImageState.SAVING.value, 0
    _count_bytes(image, size_bytes or 0)
    return row


@contextlib.contextmanager
def _ended(row: Upload, *, refusals_only: bool = False) -> Iterator[None]:
    """Whoever fails within leaves no upload behind; with `refusals_only` one that failed for other reasons may be tried again."""
    try:
        yield
    except BaseException as error:
        if not refusals_only or isinstance(error, Invalid | NotFound | QuotaExceeded):
            give_up(row.image_id, upload_id=row.pk)
        raise


def _take_in(row: Upload, scratch: store.Scratch, stream: BinaryIO, *, most: int) -> None:
    """Write the stream; what had come when it broke off is made sure, if it can be."""
    marked = scratch.size
    try:
        while chunk := _read(stream):
            if scratch.size + len(chunk) > most:
                raise store.too_large(most)
            scratch.write(chunk)
            if scratch.size - marked >= CHECKPOINT_BYTES:
                _mark(row, scratch)
                marked = scratch.size
    except Unavailable:
        give_up(row.image_id, upload_id=row.pk)  # a full disk is not kept full
        raise
    except BaseException:
        with contextlib.suppress(NotFound, Unavailable):
            _mark(row, scratch)
        raise


def _read(stream: BinaryIO) -> bytes:
    try:
        return stream.read(store.CHUNK)
    except OSError as error:
        raise Invalid("image.incomplete", f"The upload broke off: {error}.", field="file") from error


def _mark(row: Upload, scratch: store.Scratch) -> None:
    scratch.sync()
    if not Upload.objects.filter(pk=row.pk).update(received_bytes=scratch.size, moved_at=clock.now()):
        raise _gone()


def _finish(actor: Actor, row: Upload, scratch: store.Scratch) -> Image:
    _mark(row, scratch)
    image, hashed = Image.objects.get(pk=row.image_id), scratch.hashed()
    if image.expected_sha256 not in ("", hashed.sha256):
        text = f"What came has the SHA-256 {hashed.sha256}, expected was {image.expected_sha256}."
        raise Invalid("image.sha256", text, field="sha256", expected=image.expected_sha256, got=hashed.sha256)
    most = sizes.most_virtual_bytes(image.project_id)
    found = inspect.inspect(scratch.path, ImageFormat(image.disk_format), most_virtual_bytes=most)
    with transaction.atomic():
        _count_bytes(Image.objects.select_for_update().get(pk=image.pk), scratch.size)
    facts = {
        "sha256": hashed.sha256, "md5": hashed.md5, "size_bytes": scratch.size, "virtual_size_bytes": found.virtual_size_bytes,
    }
    with store.exclusively():
        store.keep(store.Stored(scratch.path, hashed.sha256, scratch.size))
        with transaction.atomic():
            moved = _activate(actor, image, row, facts)
    if not moved:
        images.forget_content(hashed.sha256)
        raise _gone()
    return Image.objects.get(pk=image.pk)


def _activate(actor: Actor, image: Image, row: Upload, facts: dict[str, Any]) -> bool:
    rows = Image.objects.filter(pk=image.pk, state=ImageState.SAVING)
    if rows.select_for_update().first() is None or not Upload.objects.filter(pk=row.pk).delete()[0]:
        return False
    states.move(rows, MACHINE, ImageState.ACTIVE, **facts)
    told = {name: value for name, value in facts.items() if name != "md5"}
    record.write(actor, "images.image.upload", "image", image.pk, project_id=image.project_id, name=image.name, changes=told)
    return True


@transaction.atomic
def _announce(row: Upload, size_bytes: int | None, reaching: int) -> None:
    """What is known of the size before the piece is read: it has to fit what was said, and into the quota."""
    image = Image.objects.select_for_update().get(pk=row.image_id)
    if size_bytes is not None and row.size_bytes not in (None, size_bytes):
        text = f"This upload was announced with {row.size_bytes} bytes, and now with {size_bytes}."
        raise Invalid("image.length", text, field="size_bytes", announced=row.size_bytes)
    row.size_bytes = size_bytes if size_bytes is not None else row.size_bytes
    if row.size_bytes is not None and reaching > row.size_bytes:
        text = f"This piece reaches to byte {reaching}, and the upload has {row.size_bytes}."
        raise Invalid("image.length", text, field="size_bytes", announced=row.size_bytes)
    Upload.objects.filter(pk=row.pk).update(size_bytes=row.size_bytes, moved_at=clock.now())
    _count_bytes(image, max(row.size_bytes or 0, reaching))


def _count_bytes(image: Image, size_bytes: int) -> None:
    """Have an image (locked) that is under way count so many bytes; the row says how many, so that they are given back exactly."""
    if image.state != ImageState.SAVING or (change := size_bytes - (image.size_bytes or 0)) == 0:
        return
    Image.objects.filter(pk=image.pk).update(size_bytes=size_bytes)
    if image.project_id is not None:
        counted = reservations.reserve if change > 0 else reservations.release
        counted(project_id=image.project_id, amounts={"image_bytes": abs(change)})


def _check_offset(row: Upload, offset: int) -> None:
    if offset != row.received_bytes:
        raise _elsewhere(row.received_bytes)


def _elsewhere(offset: int) -> Conflict:
    return Conflict("image.offset", f"The upload goes on at byte {offset}.", field="offset", offset=offset)


def _gone() -> NotFound:
    return NotFound("image.not_found", "This image was deleted, or its upload given up, while its data came in.")


def _fail(error: Exception) -> Any:
    raise error
