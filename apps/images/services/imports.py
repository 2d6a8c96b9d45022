"""Images whose data comes from elsewhere: from a URL, or from an object of the object store."""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import transaction

from apps.audit.services import record
from apps.common.context import Actor
from apps.common.errors import Invalid, NotFound, Unavailable
from apps.identity import policy
from apps.images import workrooms
from apps.images.digests import Digest, Hashed
from apps.images.fetching import connection, download, locations
from apps.images.names import IMPORT
from apps.images.services import arrivals, images, sizes, work
from apps.images.services.work import Watch
from apps.objects.selectors import buckets, content
from apps.objects.selectors import objects as object_selectors
from apps.operations import selectors as operations
from apps.operations.services import idempotency, lifecycle, workers
from apps.operations.services.idempotency import Claim
from apps.operations.services.lifecycle import Note
from apps.operations.services.workers import Turn
from contracts import topics

if TYPE_CHECKING:
    from apps.images.models import Image
    from apps.operations.models import Operation

_PERMISSION = "images.image.update"
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_SYNC_BYTES = 256 * 1024**2


@dataclass(frozen=True, kw_only=True)
class FromUrl:
    """`sha256`: what the file must have; empty if nobody knows."""

    url: str
    sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class FromObject:
    """`version`: as S3 names it; empty: the latest one at this moment."""

    bucket: str
    key: str
    version: str = ""
    sha256: str = ""


Source = FromUrl | FromObject


def start(*, actor: Actor, image_id: uuid.UUID, source: Source, client_token: str = "") -> Operation:
    """Have a worker bring the data of a queued image; until then nobody else can.

    `client_token`: with the same one the same request is done once, and answered alike. Raises Forbidden, NotFound (image, bucket,
    object), Invalid (`image.url…`, `image.sha256`, `image.too_large`), InvalidState `image.state`, Conflict `client_token.reused`,
    QuotaExceeded.
    """
    policy.require(actor, _PERMISSION)
    return idempotency.once(
        actor=actor, token=client_token, request={"kind": IMPORT, "image_id": image_id, **asdict(source)},
        make=partial(_start, actor, image_id, source),
        again=lambda ids: operations.of_kind(kind=IMPORT, resource_ids=[image_id]).get(pk=ids[0]),
    )


def _start(actor: Actor, image_id: uuid.UUID, source: Source, claim: Claim) -> Operation:
    image = images.owned(actor=actor, image_id=image_id, permission=_PERMISSION)
    sha256 = _expected(image, source.sha256)
    if isinstance(source, FromUrl):
        location = locations.parse(source.url)
        return _begin(actor, image, {"url": location.url, "sha256": sha256}, location.shown, 0, claim)
    _, version = object_selectors.found(
        actor=actor, bucket=source.bucket, key=source.key, version=source.version,
        action="s3:GetObjectVersion" if source.version else "s3:GetObject",
    )
    # Which one is decided now, by who asks: the worker may read everything.
    orders = {**asdict(source), "sha256": sha256, "version": version.version, "version_id": str(version.pk)}
    return _begin(actor, image, orders, f"s3://{source.bucket}/{source.key}", version.size_bytes, claim)


def _expected(image: Image, sha256: str) -> str:
    """What the data must have, by what was said now and when the image was registered; empty if nothing was."""
    if sha256 and not _SHA256.fullmatch(sha256):
        raise Invalid("image.sha256", "sha256: expected 64 hexadecimal digits.", field="sha256")
    if sha256 and image.expected_sha256 not in ("", sha256.lower()):
        raise Invalid("image.sha256", f"This image was registered with another SHA-256: {image.expected_sha256}.", field="sha256")
    return sha256.lower() or image.expected_sha256


@transaction.atomic
def _begin(actor: Actor, image: Image, orders: dict[str, Any], shown: str, size_bytes: int, claim: Claim) -> Operation:
    operation = lifecycle.prepare(actor=actor, kind=IMPORT, resource_id=image.pk, project_id=image.project_id)
    claim([operation.pk])
    workers.begin(
        operation, queue=topics.IMAGES, task=topics.IMAGE_WORK, message=work.message(operation.pk, orders),
        notes=[Note(operation.pk, "api", "accepted", shown[:500])],
    )
    record.write(
        actor, "images.image.import", "image", image.pk, project_id=image.project_id, name=image.name,
        changes={"source": shown[:500], **({"sha256": orders["sha256"]} if orders["sha256"] else {})},
    )
    arrivals.begin(image, size_bytes=size_bytes)
    return operation


def carry_out(turn: Turn, stop: Callable[[], bool]) -> None:
    """Bring the data, and make the image active. For workers; raises what ends the operation."""
    orders = work.orders_of(turn)
    watch = Watch(turn, settings.ENV.image_import_timeout_s, stop)
    watch.tick()
    with workrooms.room(turn.operation_id, turn.generation) as room:
        path = room / "content"
        hashed = _fetch(orders, path, watch) if "url" in orders else _copy(orders, path, watch)
        workers.note(turn, "fetched", f"{hashed.size_bytes} bytes")
        watch.tick()
        work.complete(turn, path, hashed)


def rules() -> connection.Rules:
    """What imports may reach, and how long they wait for it, by the settings."""
    opened = tuple(ip_network(text) for text in settings.ENV.image_import_private)
    return connection.Rules(opened=opened, stall_s=settings.ENV.image_import_stall_s)


def _fetch(orders: dict[str, Any], path: Path, watch: Watch) -> Hashed:
    try:
        with path.open("xb") as file:
            return download.fetch(
                orders["url"], file, most_bytes=sizes.most_bytes(), rules=rules(), watch=watch, sha256=orders["sha256"]
            )
    except OSError as error:
        raise _no_room(error) from error


def _copy(orders: dict[str, Any], path: Path, watch: Watch) -> Hashed:
    """From the object store. The version that was chosen, or none."""
    version = object_selectors.of_version(buckets.named(orders["bucket"]), orders["key"], orders["version"])
    if version is None or str(version.pk) != orders["version_id"]:
        raise NotFound("object.not_found", f"The object {orders['key']} was deleted or replaced before it could be read.", field="key")
    digest, done, synced = Digest(), 0, 0
    source = content.open_content(version)
    try:
        with path.open("xb") as file:
            for chunk in source:
                file.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                if done - synced >= _SYNC_BYTES:
                    os.fdatasync(file.fileno())
                    synced = done
                watch.progress(done, version.size_bytes)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _no_room(error) from error
    finally:
        source.close()
    hashed = digest.hashed()
    if orders["sha256"] not in ("", hashed.sha256):
        raise arrivals.other_hash(orders["sha256"], hashed.sha256)
    return hashed


def _no_room(error: OSError) -> Unavailable:
    return Unavailable("image.store", f"The image store cannot take this now: {error.strerror}.")
