"""Images that hosts make of instances: begun with the request, sent in pieces by the host, whole or gone.

What the host sends goes the way of every upload; only who may send, and what a beginning is good for, is decided here.
"""

import uuid
from dataclasses import dataclass
from typing import Any, BinaryIO

from django.db import transaction
from django.db.models import QuerySet

from apps.common.context import SYSTEM, Actor
from apps.common.errors import Conflict, Invalid, NotFound
from apps.images import upload_addresses
from apps.images.models import Image, Upload
from apps.images.services import images, uploads
from apps.images.states import WHOLE, ImageFormat, ImageState

_GIB = 1024**3
KIND = "snapshot"
# Texts that are true of one image only, whatever is made of it.
_NOT_INHERITED = ("image_type", "instance_uuid", "base_image_ref")


@dataclass(frozen=True)
class SoFar:
    """How much of the file is here. `complete`: the image has its content."""

    size_bytes: int
    complete: bool = False


def begin(
    *, actor: Actor, name: str, instance_id: uuid.UUID, base_image_id: uuid.UUID, disk_gb: int, properties: dict[str, str] | None = None
) -> Image:
    """A new private image that waits for what a host sends; in the caller's transaction.

    What its base says of the machine that it needs (properties, least memory, kernel and ramdisk) holds for it, too. `disk_gb`: of
    the instance, 0 if its disk is as large as its image. Raises Forbidden, Invalid, NotFound (kernel or ramdisk), QuotaExceeded.
    """
    base = Image.objects.filter(pk=base_image_id).first()
    inherited, more = {}, dict[str, Any]()
    if base is not None:
        inherited = {key: value for key, value in base.properties.items() if key not in _NOT_INHERITED}
        more = {
            "min_memory_mb": base.min_memory_mb, "kernel_id": base.kernel_id, "ramdisk_id": base.ramdisk_id, "kernel_args": base.kernel_args,
        }
    least_gb = disk_gb or -(-((base.virtual_size_bytes if base is not None else 0) or 0) // _GIB)
    texts = {
        **inherited, **(properties or {}), "image_type": KIND, "instance_uuid": str(instance_id), "base_image_ref": str(base_image_id),
    }
    return images.register(actor=actor, name=name, disk_format=ImageFormat.QCOW2, min_disk_gb=least_gb, properties=texts, **more)


def address(image_id: uuid.UUID, *, expires: float) -> str:
    """Where the host sends it; good until `expires` (Unix seconds)."""
    return upload_addresses.sign(image_id, expires=int(expires))


def so_far(*, image_id: uuid.UUID, sha256: str) -> SoFar:
    """What a host may save itself the sending of; without `sha256`: of whatever file. Raises NotFound."""
    image = _awaited(image_id)
    if image.state in WHOLE:
        return SoFar(image.size_bytes or 0, complete=True)
    return SoFar(_received(image, sha256))


def receive(*, image_id: uuid.UUID, sha256: str, first: int, length: int, total: int, stream: BinaryIO) -> SoFar:
    """Take in `length` bytes from byte `first` on; with the last one the file is verified and inspected, and the image active.

    Raises NotFound (nobody waits for it any more), Conflict `image.offset` (another byte is next), `image.busy`, `image.checksum` (what
    came is not what was promised: from the start), Invalid (`image.too_large`, `image.unsafe` …), QuotaExceeded, Unavailable.
    """
    image = _awaited(image_id)
    if image.state in WHOLE:
        return SoFar(image.size_bytes or 0, complete=True)
    if image.expected_sha256 != sha256:
        _expect(image, sha256, first)
    try:
        image = uploads.put(actor=SYSTEM, image_id=image_id, stream=stream, offset=first, length=length, size_bytes=total)
    except Invalid as error:
        if error.code != "image.sha256":
            raise
        raise Conflict("image.checksum", error.message) from error
    return SoFar(image.size_bytes or 0, complete=True) if image.state in WHOLE else SoFar(_received(image, sha256))


def abandon(image_id: uuid.UUID) -> bool:
    """Nobody sends it any more: it is deleted. False if it is whole. In the caller's transaction, or one of its own."""
    with transaction.atomic():
        rows = Image.objects.select_for_update().filter(pk=image_id)
        image = rows.first()
        if image is None or image.state == ImageState.DELETED:
            return True
        if image.state in WHOLE:
            return False
        # Protected is what is in it, and there is nothing.
        _delete(rows)
    return True


def disown(image_id: uuid.UUID) -> None:
    """It is whole, but not what was to be in it: it is deleted all the same. In the caller's transaction, or one of its own."""
    with transaction.atomic():
        rows = Image.objects.select_for_update().filter(pk=image_id)
        if rows.exclude(state=ImageState.DELETED).exists():
            _delete(rows)


def content_of(image_id: uuid.UUID) -> str:
    """The SHA-256 of what it has, or had before it was deleted; empty if it never was whole."""
    return Image.objects.filter(pk=image_id).values_list("sha256", flat=True).first() or ""


def _delete(rows: QuerySet[Image]) -> None:
    rows.filter(protected=True).update(protected=False)
    images.delete(actor=SYSTEM, image_id=rows.get().pk)


def _awaited(image_id: uuid.UUID) -> Image:
    """An image that a host may send, or has sent. Raises NotFound."""
    image = Image.objects.filter(pk=image_id).exclude(state=ImageState.DELETED).first()
    if image is None or image.properties.get("image_type") != KIND:
        raise NotFound("image.not_found", f"Nobody waits for the content of an image {image_id}.")
    return image


def _received(image: Image, sha256: str) -> int:
    if not sha256 or image.expected_sha256 != sha256:
        return 0
    return Upload.objects.filter(image=image).values_list("received_bytes", flat=True).first() or 0


def _expect(image: Image, sha256: str, first: int) -> None:
    """Another file than the one that was begun: the agent was killed, and the guest has gone on since. Raises Conflict."""
    if first:
        raise Conflict("image.offset", "Nothing of this file is here, so byte 0 is the next.", offset=0)
    uploads.give_up(image.pk)
    Image.objects.filter(pk=image.pk).update(expected_sha256=sha256)
