"""Strays: machines that a host has and should not have. Remembered with every observation, removed when an operator says so."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from django.db import transaction

from apps.audit.services import record
from apps.common.context import Actor
from apps.common.errors import Unavailable
from apps.compute import names, payloads
from apps.compute.models import Instance, UnknownDomain
from apps.compute.services.reports import FailsPlainly, domain_of, nothing_left
from apps.compute.states import InstanceState
from apps.hosts import selectors as hosts
from apps.identity import policy
from apps.operations import selectors as operations
from apps.operations.kinds import Answer
from apps.operations.services import commands, lifecycle
from apps.operations.services.lifecycle import Note
from contracts import topics
from contracts.compute.v1 import Domain, Observe

if TYPE_CHECKING:
    from apps.operations.models import Operation

log = logging.getLogger(__name__)
# What a column of this kind takes, less one to come: a host may say anything.
_MOST = 2**31 - 2


@transaction.atomic
def remember(*, host_id: uuid.UUID, domains: Mapping[uuid.UUID, Domain], taken_at: datetime) -> None:
    """Keep what this host has of `domains` (those of no instance that it should have) as the truth of `taken_at`."""
    strays = {key: domain for key, domain in domains.items() if not nothing_left(domain)}
    if strays:
        accounted_for = _accounted_for(host_id, list(strays), taken_at)
        strays = {key: domain for key, domain in strays.items() if key not in accounted_for}
    known = UnknownDomain.objects.filter(host_id=host_id)
    known.exclude(instance_id__in=strays).delete()
    if not strays:
        return
    name = hosts.names([host_id]).get(host_id, "")
    log.warning("host %s has %d machine(s) that it should not have", name, len(strays))
    UnknownDomain.objects.bulk_create(
        [
            UnknownDomain(
                host_id=host_id, host_name=name, instance_id=key, power_state=domain.power_state.value,
                residue=[text[:64].replace("\x00", "") for text in domain.residue[:32]],
                generation=min(max(domain.generation, 0), _MOST), seen_at=taken_at,
            )
            for key, domain in strays.items()
        ],
        update_conflicts=True, unique_fields=["host_id", "instance_id"],
        update_fields=["power_state", "residue", "generation", "seen_at"],
    )


def _accounted_for(host_id: uuid.UUID, ids: list[uuid.UUID], taken_at: datetime) -> set[uuid.UUID]:
    """Of these, the ones that are this host's by now, are being worked on, or were when the observation was made."""
    here = Instance.objects.filter(pk__in=ids, host_id=host_id).exclude(state=InstanceState.DELETED).values_list("pk", flat=True)
    return {*here, *operations.open_kinds(ids), *operations.finished_since(ids, taken_at)}


@transaction.atomic
def evict(*, actor: Actor, unknown_id: uuid.UUID) -> Operation | None:
    """Have a host remove such a machine. None if it is none any more, or is being removed already. Raises Forbidden."""
    policy.require(actor, "compute.stray.remove")
    unknown = UnknownDomain.objects.filter(pk=unknown_id).first()
    if unknown is None or lifecycle.lock_open(unknown.pk) is not None or lifecycle.lock_open(unknown.instance_id) is not None:
        return None
    instance = Instance.objects.select_for_update().filter(pk=unknown.instance_id).first()
    if instance is not None and instance.state != InstanceState.DELETED and instance.host_id == unknown.host_id:
        unknown.delete()
        return None
    operation = lifecycle.prepare(
        actor=actor, kind=names.EVICT, resource_id=unknown.pk, project_id=None,
        generation=max(unknown.generation, instance.generation if instance else 0) + 1,
        host_id=unknown.host_id, host_name=unknown.host_name,
    )
    note = Note(operation.pk, "api", "accepted", f"{unknown.instance_id} is of no instance there")
    commands.begin(operation, task=topics.COMPUTE_DELETE, body=payloads.delete(unknown.instance_id), notes=[note])
    record.write(actor, "compute.stray.remove", "instance", unknown.instance_id, changes={"host": [unknown.host_name, None]})
    return operation


class Evict(FailsPlainly):
    """Such a machine is removed; no instance changes by it. The operation's resource is the row of UnknownDomain."""

    def done(self, answers: Sequence[Answer]) -> None:
        UnknownDomain.objects.filter(pk__in=[answer.operation.resource_id for answer in answers]).delete()
        lifecycle.succeed([answer.operation for answer in answers])
        lifecycle.write(Note(answer.operation.pk, "conductor", "finished") for answer in answers)

    def observed(self, answer: Answer) -> None:
        if nothing_left(domain_of(answer)):
            self.done([answer])
        else:
            lifecycle.fail(answer.operation, Unavailable("delete.timeout", "The host did not finish the deletion in time."))

    def observe(self, operation: Operation) -> tuple[str, msgspec.Struct] | None:
        unknown = UnknownDomain.objects.filter(pk=operation.resource_id).first()
        return (topics.COMPUTE_OBSERVE, Observe(instance_id=str(unknown.instance_id))) if unknown else None
