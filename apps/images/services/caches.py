"""What hosts have of images: remembered with every observation, and fetched before anybody boots when an operator says so."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
from django.db import transaction
from django.db.models import QuerySet

from apps.audit.services import record
from apps.common import clock, ids
from apps.common.context import Actor
from apps.common.errors import CloudError, Invalid, InvalidState, NotFound, Unavailable
from apps.hosts import selectors as hosts_of
from apps.hosts.states import HostState
from apps.identity import policy
from apps.images import payloads, selectors
from apps.images.models import CachedImage, Image
from apps.images.names import SEED
from apps.images.states import BOOTABLE, ImageFormat, ImageState
from apps.operations import selectors as operations
from apps.operations.kinds import Answer
from apps.operations.services import commands, lifecycle
from apps.operations.services.lifecycle import Note
from contracts import topics
from contracts.compute import v3
from contracts.hosts.v1 import Observation

if TYPE_CHECKING:
    from apps.hosts.models import Host
    from apps.operations.models import Operation

LIST, FETCH = "images.cache.list", "images.cache.seed"
_PARTS = (ImageFormat.KERNEL, ImageFormat.RAMDISK)
_SHA256 = re.compile(r"[0-9a-f]{64}")
# A host may say anything; so much of it is kept.
_MOST, _MOST_BYTES = 10_000, 2**62
# When an image was used last is of interest to people; they need not know it by the minute.
_USED_AGAIN = timedelta(minutes=10)


@dataclass(frozen=True)
class Seeded:
    """What is under way, and which hosts were passed over: name → why."""

    operations: list[Operation]
    skipped: dict[str, str] = field(default_factory=dict)


def cached(*, actor: Actor, image_id: uuid.UUID | None = None, host: str = "") -> QuerySet[CachedImage]:
    """What hosts have, of one image or host if given (its id or name). Raises Forbidden, NotFound."""
    policy.require_everywhere(actor, LIST)
    rows = CachedImage.objects.order_by("-pk")
    if image_id is not None:
        rows = rows.filter(sha256=selectors.shown(actor=actor, image_id=image_id, permission=LIST).sha256)
    if host:
        rows = rows.filter(host_id=_host(host).pk)
    return rows


def names_of(rows: Sequence[CachedImage]) -> tuple[dict[uuid.UUID, str], dict[str, list[Image]]]:
    """For these rows: host id → name, and SHA-256 → the images that have this content."""
    images: dict[str, list[Image]] = {}
    for image in Image.objects.filter(sha256__in={row.sha256 for row in rows}).exclude(state=ImageState.DELETED).order_by("pk"):
        images.setdefault(image.sha256, []).append(image)
    return hosts_of.names({row.host_id for row in rows}), images


def remember(*, host_id: str, observation: Observation) -> None:
    """Keep what a host says it has as the truth of that moment. One statement if nothing has changed."""
    if observation.images is None:
        return
    taken_at = datetime.fromtimestamp(observation.started_at, UTC)
    known = {row.sha256: row for row in CachedImage.objects.filter(host_id=host_id)}
    said = {each.sha256: _row(host_id, each, taken_at) for each in observation.images[:_MOST] if _is_sound(each)}
    news = [row for sha256, row in said.items() if sha256 not in known or _differs(known[sha256], row)]
    _keep(news)
    missing = [row.pk for sha256, row in known.items() if sha256 not in said]
    if missing:
        # Being fetched, or fetched since the host looked.
        spared = {*operations.open_kinds(missing), *operations.finished_since(missing, taken_at)}
        CachedImage.objects.filter(pk__in=[pk for pk in missing if pk not in spared]).delete()


@transaction.atomic
def seed(*, actor: Actor, image_id: uuid.UUID, hosts: Sequence[str] = (), zone: str = "", aggregate: str = "") -> Seeded:
    """Have these hosts fetch an image, with its kernel and ramdisk: those named (by name or id), those of a zone, of an aggregate.

    One operation for each host and file; where one is under way already, that is the answer. Hosts of a zone or aggregate that are
    down are passed over. Raises Forbidden, NotFound, Invalid `image.seed`, InvalidState `image.state`, `host.down`, `host.too_old`.
    """
    policy.require_everywhere(actor, FETCH)
    image = selectors.shown(actor=actor, image_id=image_id, permission=FETCH)
    files = [image, *Image.objects.filter(pk__in=[each for each in (image.kernel_id, image.ramdisk_id) if each is not None])]
    for each in files:
        if each.state != ImageState.ACTIVE:
            raise InvalidState("image.state", f"The image {each.name} is {each.state}; hosts fetch active ones.", state=each.state)
        if each.disk_format not in (*BOOTABLE, *_PARTS):
            raise Invalid("image.format", f"Hosts do not take images in the format {each.disk_format}.", field="image_id")
    targets, skipped = _targets(actor, hosts, zone, aggregate)
    found = [_begin(actor, each, host) for host in targets for each in files]
    record.write(
        actor, FETCH, "image", image.pk, project_id=image.project_id, name=image.name, changes={"hosts": [host.name for host in targets]}
    )
    return Seeded(found, skipped)


def _begin(actor: Actor, image: Image, host: Host) -> Operation:
    row, _ = CachedImage.objects.get_or_create(host_id=host.pk, sha256=image.sha256)
    if (running := lifecycle.lock_open(row.pk)) is not None:
        return running
    # Nothing of an earlier one is void by a later one: all are the same.
    operation = lifecycle.prepare(
        actor=actor, kind=SEED, resource_id=row.pk, project_id=None, generation=1, host_id=host.pk, host_name=host.name
    )
    operation.result = {"image_id": str(image.pk), "sha256": image.sha256}
    note = Note(operation.pk, "api", "accepted", f"{image.name} ({image.pk}), {image.size_bytes} bytes")
    commands.begin(operation, task=topics.COMPUTE_SEED, body=v3.Seed(image=payloads.image(image)), notes=[note])
    return operation


def _targets(actor: Actor, hosts: Sequence[str], zone: str, aggregate: str) -> tuple[list[Host], dict[str, str]]:
    named = {host.pk: host for host in map(_host, hosts)}
    for host in named.values():
        if (why := _unfit(host)) is not None:
            raise why
    wide: dict[uuid.UUID, Host] = {}
    if zone:
        wide |= hosts_of.hosts().filter(zone=hosts_of.zone_named(actor=actor, name=zone).name).in_bulk()
    if aggregate:
        parsed = ids.parse(aggregate)
        group = hosts_of.aggregate(actor=actor, aggregate_id=parsed) if parsed else hosts_of.aggregate_named(actor=actor, name=aggregate)
        wide |= hosts_of.hosts().in_bulk([member.host_id for member in group.members.all()])
    if not hosts and not zone and not aggregate:
        raise Invalid("image.seed", "Say which hosts: by hosts, zone or aggregate.", field="hosts")
    refused = {pk: why for pk, host in wide.items() if pk not in named and (why := _unfit(host)) is not None}
    found = named | {pk: host for pk, host in wide.items() if pk not in refused}
    if not found:
        raise Invalid("image.seed", "None of these hosts can fetch images now.", field="hosts")
    return sorted(found.values(), key=lambda host: host.name), {wide[pk].name: why.message for pk, why in refused.items()}


def _unfit(host: Host) -> CloudError | None:
    if host.state != HostState.UP:
        return InvalidState("host.down", f"The host {host.name} is {host.state}.", state=host.state)
    if topics.COMPUTE_SEED not in host.speaks:
        return InvalidState("host.too_old", f"The agent of {host.name} is too old to fetch images by order.")
    return None


def _host(text: str) -> Host:
    parsed = ids.parse(text)
    try:
        return hosts_of.by_id(parsed) if parsed is not None else hosts_of.by_name(text)
    except NotFound as error:
        raise NotFound(error.code, error.message, field="hosts") from None


class Seeding:
    """A host fetches an image, or does not: nothing else changes by it."""

    def done(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            has = msgspec.json.decode(answer.report.result, type=v3.CachedImage)
            if has.sha256 != (answer.operation.result or {}).get("sha256") or not _is_sound(has):
                text = "The host says that it has fetched something else than what it was told to."
                self._fail(answer.operation, Unavailable("image.mismatch", text))
                continue
            CachedImage.objects.filter(pk=answer.operation.resource_id).update(**_facts(has), seen_at=clock.now())
            lifecycle.succeed([answer.operation], result=answer.operation.result)
            lifecycle.write([Note(answer.operation.pk, "conductor", "finished")])

    def failed(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            error = answer.report.error
            self._fail(answer.operation, Unavailable(error.code, error.message) if error else Unavailable("agent.unknown", "The host gave no reason."))

    def observed(self, answer: Answer) -> None:
        self.unanswered(answer.operation)

    def unanswered(self, operation: Operation) -> None:
        self._fail(operation, Unavailable("host.silent", f"The host did not answer in time (step {operation.step})."))

    def observe(self, operation: Operation) -> tuple[str, msgspec.Struct] | None:
        return None

    def _fail(self, operation: Operation, error: CloudError) -> None:
        CachedImage.objects.filter(pk=operation.resource_id, seen_at=None).delete()
        lifecycle.fail(operation, error)
        lifecycle.write([Note(operation.pk, "conductor", "failed", error.message)])


def _is_sound(said: v3.CachedImage) -> bool:
    return bool(_SHA256.fullmatch(said.sha256)) and 0 <= said.size_bytes < _MOST_BYTES and 0 <= said.last_used < 1e11


def _facts(said: v3.CachedImage) -> Mapping[str, object]:
    return {"size_bytes": said.size_bytes, "last_used_at": datetime.fromtimestamp(said.last_used, UTC), "in_use": said.in_use}


def _row(host_id: str, said: v3.CachedImage, taken_at: datetime) -> CachedImage:
    return CachedImage(host_id=uuid.UUID(host_id), sha256=said.sha256, seen_at=taken_at, **_facts(said))


def _differs(known: CachedImage, said: CachedImage) -> bool:
    if known.seen_at is None or (known.size_bytes, known.in_use) != (said.size_bytes, said.in_use):
        return True
    assert said.last_used_at is not None
    return known.last_used_at is None or abs(said.last_used_at - known.last_used_at) >= _USED_AGAIN


def _keep(rows: list[CachedImage]) -> None:
    if rows:
        CachedImage.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["host_id", "sha256"], update_fields=["size_bytes", "last_used_at", "in_use", "seen_at"]
        )
