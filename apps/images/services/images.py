"""Register, upload and delete images."""

import uuid
from pathlib import Path
from typing import Any, BinaryIO

from django.conf import settings
from django.db import transaction

from apps.audit.services import record
from apps.common import states
from apps.common.checks import check_name
from apps.common.context import Actor
from apps.common.errors import Conflict, InvalidState, NotFound
from apps.identity import policy
from apps.images import inspect, selectors, store
from apps.images.models import Image
from apps.images.states import MACHINE, ImageState
from apps.quotas.services import reservations
from contracts.compute.v1 import DiskFormat


def register(*, actor: Actor, name: str, disk_format: DiskFormat, visibility: str = "private", **more: Any) -> Image:
    """A new image without data yet. `more`: min_disk_gb, min_memory_mb, kernel_id, ramdisk_id, kernel_args, properties.

    Raises Forbidden (public ones are for operators), NotFound (kernel or ramdisk), QuotaExceeded.
    """
    policy.require(actor, "images.image.create")
    check_name(name)
    if visibility == "public":
        policy.require(actor, "images.image.publish")
    for field, wanted in (("kernel_id", DiskFormat.KERNEL), ("ramdisk_id", DiskFormat.RAMDISK)):
        if (image_id := more.get(field)) is not None and not selectors.usable(actor=actor, image_id=image_id, formats=[wanted]):
            raise NotFound("image.not_found", f"There is no active {wanted.value} image {image_id}.", field=field)
    with transaction.atomic():
        image = Image.objects.create(
            project_id=actor.project_id, name=name, disk_format=disk_format.value, visibility=visibility, **more
        )
        asked = {"disk_format": disk_format, "visibility": visibility, **{field: value for field, value in more.items() if value}}
        _record(actor, "images.image.create", image, asked)
        if image.project_id is not None:
            reservations.reserve(project_id=image.project_id, amounts={"images": 1})
    return image


def upload(*, actor: Actor, image_id: uuid.UUID, stream: BinaryIO, size_bytes: int | None = None) -> Image:
    """Take in the data of a queued image. Nothing is visible before it is whole and found safe.

    `size_bytes`: how long the stream is, if that is known: then nothing is read that the project may not keep.
    Raises NotFound, Forbidden, InvalidState, Invalid (`image.format`, `image.unsafe`, `image.too_large`), Unavailable,
    QuotaExceeded.
    """
    image = owned(actor=actor, image_id=image_id, permission="images.image.update")
    if size_bytes is not None and size_bytes > _most_bytes():
        raise store.too_large(_most_bytes())
    with transaction.atomic():
        if not states.move(Image.objects.filter(pk=image.pk), MACHINE, ImageState.SAVING, size_bytes=0):
            raise InvalidState("image.state", f"This image is {image.state}; data goes to queued ones only.", state=image.state)
        _count_bytes(image.pk, size_bytes or 0)
    try:
        _save(actor, image, stream)
    except BaseException:
        give_up(image.pk)
        raise
    return Image.objects.get(pk=image.pk)


@transaction.atomic
def give_up(image_id: uuid.UUID) -> None:
    """An upload came to nothing: the image waits for its data again. It is no error if it does not any more."""
    rows = Image.objects.filter(pk=image_id, state=ImageState.SAVING)
    image = rows.select_for_update().first()
    if image is not None:
        _count_bytes(image_id, 0)
        states.move(rows, MACHINE, ImageState.QUEUED, size_bytes=None)


def import_file(*, actor: Actor, name: str, path: Path, disk_format: DiskFormat, visibility: str = "private", **more: Any) -> Image:
    """Register and upload a local file in one go; for commands at the shell."""
    with path.open("rb") as file:
        return import_stream(
            actor=actor, name=name, stream=file, size_bytes=path.stat().st_size, disk_format=disk_format, visibility=visibility, **more
        )


