"""Placing: the scheduler's verdict becomes claims, ports, addresses and a command, in one transaction per batch."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction

from apps.common.errors import CloudError, NoCapacity
from apps.common.sql import update_rows
from apps.compute import payloads
from apps.compute.models import Instance
from apps.compute.services import cards, release
from apps.compute.services.needs import amounts_of
from apps.images import selectors as images
from apps.network.selectors import hosts as host_networks
from apps.network.services import plugs
from apps.network.services.addresses import Busy
from apps.network.services.port_rows import Claimed
from apps.operations.services import commands, lifecycle
from apps.operations.services.lifecycle import Note
from apps.operations.states import OpState
from apps.placement.services import claims
from apps.scheduler import selectors as scheduler
from apps.scheduler.explain import tenants
from apps.scheduler.request import Group, Request
from apps.scheduler.services import choose, groups
from apps.scheduler.services.choose import Choice
from contracts import topics

if TYPE_CHECKING:
    from apps.operations.models import Operation

Job = tuple["Operation", Instance]
# Operation id → names of the hosts that others were quicker to fill.
Races = dict[uuid.UUID, list[str]]
# A lost race means another transaction with the next choice; so many before the operation waits for its next resend.
_ROUNDS = 10
_AT_ONCE = 100


def place(operation_ids: Sequence[str]) -> None:
    """Find hosts for these build operations, and tell the hosts: a transaction per hundred.

    Repeats and closed operations are passed over.
    """
    for first in range(0, len(operation_ids), _AT_ONCE):
        batch = operation_ids[first : first + _AT_ONCE]
        races: Races = {}
        try:
            _rounds(batch, races)
        except (_OneByOne, IntegrityError):
            # What the database has refused (a security group was deleted, an address outside of the pools taken, both at this very
            # moment; once in an age a MAC comes twice) can be seen by now, and concerns one of them.
            for operation_id in batch:
                _rounds([operation_id], races, patient=True)


class _OneByOne(Exception):
    """One of several cannot have its ports, or others must be waited for: undone, to be tried by each in its own transaction."""


def _rounds(operation_ids: Sequence[str], races: Races, *, patient: bool = False) -> None:
    """Who loses a race tries again in the next transaction: what one holds while it waits for others could be what they wait for."""
    waiting = operation_ids
    for number in range(_ROUNDS):
        choose.catch_up(surely=number > 0 or patient)
        waiting = _place(waiting, races, patient=patient)
        if not waiting:
            break


@transaction.atomic
def _place(operation_ids: Sequence[str], races: Races, *, patient: bool) -> list[str]:
    """One round; returns who has to try again."""
    jobs = _jobs(operation_ids)
    if not jobs:
        return []
    held = groups.lock({instance.server_group_id for _, instance in jobs if instance.server_group_id is not None})
    chosen = list(zip(jobs, choose.choose(_requests(jobs, held)), strict=True))
    placed, again = _claim_hosts(chosen, races)
    refused = [] if again else [(job, choice) for job, choice in chosen if choice.host_id is None]
    if again:
        # What they have not got may be there for those who found nothing beside them.
        again += [str(operation.pk) for (operation, _), choice in chosen if choice.host_id is None]
    _refuse(refused)
    groups.seat(held, _seats(placed, held))
    placed = _claim_ports(placed, alone=len(jobs) == 1, patient=patient)
    notes: list[Note] = []
    ready = _write(placed, notes)
    choose.record([(operation.pk, choice) for (operation, _), choice in [*placed, *refused] if not choice.busy])
    lifecycle.write(notes)
    lifecycle.dispatch(_within_quotas(placed, ready))
    return again


def _jobs(operation_ids: Sequence[str]) -> list[Job]:
    operations = [op for op in lifecycle.lock(operation_ids) if op.state == OpState.QUEUED and op.step == "schedule"]
    instances = Instance.objects.in_bulk([operation.resource_id for operation in operations])
    return [(operation, instances[operation.resource_id]) for operation in operations]


def _claim_hosts(chosen: list[tuple[Job, Choice]], races: Races) -> tuple[list[tuple[Job, Choice]], list[str]]:
    """(placed, ids of the operations that lost a race)."""
    fitting = [(job, choice) for job, choice in chosen if choice.host_id is not None]
    full = claims.claim([_claim(job, choice) for job, choice in fitting])
    again = []
    for (operation, _), choice in fitting:
        choice.lost_races = races.setdefault(operation.pk, [])
        if choice.host_id in full:
            choice.lost_races.append(choice.host_name)
            choose.lost(choice)
            again.append(str(operation.pk))
    return [(job, choice) for job, choice in fitting if choice.host_id not in full], again


def _seats(placed: list[tuple[Job, Choice]], held: dict[uuid.UUID, Group]) -> list[groups.Seated]:
    return [
        (instance.server_group_id, instance.pk, choice.host_id)
        for (_, instance), choice in placed
        if instance.server_group_id in held and instance.server_group_id is not None and choice.host_id is not None
    ]


def _refuse(refused: list[tuple[Job, Choice]]) -> None:
    """Nothing fits: that is the end, unless all that is missing is that hosts finish their builds; then the sweep asks again."""
    lifecycle.write(
        Note(op.pk, "scheduler", "hosts are busy" if choice.busy else "no host", choice.summary, choice.took_ms)
        for (op, _), choice in refused
    )
    for (operation, instance), choice in refused:
        if not choice.busy:
            reasons = tenants.kinds(choice.judged.refused)
            error = NoCapacity("scheduler.no_host", choice.summary, reasons=reasons, asked=dict(choice.request.amounts))
            release.build_failed(operation, instance, error)


def _claim_ports(placed: list[tuple[Job, Choice]], *, alone: bool, patient: bool) -> list[tuple[Job, Choice]]:
    """Ports and addresses for all; an instance that cannot have its own fails, and the others go on."""
    wishes = [wish for (_, instance), choice in placed for wish in _wishes(instance, choice)]
    try:
        claimed = plugs.draw(wishes, patient=patient)
    except CloudError as error:
        if not alone or isinstance(error, Busy):
            raise _OneByOne from error
        (operation, instance), _ = placed[0]
        release.build_failed(operation, instance, error)
        return []
    for (_, instance), _ in placed:
        instance.claimed_ports = claimed[instance.pk]  # type: ignore[attr-defined]
    return placed


def _within_quotas(placed: list[tuple[Job, Choice]], ready: list[Operation]) -> list[Operation]:
    """Count the ports, last of all (see reservations): whoever has too many by now fails, the others are told to their hosts."""
    claimed = {instance.pk: instance.claimed_ports for (_, instance), _ in placed}  # type: ignore[attr-defined]
    refused = plugs.charge(claimed)
    for (operation, instance), _ in placed:
        if (error := refused.get(instance.pk)) is not None:
            release.build_failed(operation, instance, error)
    return [operation for operation in ready if operation.resource_id not in refused]


def _write(placed: list[tuple[Job, Choice]], notes: list[Note]) -> list[Operation]:
    """Host and addresses into the instances, the command into the operations."""
    rows = images.by_ids({instance.image_id for (_, instance), _ in placed})
    rows |= images.by_ids({i for row in rows.values() for i in (row.kernel_id, row.ramdisk_id) if i is not None})
    wire_images = payloads.wire_images(rows)
    operations, instances = [], []
    for (operation, instance), choice in placed:
        claimed: list[Claimed] = instance.claimed_ports  # type: ignore[attr-defined]
        instance.host_id, instance.host_name = choice.host_id, choice.host_name
        instance.addresses = cards.addresses_of(claimed)
        lifecycle.advance(
            operation, step="build", state=OpState.SENT, host_id=choice.host_id, host_name=choice.host_name
        )
        body = payloads.build(instance, wire_images, rows[instance.image_id], [payloads.card(each) for each in claimed])
        commands.address(operation, task=topics.COMPUTE_BUILD, body=body)
        notes.append(Note(operation.pk, "scheduler", "host chosen", choice.summary, choice.took_ms))
        notes.append(Note(operation.pk, "scheduler", "addresses claimed", ", ".join(str(each["address"]) for each in instance.addresses)))
        operations.append(operation)
        instances.append(instance)
    update_rows(instances, ["host_id", "host_name", "addresses"])
    lifecycle.save_all(operations)
    return operations


def _wires(jobs: list[Job]) -> dict[uuid.UUID, frozenset[str]]:
    """Instance id → the wires that its host must be plugged into."""
    ends = {
        instance.pk: {uuid.UUID(card.get("network_id") or card["port_id"]) for card in instance.wanted_cards}
        or {instance.network_id}
        for _, instance in jobs
    }
    needed = host_networks.wires_needed({end for each in ends.values() for end in each})
    return {pk: frozenset(wire for end in each for wire in needed.get(end, ())) for pk, each in ends.items()}


def _requests(jobs: list[Job], held: dict[uuid.UUID, Group]) -> list[Request]:
    """All in one batch count in the same groups."""
    wires = _wires(jobs)
    retried = [instance.pk for operation, instance in jobs if operation.excluded_hosts]
    alternates = scheduler.alternates(retried) if retried else {}
    return [
        request_of(
            instance, wires=wires[instance.pk], group=held.get(instance.server_group_id or instance.pk),
            excluded=operation.excluded_hosts, alternates=alternates.get(operation.pk, ()),
        )
        for operation, instance in jobs
    ]


def request_of(
    instance: Instance, *, wires: frozenset[str] = frozenset(), group: Group | None = None, excluded: Sequence[str] = (),
    alternates: Sequence[uuid.UUID] = (),
) -> Request:
    """What an instance needs of its host, as it carries it. `excluded`: ids of hosts on which its build has failed."""
    needs = instance.needs
    image = needs.get("image", {})
    return Request(
        instance_id=instance.pk, project_id=instance.project_id, amounts=amounts_of(instance), zone=instance.zone,
        required_traits=frozenset(needs.get("required_traits", ())), forbidden_traits=frozenset(needs.get("forbidden_traits", ())),
        host_metadata=needs.get("host_metadata", {}), architecture=image.get("architecture", ""),
        hypervisor_type=image.get("hypervisor_type", ""), group=group, hosts=_ids(needs.get("hosts", ())),
        avoided=_ids(needs.get("avoided_hosts", ())), excluded=_ids(excluded), wires=wires, alternates=tuple(alternates),
    )


def _ids(texts: Sequence[str]) -> frozenset[uuid.UUID]:
    return frozenset(map(uuid.UUID, texts))


def _claim(job: Job, choice: Choice) -> claims.Claim:
    assert choice.host_id is not None
    wanted = {name: amount for name, amount in amounts_of(job[1]).items() if amount}
    return claims.Claim(job[1].pk, job[1].project_id, choice.host_id, wanted, job[1].user_id)


def _wishes(instance: Instance, choice: Choice) -> list[plugs.Wish]:
    stored = instance.wanted_cards or [{"network_id": str(instance.network_id)}]
    return cards.wishes(instance.pk, instance.project_id, stored, choice.host_id, instance.name)
