"""Reads of hosts."""

import threading
import time
import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from django.db import connection
from django.db.models import QuerySet

from apps.common.context import Actor
from apps.common.errors import NotFound
from apps.common.sql import fetch_prepared
from apps.hosts.models import Aggregate, AggregateHost, Host, Zone
from apps.hosts.states import HostState
from apps.identity import policy
from contracts.envelope import PublicKey


@dataclass(frozen=True)
class HostKey:
    """Whose key it is."""

    host_id: uuid.UUID
    name: str
    key: PublicKey


class _Keys:
    """Public keys by key id, kept in the process; a key that was renewed is void after `_TTL_S` at the latest."""

    _TTL_S = 5.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, HostKey] = {}
        self._read_at = 0.0

    def get(self, key_id: str) -> HostKey | None:
        with self._lock:
            if time.monotonic() - self._read_at > self._TTL_S:
                rows = Host.objects.values_list("key_id", "pk", "name", "public_key")
                self._known = {kid: HostKey(pk, name, self._reuse(kid, public)) for kid, pk, name, public in rows}
                self._read_at = time.monotonic()
            return self._known.get(key_id) or self._one(key_id)

    def _reuse(self, key_id: str, public: str) -> PublicKey:
        old = self._known.get(key_id)
        return old.key if old is not None else PublicKey.from_hex(public)

    def _one(self, key_id: str) -> HostKey | None:
        row = Host.objects.filter(key_id=key_id).values_list("pk", "name", "public_key").first()
        if row is None:
            return None
        self._known[key_id] = found = HostKey(row[0], row[1], PublicKey.from_hex(row[2]))
        return found


_keys = _Keys()


def key(key_id: str) -> HostKey | None:
    """The host that has this key; None for nobody we know."""
    return _keys.get(key_id)


def hosts() -> "QuerySet[Host]":
    """All hosts, by name."""
    return Host.objects.order_by("name")


def by_name(name: str) -> Host:
    """Raises NotFound."""
    host = Host.objects.filter(name=name).first()
    if host is None:
        raise NotFound("host.not_found", f"There is no host named {name}.", field="name")
    return host


def by_id(host_id: uuid.UUID) -> Host:
    """Raises NotFound."""
    host = Host.objects.filter(pk=host_id).first()
    if host is None:
        raise NotFound("host.not_found", f"There is no host {host_id}.")
    return host