def import_stream(
    *, actor: Actor, name: str, stream: BinaryIO, disk_format: DiskFormat, visibility: str = "private",
    size_bytes: int | None = None, **more: Any,
) -> Image:
    """Register and upload in one go: both or nothing. Raises what the two raise."""
    image = register(actor=actor, name=name, disk_format=disk_format, visibility=visibility, **more)
    try:
        return upload(actor=actor, image_id=image.pk, stream=stream, size_bytes=size_bytes)
    except BaseException:
        delete(actor=actor, image_id=image.pk)
        raise


def delete(*, actor: Actor, image_id: uuid.UUID) -> None:
    """Delete an image; its content goes when no other image has it. Raises NotFound, Forbidden, Conflict."""
    image = owned(actor=actor, image_id=image_id, permission="images.image.delete")
    if Image.objects.filter(state=ImageState.ACTIVE).filter(kernel_id=image.pk).exists() or Image.objects.filter(
        state=ImageState.ACTIVE, ramdisk_id=image.pk
    ).exists():
        raise Conflict("image.in_use", "Another image boots with this kernel or ramdisk; delete that one first.")
    with transaction.atomic():
        rows = Image.objects.filter(pk=image.pk)
        counted = rows.select_for_update().values_list("size_bytes", flat=True).get()
        if not states.move(rows, MACHINE, ImageState.DELETED):
            raise InvalidState("image.state", "This image is deleted already.", state=image.state)
        _record(actor, "images.image.delete", image, {"state": [image.state, ImageState.DELETED]})
        if image.project_id is not None:
            reservations.release(project_id=image.project_id, amounts={"images": 1, "image_bytes": counted or 0})
    if image.sha256:
        forget_content(image.sha256)


def forget_content(sha256: str) -> None:
    """Delete content unless an image has it (again)."""
    with store.exclusively():
        if not Image.objects.filter(sha256=sha256).exclude(state=ImageState.DELETED).exists():
            store.remove(sha256)


def owned(*, actor: Actor, image_id: uuid.UUID, permission: str) -> Image:
    """An image to which this actor may do that. Raises NotFound, Forbidden."""
    image = selectors.shown(actor=actor, image_id=image_id, permission=permission)
    if image.project_id != actor.project_id and image.visibility == "public":
        policy.require(actor, "images.image.publish")
    return image


def _record(actor: Actor, action: str, image: Image, changes: dict[str, Any]) -> None:
    record.write(actor, action, "image", image.pk, project_id=image.project_id, name=image.name, changes=changes)


def _most_bytes() -> int:
    most: int = settings.ENV.max_image_gb * 1024**3
    return most


def _count_bytes(image_id: uuid.UUID, size_bytes: int) -> None:
    """Have an image that is being uploaded count so many bytes; the row says how many, so that they are given back exactly."""
    image = Image.objects.select_for_update().filter(pk=image_id, state=ImageState.SAVING).first()
    if image is None or (change := size_bytes - (image.size_bytes or 0)) == 0:
        return
    Image.objects.filter(pk=image_id).update(size_bytes=size_bytes)
    if image.project_id is not None:
        counted = reservations.reserve if change > 0 else reservations.release
        counted(project_id=image.project_id, amounts={"image_bytes": abs(change)})


def _save(actor: Actor, image: Image, stream: BinaryIO) -> None:
    stored = store.receive(stream, most_bytes=_most_bytes(), owner=image.pk)
    try:
        found = inspect.inspect(stored.scratch, DiskFormat(image.disk_format))
        with transaction.atomic():
            _count_bytes(image.pk, stored.size_bytes)
        facts = {
            "sha256": stored.sha256, "size_bytes": stored.size_bytes, "virtual_size_bytes": found.virtual_size_bytes,
        }
        with store.exclusively():
            store.keep(stored)
            with transaction.atomic():
                # Of another size: it was given up, and another upload has begun.
                ours = Image.objects.filter(pk=image.pk, size_bytes=stored.size_bytes)
                moved = states.move(ours, MACHINE, ImageState.ACTIVE, **facts)
                if moved:
                    _record(actor, "images.image.upload", image, facts)
    except BaseException:
        store.discard(stored)
        raise
    if not moved:
        forget_content(stored.sha256)
        raise NotFound("image.not_found", "This image was deleted, or its upload given up, while its data came in.")
