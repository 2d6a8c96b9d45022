"""Aggregates: hosts that have something in common, and what is said of them."""

import uuid
from collections.abc import Callable, Collection, Iterable, Mapping

from django.db import IntegrityError, transaction

from apps.audit.services import record
from apps.common.checks import check_name, check_texts
from apps.common.context import SYSTEM, Actor
from apps.common.errors import Conflict, Invalid, InvalidState, NotFound
from apps.common.sql import hold
from apps.hosts import selectors
from apps.hosts.models import Aggregate, AggregateHost, Host
from apps.hosts.services import deltas, zones
from apps.identity import policy
from apps.identity import selectors as identity

# Contexts that keep aggregates of hosts in a form of their own (placement does): called, in the transaction of the change,
# with the hosts that joined or left one.
followers: list[Callable[[Collection[uuid.UUID]], object]] = []


def create(
    *, actor: Actor, name: str, metadata: Mapping[str, str] | None = None, project_ids: Iterable[uuid.UUID] = ()
) -> Aggregate:
    """`project_ids`: if there are any, its hosts take instances of these projects only.

    Raises Forbidden, Invalid, Conflict `aggregate.exists`.
    """
    policy.require(actor, "hosts.aggregate.create")
    check_name(name)
    facts = {"metadata": _metadata(metadata or {}), "project_ids": _projects(project_ids)}
    try:
        with transaction.atomic():
            aggregate = Aggregate.objects.create(name=name, **facts)
            record.write(actor, "hosts.aggregate.create", "aggregate", aggregate.pk, name=name, changes=_told(facts))
    except IntegrityError:
        raise _exists(name) from None
    return aggregate


def update(
    *, actor: Actor, aggregate_id: uuid.UUID, name: str | None = None, metadata: Mapping[str, str] | None = None,
    project_ids: Iterable[uuid.UUID] | None = None,
) -> Aggregate:
    """None: as it is; what is given replaces all of it. Raises Forbidden, NotFound, Invalid, Conflict `aggregate.exists`."""
    policy.require(actor, "hosts.aggregate.update")
    wanted: dict[str, object] = {}
    if name is not None:
        check_name(name)
        wanted["name"] = name
    if metadata is not None:
        wanted["metadata"] = _metadata(metadata)
    if project_ids is not None:
        wanted["project_ids"] = _projects(project_ids)
    try:
        with transaction.atomic():
            return _update(actor, aggregate_id, wanted)
    except IntegrityError:
        raise _exists(name or "") from None


def _update(actor: Actor, aggregate_id: uuid.UUID, wanted: dict[str, object]) -> Aggregate:
    aggregate = _locked(aggregate_id)
    changes = record.changed(aggregate, **wanted)
    for field, (_, value) in changes.items():
        setattr(aggregate, field, value)
    if changes:
        aggregate.save(update_fields=list(changes))
        told = {field: list(map(_pair, pair)) for field, pair in changes.items()}
        record.write(actor, "hosts.aggregate.update", "aggregate", aggregate.pk, name=aggregate.name, changes=told)
        deltas.note(aggregate.members.values_list("host_id", flat=True))
    return aggregate


@transaction.atomic
def delete(*, actor: Actor, aggregate_id: uuid.UUID) -> None:
    """Raises Forbidden, NotFound, InvalidState `aggregate.in_use` naming the hosts in it."""
    policy.require(actor, "hosts.aggregate.delete")
    aggregate = _locked(aggregate_id)
    known = selectors.names(aggregate.members.values_list("host_id", flat=True))
    if known:
        hosts = sorted(known.values())
        message = f"The aggregate {aggregate.name} cannot be deleted: {zones.said(hosts)} in it. Take them out first."
        raise InvalidState("aggregate.in_use", message, hosts=hosts[:5], count=len(hosts))
    record.write(actor, "hosts.aggregate.delete", "aggregate", aggregate.pk, name=aggregate.name)
    aggregate.delete()


@transaction.atomic
def add_host(*, actor: Actor, aggregate_id: uuid.UUID, host_id: uuid.UUID) -> Aggregate:
    """Nothing happens if it is in there. Raises Forbidden, NotFound."""
    policy.require(actor, "hosts.aggregate.update")
    aggregate = _locked(aggregate_id)
    if not hold(Host, [host_id]):
        raise NotFound("host.not_found", f"There is no host {host_id}.", field="host_id")
    _, joined = AggregateHost.objects.get_or_create(aggregate=aggregate, host_id=host_id)
    if joined:
        _moved(actor, aggregate, host_id, [None, selectors.by_id(host_id).name])
    return aggregate


@transaction.atomic
def remove_host(*, actor: Actor, aggregate_id: uuid.UUID, host_id: uuid.UUID) -> Aggregate:
    """Raises Forbidden, NotFound (also of a host that is not in it)."""
    policy.require(actor, "hosts.aggregate.update")
    aggregate = _locked(aggregate_id)
    hold(Host, [host_id])
    left, _ = AggregateHost.objects.filter(aggregate=aggregate, host_id=host_id).delete()
    if not left:
        raise NotFound("aggregate.no_such_host", f"The host {host_id} is not in the aggregate {aggregate.name}.", field="host_id")
    _moved(actor, aggregate, host_id, [selectors.names([host_id]).get(host_id, str(host_id)), None])
    return aggregate


def keep_still(host_id: uuid.UUID) -> None:
    """Nobody puts this host into an aggregate, or takes it out, before the transaction ends: for followers that do not know of it yet."""
    list(Host.objects.select_for_update().filter(pk=host_id).values_list("pk"))


def _moved(actor: Actor, aggregate: Aggregate, host_id: uuid.UUID, change: list[str | None]) -> None:
    record.write(actor, "hosts.aggregate.update", "aggregate", aggregate.pk, name=aggregate.name, changes={"host": change})
    for follow in followers:
        follow([host_id])
    deltas.note([host_id])


def _metadata(given: Mapping[str, str]) -> dict[str, str]:
    check_texts(given, field="metadata", code="aggregate.metadata")
    return dict(given)


def _projects(given: Iterable[uuid.UUID]) -> list[str]:
    wanted = set(given)
    known = set(identity.projects(actor=SYSTEM).filter(pk__in=wanted).values_list("pk", flat=True))
    if missing := sorted(map(str, wanted - known)):
        raise Invalid("aggregate.project", f"project_ids: there is no project {', '.join(missing[:5])}.", field="project_ids")
    return sorted(map(str, wanted))


def _told(facts: Mapping[str, object]) -> dict[str, object]:
    return {field: _pair(value) for field, value in facts.items()}


def _pair(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _exists(name: str) -> Conflict:
    return Conflict("aggregate.exists", f"There is an aggregate named {name!r} already.", field="name")


def _locked(aggregate_id: uuid.UUID) -> Aggregate:
    aggregate = Aggregate.objects.select_for_update().filter(pk=aggregate_id).first()
    if aggregate is None:
        raise NotFound("aggregate.not_found", f"There is no aggregate {aggregate_id}.", field="aggregate_id")
    return aggregate