def names(ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Host names by id."""
    return dict(Host.objects.filter(pk__in=set(ids)).values_list("pk", "name"))


def down() -> set[uuid.UUID]:
    """Hosts that have fallen silent."""
    return set(Host.objects.filter(state=HostState.DOWN.value).values_list("pk", flat=True))


def zones(*, actor: Actor) -> "QuerySet[Zone]":
    """All of them, by name. Raises Forbidden."""
    policy.require(actor, "hosts.zone.list")
    return Zone.objects.order_by("name")


def zone(*, actor: Actor, zone_id: uuid.UUID) -> Zone:
    """Raises Forbidden, NotFound."""
    found = zones(actor=actor).filter(pk=zone_id).first()
    if found is None:
        raise NotFound("zone.not_found", f"There is no zone {zone_id}.", field="zone_id")
    return found


def zone_named(*, actor: Actor, name: str) -> Zone:
    """Raises Forbidden, NotFound."""
    found = zones(actor=actor).filter(name=name).first()
    if found is None:
        raise NotFound("zone.not_found", f"There is no zone named {name!r}.", field="zone")
    return found


def aggregates(*, actor: Actor) -> "QuerySet[Aggregate]":
    """All of them with their members, by name. Raises Forbidden."""
    policy.require(actor, "hosts.aggregate.list")
    return Aggregate.objects.prefetch_related("members").order_by("name")


def aggregate(*, actor: Actor, aggregate_id: uuid.UUID) -> Aggregate:
    """Raises Forbidden, NotFound."""
    found = aggregates(actor=actor).filter(pk=aggregate_id).first()
    if found is None:
        raise NotFound("aggregate.not_found", f"There is no aggregate {aggregate_id}.", field="aggregate_id")
    return found


def aggregate_named(*, actor: Actor, name: str) -> Aggregate:
    """Raises Forbidden, NotFound."""
    found = aggregates(actor=actor).filter(name=name).first()
    if found is None:
        raise NotFound("aggregate.not_found", f"There is no aggregate named {name!r}.", field="aggregate")
    return found


class SchedulingFacts(NamedTuple):
    """What schedulers know of a host. `state`: `hypervisor` instead of `up` where its agent cannot reach its hypervisor."""

    id: uuid.UUID
    name: str
    zone: str
    enabled: bool
    state: str
    zone_enabled: bool
    hypervisor: str
    load_percent: int
    aggregate_ids: tuple[uuid.UUID, ...]


class AggregateFacts(NamedTuple):
    """What schedulers know of an aggregate. `project_ids`: if there are any, its hosts are for these projects only."""

    id: uuid.UUID
    name: str
    metadata: dict[str, str]
    project_ids: frozenset[uuid.UUID]


# From so many hosts on, all are read: a statement takes so many parameters, and no more.
_ONE_BY_ONE = 1000


def scheduling_facts(host_ids: Collection[uuid.UUID] | None = None) -> list[SchedulingFacts]:
    """Of these hosts (None: of all), in the order of ids; one that is not there is left out. Three statements; in PostgreSQL one,
    if they are few."""
    if connection.vendor == "postgresql" and host_ids is not None and len(host_ids) <= _ONE_BY_ONE:
        return [_facts(*row) for row in fetch_prepared(_few(), [list(host_ids)], binary=True)]
    rows, members, wanted = Host.objects.order_by("pk"), AggregateHost.objects.order_by("aggregate_id"), None
    if host_ids is not None and len(host_ids) <= _ONE_BY_ONE:
        rows, members = rows.filter(pk__in=host_ids), members.filter(host_id__in=host_ids)
    elif host_ids is not None:
        wanted = set(host_ids)
    closed = set(Zone.objects.filter(enabled=False).values_list("name", flat=True))
    inside: dict[uuid.UUID, tuple[uuid.UUID, ...]] = {}
    for host_id, aggregate_id in members.values_list("host_id", "aggregate_id"):
        inside[host_id] = (*inside.get(host_id, ()), aggregate_id)
    fields = ("pk", "name", "zone", "enabled", "state", "hypervisor_ok", "hypervisor", "load_percent")
    return [
        _facts(pk, name, zone, enabled, state, ok, hypervisor, load, zone not in closed, inside.get(pk, ()))
        for pk, name, zone, enabled, state, ok, hypervisor, load in rows.values_list(*fields)
        if wanted is None or pk in wanted
    ]


@cache
def _few() -> str:
    """Read many times a second, while instances are placed."""
    host, zone, member = (model._meta.db_table for model in (Host, Zone, AggregateHost))
    return f"""
        SELECT id, name, zone, enabled, state, hypervisor_ok, hypervisor, load_percent,
            NOT EXISTS (SELECT 1 FROM {zone} z WHERE z.name = h.zone AND NOT z.enabled),
            ARRAY(SELECT aggregate_id FROM {member} m WHERE m.host_id = h.id ORDER BY aggregate_id)
        FROM {host} h WHERE id = ANY(%s) ORDER BY id
    """


def _facts(
    host_id: uuid.UUID, name: str, zone: str, enabled: bool, state: str, hypervisor_ok: bool, hypervisor: str, load: int,
    zone_enabled: bool, aggregate_ids: Iterable[uuid.UUID],
) -> SchedulingFacts:
    said = "hypervisor" if state == HostState.UP and not hypervisor_ok else state
    return SchedulingFacts(host_id, name, zone, enabled, said, zone_enabled, hypervisor, load, tuple(aggregate_ids))


def scheduling_aggregates() -> list[AggregateFacts]:
    """All aggregates, in the order of ids. One statement."""
    rows = Aggregate.objects.order_by("pk").values_list("pk", "name", "metadata", "project_ids")
    return [AggregateFacts(pk, name, metadata, frozenset(map(uuid.UUID, projects))) for pk, name, metadata, projects in rows]
