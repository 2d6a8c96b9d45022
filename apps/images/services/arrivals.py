"""Images whose data an operation brings (IMPORTING) and no upload: begun with the request, then whole or given up in one transaction."""

import os
import uuid
from collections.abc import Callable
from pathlib import Path

from django.db import transaction

from apps.common import states
from apps.common.context import SYSTEM
from apps.common.errors import CloudError, Invalid, InvalidState, NotFound, Unavailable
from apps.images import inspect, store
from apps.images.models import Image
from apps.images.services import images, sizes
from apps.images.states import MACHINE, ImageFormat, ImageState
from apps.quotas.services import reservations


def begin(image: Image, *, size_bytes: int = 0) -> None:
    """From now on the data are on their way, and nobody else brings them; last in the caller's transaction.

    `size_bytes`: what counts in the project's quota already. Raises InvalidState `image.state`, QuotaExceeded, Invalid `image.too_large`.
    """
    sizes.check(size_bytes)
    # Only queued ones can become this.
    if not states.move(Image.objects.filter(pk=image.pk), MACHINE, ImageState.IMPORTING, size_bytes=0):
        raise InvalidState("image.state", f"This image is {image.state}; data goes to queued ones only.", state=image.state)
    _count(image.pk, size_bytes)


def expect(image_id: uuid.UUID, size_bytes: int) -> None:
    """Count so much in the project's quota before it comes. Raises QuotaExceeded, Invalid `image.too_large`."""
    sizes.check(size_bytes)
    with transaction.atomic():
        _count(image_id, size_bytes)


def is_awaited(image_id: uuid.UUID) -> bool:
    """Whether its data are still wanted: it was not deleted."""
    return Image.objects.filter(pk=image_id, state=ImageState.IMPORTING).exists()


def complete(
    image_id: uuid.UUID, path: Path, *, sha256: str, size_bytes: int, md5: str = "", close: Callable[[], object] = lambda: None,
    then: Callable[[], object] = lambda: None,
) -> None:
    """Make this file, which is on the disk, the image's content, and the image active.

    `close` is called first in that transaction (operations are locked before images), `then` last. Raises Invalid (`image.format`,
    `image.unsafe` …), QuotaExceeded, NotFound (it was deleted meanwhile), Unavailable, and what the two raise: then nothing has happened.
    """
    image = Image.objects.get(pk=image_id)
    if image.expected_sha256 not in ("", sha256):
        raise other_hash(image.expected_sha256, sha256)
    most = sizes.most_virtual_bytes(image.project_id)
    found = inspect.inspect(path, ImageFormat(image.disk_format), most_virtual_bytes=most)
    expect(image_id, size_bytes)
    facts = {"sha256": sha256, "md5": md5, "size_bytes": size_bytes, "virtual_size_bytes": found.virtual_size_bytes}
    try:
        with store.exclusively():
            store.keep(store.Stored(path, sha256, size_bytes))
            with transaction.atomic():
                close()
                rows = Image.objects.filter(pk=image_id, state=ImageState.IMPORTING)
                if not states.move(rows, MACHINE, ImageState.ACTIVE, **facts):
                    raise gone()
                then()
    except BaseException:
        images.forget_content(sha256)
        raise


def other_hash(expected: str, got: str) -> Invalid:
    """What came is not what was meant to come."""
    return Invalid("image.sha256", f"What came has the SHA-256 {got}, expected was {expected}.", field="sha256", expected=expected, got=got)


def gone() -> CloudError:
    """It was deleted."""
    return NotFound("image.not_found", "This image was deleted while its data came in.")


@transaction.atomic
def give_up(image_id: uuid.UUID) -> None:
    """It came to nothing: the image waits for its data again. It is no error if it does not any more."""
    rows = Image.objects.filter(pk=image_id, state=ImageState.IMPORTING)
    if rows.select_for_update().exists():
        _count(image_id, 0)
        states.move(rows, MACHINE, ImageState.QUEUED, size_bytes=None)


def discard(image_id: uuid.UUID) -> None:
    """It came to nothing, and the image was made for nothing else: it is deleted."""
    # It is nothing that anybody could have meant to protect.
    if Image.objects.filter(pk=image_id, state=ImageState.IMPORTING).update(protected=False):
        images.delete(actor=SYSTEM, image_id=image_id)


def content_of(image: Image, room: Path) -> Path:
    """A file with the content of an active image, which stays there as long as the room does. Raises Unavailable."""
    path = room / "source"
    try:
        # A name of its own: the image may be deleted meanwhile.
        os.link(store.path_of(image.sha256), path)
    except OSError as error:
        raise Unavailable("image.store", f"The image store cannot take this now: {error.strerror}.") from error
    return path


def _count(image_id: uuid.UUID, size_bytes: int) -> None:
    """Have it count so many bytes; the row says how many, so that they are given back exactly."""
    image = Image.objects.select_for_update().filter(pk=image_id, state=ImageState.IMPORTING).first()
    if image is None or (change := size_bytes - (image.size_bytes or 0)) == 0:
        return
    Image.objects.filter(pk=image_id).update(size_bytes=size_bytes)
    if image.project_id is not None:
        counted = reservations.reserve if change > 0 else reservations.release
        counted(project_id=image.project_id, amounts={"image_bytes": abs(change)})
