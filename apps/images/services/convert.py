"""A new image with the content of another one, in another format."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction

from apps.common.context import Actor
from apps.common.errors import Invalid, InvalidState, NotFound
from apps.identity import policy
from apps.images import conversion, inspect, selectors, workrooms
from apps.images.digests import Digest, Hashed
from apps.images.models import Image
from apps.images.names import CONVERT
from apps.images.services import arrivals, images, sizes, work
from apps.images.services.work import Watch
from apps.images.states import ImageFormat, ImageState
from apps.operations import selectors as operations
from apps.operations.services import idempotency, lifecycle, workers
from apps.operations.services.idempotency import Claim
from apps.operations.services.lifecycle import Note
from apps.operations.services.workers import Turn
from contracts import topics

if TYPE_CHECKING:
    from apps.operations.models import Operation

_CHUNK_BYTES = 1024**2
# What the new image takes over: needs of guests do not depend on the format.
_KEPT = ("min_disk_gb", "min_memory_mb", "kernel_id", "ramdisk_id", "kernel_args", "properties")


def start(*, actor: Actor, image_id: uuid.UUID, disk_format: str, name: str = "", client_token: str = "") -> tuple[Image, Operation]:
    """A new image of the actor's project, to be filled by a worker. It is deleted again if that fails.

    `client_token`: with the same one the same request is done once, and answered alike. Raises Forbidden, NotFound, InvalidState
    `image.state` (the source is not active), Invalid `image.conversion_format`, `image.too_large`, Conflict `client_token.reused`,
    QuotaExceeded.
    """
    policy.require(actor, "images.image.create")
    return idempotency.once(
        actor=actor, token=client_token, request={"kind": CONVERT, "image_id": image_id, "disk_format": disk_format, "name": name},
        make=partial(_start, actor, image_id, disk_format, name), again=_recalled,
    )


def _recalled(ids: list[uuid.UUID]) -> tuple[Image, Operation]:
    """What an earlier request made, whatever became of it."""
    return Image.objects.get(pk=ids[0]), operations.of_kind(kind=CONVERT, resource_ids=ids).get()


def _start(actor: Actor, image_id: uuid.UUID, disk_format: str, name: str, claim: Claim) -> tuple[Image, Operation]:
    source = _source(actor, image_id)
    if source.state != ImageState.ACTIVE:
        raise InvalidState("image.state", f"This image is {source.state}; only active ones can be converted.", state=source.state)
    _check_formats(source.disk_format, disk_format)
    # What a compressed one will have, nobody knows before.
    size_bytes = source.virtual_size_bytes or 0 if disk_format == ImageFormat.RAW else 0
    sizes.check(size_bytes)
    with transaction.atomic():
        image = images.register(
            actor=actor, name=name or f"{source.name} ({disk_format})"[:255], disk_format=disk_format, tags=images.tags_of(source), claim=claim,
            **{field: getattr(source, field) for field in _KEPT},
        )
        operation = lifecycle.prepare(actor=actor, kind=CONVERT, resource_id=image.pk, project_id=image.project_id)
        workers.begin(
            operation, queue=topics.IMAGES, task=topics.IMAGE_WORK, message=work.message(operation.pk, {"image_id": str(source.pk)}),
            notes=[Note(operation.pk, "api", "accepted", f"{source.name}: {source.disk_format} to {disk_format}")],
        )
        arrivals.begin(image, size_bytes=size_bytes)
    return Image.objects.get(pk=image.pk), operation


def _source(actor: Actor, image_id: uuid.UUID) -> Image:
    """One that is there for the project to use. To look everywhere is not enough to take what is in it home."""
    permission = "images.image.create"
    policy.require(actor, permission)
    if policy.everywhere(actor, permission):
        return selectors.shown(actor=actor, image_id=image_id, permission=permission)
    return selectors.image(actor=actor, image_id=image_id)


def _check_formats(present: str, wanted: str) -> None:
    if present not in conversion.FORMATS:
        raise Invalid("image.conversion_format", f"What is {present} cannot be converted; {', '.join(conversion.FORMATS)} can.", field="disk_format")
    if wanted not in conversion.FORMATS:
        raise Invalid("image.conversion_format", f"Expected one of {', '.join(conversion.FORMATS)}.", field="disk_format")
    if present == wanted:
        raise Invalid("image.conversion_format", f"This image is {present} already.", field="disk_format")


def carry_out(turn: Turn, stop: Callable[[], bool]) -> None:
    """Convert, and make the new image active. For workers; raises what ends the operation."""
    env = settings.ENV
    watch = Watch(turn, env.image_convert_timeout_s + env.image_worker_silent_s, stop)
    watch.tick()
    image = Image.objects.get(pk=turn.resource_id)
    source = Image.objects.filter(pk=work.orders_of(turn)["image_id"], state=ImageState.ACTIVE).first()
    if source is None:
        raise NotFound("image.not_found", "The image that was to be converted was deleted.")
    with workrooms.room(turn.operation_id, turn.generation) as room:
        content, target = arrivals.content_of(source, room), room / "converted"
        # Was inspected when it came in; but rules of inspection grow, and qemu-img opens what a header tells it to.
        inspect.inspect(content, ImageFormat(source.disk_format))

        def tick(percent: float) -> None:
            watch.percent(percent)
            watch.tick()

        limits = conversion.Limits(env.image_convert_memory_mb, env.image_convert_timeout_s, sizes.most_bytes())
        conversion.convert(content, source.disk_format, target, image.disk_format, limits=limits, tick=tick)
        workers.note(turn, "converted")
        hashed = _hash(target, watch)
        work.complete(turn, target, hashed)


def _hash(path: Path, watch: Watch) -> Hashed:
    digest = Digest()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            watch.tick()
    return digest.hashed()
