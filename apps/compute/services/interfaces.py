"""Network cards of instances that are there: attached to running and stopped ones, and detached again.

The port is claimed, and the instance shows it, in the transaction that accepts the request; it goes only when it is certain
that the host has no such card (any more). Lock order: operation, instance, client token, port.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from django.db import transaction

from apps.audit.services import record
from apps.common.context import SYSTEM, Actor
from apps.common.errors import CloudError, InvalidState, NotFound, Unavailable
from apps.compute import names, payloads, selectors
from apps.compute.models import Instance
from apps.compute.services import cards
from apps.compute.services.cards import WantedCard
from apps.compute.services.reports import Observing, error_of, silent
from apps.compute.states import InstanceState
from apps.identity import policy
from apps.network import selectors as networks
from apps.network.services import addresses, plugs
from apps.operations import selectors as operations
from apps.operations.kinds import Answer, kind_of
from apps.operations.services import commands, idempotency, lifecycle
from apps.operations.services.idempotency import Claim
from apps.operations.services.lifecycle import Note
from apps.operations.states import OpState
from contracts import topics
from contracts.compute import v2

if TYPE_CHECKING:
    from apps.operations.models import Operation

PERMISSION = "compute.instance.attach"
_STATES = (InstanceState.ACTIVE, InstanceState.STOPPED)


@dataclass(frozen=True)
class Attached:
    """What is under way, and the card that is to be."""

    operation: Operation
    port_id: uuid.UUID
    addresses: list[dict[str, object]]


def attach(*, actor: Actor, instance_id: uuid.UUID, card: WantedCard, client_token: str = "") -> Attached:
    """Give an instance one more card: a new port in a network, or a port that is there.

    `client_token`: with the same one the same request is done once, and answered alike. Raises NotFound (instance, network, port,
    security group), Forbidden, Invalid, InvalidState `instance.state`, `port.in_use`, `instance.cards`, `operation.in_progress`,
    Conflict `address.taken`, `client_token.reused`, NoCapacity `network.full`, QuotaExceeded.
    """
    policy.require(actor, PERMISSION)
    return idempotency.once(
        actor=actor, token=client_token, request={"kind": names.ATTACH, "instance_id": instance_id, "card": card},
        make=partial(_attach, actor, instance_id, card), again=partial(_recalled, instance_id),
    )


def _recalled(instance_id: uuid.UUID, ids: list[uuid.UUID]) -> Attached:
    """What an earlier request began, whatever became of it, and the addresses that the instance has of it now."""
    operation = operations.of_kind(kind=names.ATTACH, resource_ids=[instance_id]).get(pk=ids[0])
    port_id = _port_of(operation)
    present = Instance.objects.values_list("addresses", flat=True).get(pk=instance_id)
    return Attached(operation, port_id, [each for each in present if each["port_id"] == str(port_id)])


@transaction.atomic
def _attach(actor: Actor, instance_id: uuid.UUID, card: WantedCard, claim: Claim) -> Attached:
    instance = _locked(actor, instance_id, "attach")
    operation = _prepared(actor, instance, names.ATTACH)
    claim([operation.pk])
    # Operators give it what its project has.
    owner = actor if actor.project_id == instance.project_id else replace(actor, project_id=instance.project_id, grants=frozenset())
    wanted = cards.resolve_one(actor=owner, card=card)
    if len(networks.ports_of(instance.pk)) >= cards.MOST:
        raise InvalidState("instance.cards", f"The instance has {cards.MOST} cards, and no more fit in.", most=cards.MOST)
    wishes = cards.wishes(instance.pk, instance.project_id, wanted.stored, instance.host_id, instance.name)
    drawn = addresses.decided(lambda patient: plugs.draw(wishes, patient=patient))
    (claimed,) = drawn[instance.pk]
    embedded = cards.addresses_of([claimed])
    instance.addresses = [*instance.addresses, *embedded]
    body = v2.Attach(instance_id=str(instance.pk), card=payloads.card(claimed))
    note = ", ".join(claimed.addresses) or claimed.port.mac
    _begin(instance, operation, claimed.port.pk, topics.COMPUTE_ATTACH, body, f"addresses claimed: {note}")
    _record(actor, instance, {"attached": claimed.port.pk, "addresses": note})
    for refused in plugs.charge(drawn).values():
        raise refused
    return Attached(operation, claimed.port.pk, embedded)


@transaction.atomic
def detach(*, actor: Actor, instance_id: uuid.UUID, port_id: uuid.UUID) -> Operation:
    """Take a card out of an instance; a port that was made by itself is kept, another one is deleted.

    Raises NotFound (instance, `port.not_found`), Forbidden, InvalidState `instance.state`, `operation.in_progress`.
    """
    instance = _locked(actor, instance_id, "detach")
    if port_id not in networks.ports_of(instance.pk):
        raise NotFound("port.not_found", f"The instance has no card of the port {port_id}.", field="port_id")
    body = v2.Detach(instance_id=str(instance.pk), card=str(port_id))
    operation = _prepared(actor, instance, names.DETACH)
    _begin(instance, operation, port_id, topics.COMPUTE_DETACH, body)
    _record(actor, instance, {"detached": port_id})
    return operation


def settle_doubt(instance: Instance) -> None:
    """The host of a locked instance without open operation is heard again: what it may have plugged in is taken out."""
    ports = networks.ports_of(instance.pk)
    instance.cards_in_doubt = [text for text in instance.cards_in_doubt if uuid.UUID(text) in ports]
    instance.save(update_fields=["cards_in_doubt"])
    if instance.cards_in_doubt and instance.state in _STATES:
        port_id = uuid.UUID(instance.cards_in_doubt[0])
        body = v2.Detach(instance_id=str(instance.pk), card=str(port_id))
        operation = _prepared(SYSTEM, instance, names.DETACH)
        _begin(instance, operation, port_id, topics.COMPUTE_DETACH, body, "the host was silent when the card was to come or go")


def _locked(actor: Actor, instance_id: uuid.UUID, what: str) -> Instance:
    policy.require(actor, PERMISSION)
    instance = selectors.instance(actor=actor, instance_id=instance_id, permission=PERMISSION, lock=True)
    if instance.state not in _STATES or instance.host_id is None:
        raise InvalidState(
            "instance.state", f"{what} needs an instance that is {' or '.join(_STATES)}; this one is {instance.state}.",
            state=instance.state, allowed=[state.value for state in _STATES],
        )
    return instance


def _prepared(actor: Actor, instance: Instance, kind: str) -> Operation:
    """For `_begin`, which writes it, and the instance with its next generation."""
    instance.generation += 1
    return lifecycle.prepare(
        actor=actor, kind=kind, resource_id=instance.pk, project_id=instance.project_id, generation=instance.generation,
        host_id=instance.host_id, host_name=instance.host_name,
    )


def _begin(
    instance: Instance, operation: Operation, port_id: uuid.UUID, task: str, body: v2.Attach | v2.Detach, detail: str = ""
) -> None:
    instance.save(update_fields=["generation", "addresses"])
    operation.result = {"port_id": str(port_id)}
    commands.begin(operation, task=task, body=body, notes=[Note(operation.pk, "api", "accepted", detail)])


def _record(actor: Actor, instance: Instance, changes: dict[str, object]) -> None:
    record.write(
        actor, PERMISSION, "instance", instance.pk, project_id=instance.project_id, name=instance.name, changes=changes
    )


class _Cards(Observing):
    """Both directions. The host does not list cards when it is asked what is true, so in doubt it is told to take one out:
    that is done also when there is none, and a higher generation voids what it was told before."""

    def done(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            _succeed(answer.operation)

    def unanswered(self, operation: Operation) -> None:
        """The card may be there, so its port stays the instance's until the host is heard again: then it is taken out."""
        instance = Instance.objects.select_for_update().get(pk=operation.resource_id)
        port_id = str(_port_of(operation))
        if port_id not in instance.cards_in_doubt:
            instance.cards_in_doubt = [*instance.cards_in_doubt, port_id]
            instance.save(update_fields=["cards_in_doubt"])
        _fail(operation, silent(operation))


