"""Repairs for the audit: each looks again under lock, and does what the ordinary way would have done."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.db import transaction

from apps.common.context import SYSTEM
from apps.common.errors import Conflict, Unavailable
from apps.compute import names
from apps.compute.models import Instance
from apps.compute.services import delete, release, snapshot, strays
from apps.compute.services.needs import amounts_of
from apps.compute.states import InstanceState
from apps.network import selectors as networks
from apps.operations.services import lifecycle, sweep
from apps.placement.services import claims
from apps.scheduler.services import groups

if TYPE_CHECKING:
    from apps.operations.models import Operation


@transaction.atomic
def free(instance_id: uuid.UUID) -> None:
    """Give back what an instance holds that is on no host."""
    _, instance = _locked(instance_id)
    if instance is None or instance.state == InstanceState.DELETED or instance.host_id is None:
        release.free([instance_id])


def claim_again(instance_id: uuid.UUID) -> None:
    """Make the claims of a placed instance what they should be; if its host is too full for that, they stay as they are."""
    try:
        with transaction.atomic():
            _, instance = _locked(instance_id)
            if instance is None or instance.state == InstanceState.DELETED or instance.host_id is None:
                return
            claims.release([instance_id])
            amounts = {name: amount for name, amount in amounts_of(instance).items() if amount}
            if claims.claim([claims.Claim(instance_id, instance.project_id, instance.host_id, amounts, instance.user_id)]):
                raise _TooFull
    except _TooFull:
        return


class _TooFull(Exception):
    """Rolls back."""


@transaction.atomic
def addresses_again(instance_id: uuid.UUID) -> None:
    """The embedded addresses become those of the ports."""
    _, instance = _locked(instance_id)
    if instance is not None and instance.state != InstanceState.DELETED:
        instance.addresses = networks.embedded(instance_id)
        instance.save(update_fields=["addresses"])


@transaction.atomic
def regroup(instance_id: uuid.UUID) -> None:
    """The instance is in the server group that it says, there where it is; one that is gone is in none."""
    _, instance = _locked(instance_id)
    held = groups.lock([instance.server_group_id]) if instance is not None and instance.server_group_id is not None else {}
    groups.leave([instance_id])
    if instance is None or instance.state == InstanceState.DELETED:
        return
    for group_id in held:
        groups.join(group_id=group_id, instance_ids=[instance_id])
        if instance.host_id is not None:
            groups.seat(held, [(group_id, instance_id, instance.host_id)])


@transaction.atomic
def unstick(instance_id: uuid.UUID) -> None:
    """An instance in transit without operation: a deletion goes on; a build ends in ERROR, and its host cleans up."""
    operation, instance = _locked(instance_id)
    if operation is not None or instance is None:
        return
    if instance.state == InstanceState.DELETING:
        delete.start(SYSTEM, instance)
    elif instance.state == InstanceState.BUILD:
        lost = Unavailable("build.lost", "The build was lost; this is our fault. Delete the instance and create it again.")
        release.fail_without_operation(instance, lost)
        if instance.host_id is not None:
            instance.refresh_from_db()
            delete.purge(instance)


@transaction.atomic
def look_into(operation_id: uuid.UUID) -> None:
    """What the sweep does with an operation that is past its deadline."""
    for operation in lifecycle.lock([operation_id]):
        sweep.look_into_if_late(operation)


@transaction.atomic
def cancel(resource_id: uuid.UUID) -> None:
    """Close the open operation on an instance that is gone."""
    operation, instance = _locked(resource_id)
    if operation is not None and (instance is None or instance.state == InstanceState.DELETED):
        lifecycle.cancel(operation, Conflict("operation.pointless", "The instance is gone."))
        if operation.kind == names.SNAPSHOT:
            snapshot.cancelled(operation)


def evict(unknown_id: uuid.UUID) -> None:
    """Have a host remove what it should not have."""
    strays.evict(actor=SYSTEM, unknown_id=unknown_id)


def _locked(instance_id: uuid.UUID) -> tuple[Operation | None, Instance | None]:
    operation = lifecycle.lock_open(instance_id)
    return operation, Instance.objects.select_for_update().filter(pk=instance_id).first()


