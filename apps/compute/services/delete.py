"""Deleting instances: always possible; takes the place of whatever else is under way."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.db import transaction

from apps.audit.services import record
from apps.common import states
from apps.common.context import SYSTEM, Actor
from apps.common.errors import Conflict, NotFound
from apps.compute import names, payloads
from apps.compute.models import Instance
from apps.compute.services import release, snapshot
from apps.compute.states import MACHINE, InstanceState
from apps.identity import policy
from apps.operations import selectors as operations
from apps.operations.services import commands, lifecycle
from apps.operations.services.lifecycle import Note
from apps.operations.states import OpState
from contracts import topics

if TYPE_CHECKING:
    from apps.operations.models import Operation


# So often may others begin something between our two locks before we give up.
_TRIES = 20


def delete(*, actor: Actor, instance_id: uuid.UUID) -> Operation:
    """Start deleting; if that is under way already, the same operation is returned. Raises NotFound, Forbidden."""
    policy.require(actor, "compute.instance.delete")
    for _ in range(_TRIES):
        if (operation := _delete(actor, instance_id)) is not None:
            return operation
    raise Conflict("instance.contended", "Others are changing this instance faster than it can be deleted; try again.")


@transaction.atomic
def _delete(actor: Actor, instance_id: uuid.UUID) -> Operation | None:
    """None if somebody began something else after we looked for open operations: look again."""
    running = lifecycle.lock_open(instance_id)
    instance = Instance.objects.select_for_update().filter(pk=instance_id).exclude(state=InstanceState.DELETED).first()
    if instance is None or not (
        policy.everywhere(actor, "compute.instance.delete") or instance.project_id == actor.project_id
    ):
        raise NotFound("instance.not_found", f"There is no instance {instance_id} in this project.")
    if running is not None:
        if running.kind == names.DELETE:
            return running
        lifecycle.cancel(running, Conflict("operation.superseded", "The instance is being deleted."))
        lifecycle.write([Note(running.pk, "api", "cancelled", "the instance is being deleted")])
        if running.kind == names.SNAPSHOT:
            snapshot.cancelled(running)
    elif operations.open_kinds([instance_id]):
        return None
    record.write(
        actor, "compute.instance.delete", "instance", instance.pk, project_id=instance.project_id, name=instance.name,
        changes={"state": [instance.state, InstanceState.DELETING]},
    )
    return start(actor, instance)


def start(actor: Actor, instance: Instance) -> Operation:
    """Open the delete operation of a locked instance that has no open one; inside the caller's transaction."""
    instance.generation += 1
    operation = lifecycle.prepare(
        actor=actor, kind=names.DELETE, resource_id=instance.pk, project_id=instance.project_id,
        generation=instance.generation, host_id=instance.host_id, host_name=instance.host_name,
    )
    Instance.objects.filter(pk=instance.pk).update(generation=instance.generation, wanted_gone=True)
    states.move(Instance.objects.filter(pk=instance.pk), MACHINE, InstanceState.DELETING)
    if instance.host_id is None:
        lifecycle.insert([operation], [Note(operation.pk, "api", "accepted", "it never was on a host")])
        release.gone([instance.pk])
        lifecycle.succeed([operation])
        operation.state = OpState.SUCCEEDED.value
        return operation
    note = Note(operation.pk, "api", "accepted")
    commands.begin(operation, task=topics.COMPUTE_DELETE, body=payloads.delete(instance.pk), notes=[note])
    return operation


def purge(instance: Instance) -> Operation:
    """Have the host of a locked instance in ERROR remove what it has of it; inside the caller's transaction."""
    instance.generation += 1
    Instance.objects.filter(pk=instance.pk).update(generation=instance.generation)
    operation = lifecycle.prepare(
        actor=SYSTEM, kind=names.PURGE, resource_id=instance.pk, project_id=instance.project_id,
        generation=instance.generation, host_id=instance.host_id, host_name=instance.host_name,
    )
    note = Note(operation.pk, "conductor", "accepted", "leftovers of a failed build")
    commands.begin(operation, task=topics.COMPUTE_DELETE, body=payloads.delete(instance.pk), notes=[note])
    return operation