class Attach(_Cards):
    """attach, or undo."""

    def done(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            if answer.operation.step == "undo":
                late = Unavailable("attach.timeout", "The host did not attach the card in time; it was taken out again.")
                _out(answer.operation, late)
            else:
                _succeed(answer.operation)

    def failed(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            error = error_of(answer.report.error)
            # A host that could not attach it has left nothing of it.
            _fail(answer.operation, error) if answer.operation.step == "undo" else _out(answer.operation, error)

    def observed(self, answer: Answer) -> None:
        if answer.operation.step == "undo":
            self.unanswered(answer.operation)
        else:
            _take_out(answer.operation, step="undo", why="the card was not attached in time")


class Detach(_Cards):
    """There is no other host to try: the same one again, some times."""

    def done(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            _release(answer.operation)
            _succeed(answer.operation)

    def failed(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            self._again(answer.operation, error_of(answer.report.error))

    def observed(self, answer: Answer) -> None:
        self._again(answer.operation, Unavailable("detach.timeout", "The host did not take the card out in time."))

    def _again(self, operation: Operation, error: CloudError) -> None:
        if operation.attempt < kind_of(operation.kind).max_attempts:
            operation.attempt += 1
            _take_out(operation, step="detach", why=error.message)
        else:
            _fail(operation, error)


def _take_out(operation: Operation, *, step: str, why: str) -> None:
    instance = Instance.objects.select_for_update().get(pk=operation.resource_id)
    instance.generation += 1
    instance.save(update_fields=["generation"])
    lifecycle.advance(operation, step=step, state=OpState.SENT, generation=instance.generation)
    body = v2.Detach(instance_id=str(instance.pk), card=str(_port_of(operation)))
    commands.address(operation, task=topics.COMPUTE_DETACH, body=body)
    lifecycle.save_all([operation])
    lifecycle.write([Note(operation.pk, "conductor", "taking the card out", why)])
    lifecycle.dispatch([operation])


def _release(operation: Operation) -> None:
    """The host has no such card: the instance's row says so, and its port is free."""
    instance = Instance.objects.select_for_update().get(pk=operation.resource_id)
    port_id = _port_of(operation)
    plugs.release_ports(instance.pk, [port_id])
    if instance.state != InstanceState.DELETED:
        instance.addresses = networks.embedded(instance.pk)
        instance.cards_in_doubt = [each for each in instance.cards_in_doubt if each != str(port_id)]
        instance.save(update_fields=["addresses", "cards_in_doubt"])


def _out(operation: Operation, error: CloudError) -> None:
    _release(operation)
    _fail(operation, error)


def _fail(operation: Operation, error: CloudError) -> None:
    lifecycle.fail(operation, error)
    lifecycle.write([Note(operation.pk, "conductor", "failed", error.message)])


def _succeed(operation: Operation) -> None:
    lifecycle.succeed([operation], result=operation.result)
    lifecycle.write([Note(operation.pk, "conductor", "finished")])


def _port_of(operation: Operation) -> uuid.UUID:
    assert operation.result is not None
    return uuid.UUID(operation.result["port_id"])
