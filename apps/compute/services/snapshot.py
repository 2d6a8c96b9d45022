"""Snapshots: an instance's disk, as it is at one moment, becomes an image of its project.

The image is there from the request on and waits for its content; the host copies, sends and tells. Whatever goes wrong on the way,
the image is deleted, unless it is whole: then the snapshot has been made.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import msgspec
from django.db import transaction

from apps.audit.services import record
from apps.common.context import Actor
from apps.common.errors import CloudError, InvalidState, Unavailable
from apps.compute import names, payloads, selectors
from apps.compute.services.reports import Observing, error_of, silent
from apps.compute.states import InstanceState
from apps.hosts import selectors as hosts
from apps.identity import policy
from apps.images import selectors as images
from apps.images.services import snapshots
from apps.operations import selectors as operations
from apps.operations.kinds import Answer
from apps.operations.services import commands, idempotency, lifecycle
from apps.operations.services.idempotency import Claim
from apps.operations.services.lifecycle import Note
from contracts import topics
from contracts.compute import v3

if TYPE_CHECKING:
    from apps.images.models import Image
    from apps.operations.models import Operation

PERMISSION = "compute.instance.snapshot"
_STATES = (InstanceState.ACTIVE, InstanceState.STOPPED)


@dataclass(frozen=True)
class Begun:
    """What is under way, and the image that is to be."""

    operation: Operation
    image: Image


def snapshot(
    *, actor: Actor, instance_id: uuid.UUID, name: str, properties: dict[str, str] | None = None, client_token: str = ""
) -> Begun:
    """Make an image of an instance, running or not. `properties`: of the image, beside those of the instance's own image.

    `client_token`: with the same one the same request is done once, and answered alike. Raises NotFound, Forbidden, Invalid,
    InvalidState `instance.state`, `host.too_old`, `operation.in_progress`, Conflict `client_token.reused`, QuotaExceeded.
    """
    policy.require(actor, PERMISSION)
    return idempotency.once(
        actor=actor, token=client_token,
        request={"kind": names.SNAPSHOT, "instance_id": instance_id, "name": name, "properties": properties or {}},
        make=partial(_snapshot, actor, instance_id, name, properties), again=partial(_recalled, instance_id),
    )


def _recalled(instance_id: uuid.UUID, ids: list[uuid.UUID]) -> Begun:
    """What an earlier request began, whatever became of it."""
    operation = operations.of_kind(kind=names.SNAPSHOT, resource_ids=[instance_id]).get(pk=ids[0])
    [image] = images.by_ids([image_of(operation)]).values()
    return Begun(operation, image)


@transaction.atomic
def _snapshot(actor: Actor, instance_id: uuid.UUID, name: str, properties: dict[str, str] | None, claim: Claim) -> Begun:
    instance = selectors.instance(actor=actor, instance_id=instance_id, permission=PERMISSION, lock=True)
    if instance.state not in _STATES or instance.host_id is None:
        raise InvalidState(
            "instance.state", f"A snapshot needs an instance that is {' or '.join(_STATES)}; this one is {instance.state}.",
            state=instance.state, allowed=[state.value for state in _STATES],
        )
    if topics.COMPUTE_SNAPSHOT not in hosts.by_id(instance.host_id).speaks:
        raise InvalidState("host.too_old", "The agent of this instance's host is too old to make snapshots.")
    instance.generation += 1
    instance.save(update_fields=["generation"])
    operation = lifecycle.prepare(
        actor=actor, kind=names.SNAPSHOT, resource_id=instance.pk, project_id=instance.project_id, generation=instance.generation,
        host_id=instance.host_id, host_name=instance.host_name,
    )
    claim([operation.pk])
    # Operators make images for the project that the instance is of.
    owner = actor if actor.project_id == instance.project_id else replace(actor, project_id=instance.project_id, grants=frozenset())
    image = snapshots.begin(
        actor=owner, name=name, instance_id=instance.pk, base_image_id=instance.image_id, disk_gb=instance.disk_gb, properties=properties
    )
    operation.result = {"image_id": str(image.pk)}
    url = snapshots.address(image.pk, expires=lifecycle.last_deadline(operation).timestamp())
    body = payloads.snapshot(instance.pk, image, url)
    commands.begin(operation, task=topics.COMPUTE_SNAPSHOT, body=body, notes=[Note(operation.pk, "api", "accepted", f"image {image.pk}")])
    record.write(
        actor, PERMISSION, "instance", instance.pk, project_id=instance.project_id, name=instance.name,
        changes={"image_id": image.pk, "image": name},
    )
    return Begun(operation, image)


def cancelled(operation: Operation) -> None:
    """A locked operation of this kind was closed because something else took its place; in the same transaction."""
    snapshots.abandon(image_of(operation))


def image_of(operation: Operation) -> uuid.UUID:
    """The image that a snapshot operation makes."""
    assert operation.result is not None
    return uuid.UUID(operation.result["image_id"])


class Snapshot(Observing):
    """What the control plane has itself decides: the image is whole, or it is deleted."""

    def done(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            saved = msgspec.json.decode(answer.report.result, type=v3.Saved)
            lost = Unavailable("snapshot.incomplete", "The host says that it has sent the image, and it is not here.")
            _end(answer.operation, lost, sha256=saved.sha256, detail="its file systems were at rest" if saved.frozen else "")

    def failed(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            _end(answer.operation, error_of(answer.report.error))

    def observed(self, answer: Answer) -> None:
        # A host that is still at it says so, and gets more time; this one is not.
        _end(answer.operation, Unavailable("snapshot.timeout", "The host did not finish the snapshot in time."))

    def unanswered(self, operation: Operation) -> None:
        _end(operation, silent(operation))


def _end(operation: Operation, error: CloudError, *, sha256: str = "", detail: str = "") -> None:
    """`sha256`: of what the host has sent, as far as it knows."""
    image_id = image_of(operation)
    # Whoever is quicker: the last byte of the image, or the end of waiting for it.
    snapshots.abandon(image_id)
    here = snapshots.content_of(image_id)
    if here and sha256 not in ("", here):
        # Another has used its address, or it does not know what it did: nobody should boot from that.
        snapshots.disown(image_id)
        here = ""
        error = Unavailable("snapshot.mismatch", "What came is not what the host says that it has sent; it was deleted.")
    if here:
        lifecycle.succeed([operation], result=operation.result)
        lifecycle.write([Note(operation.pk, "conductor", "finished", detail)])
    else:
        lifecycle.fail(operation, error)
        lifecycle.write([Note(operation.pk, "conductor", "failed", error.message)])
