"""Reads of hosts' networking: how far each is, and which wires it is plugged into."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import Q, QuerySet

from apps.common import clock
from apps.common.context import Actor
from apps.common.errors import NotFound
from apps.common.sql import fetch_prepared
from apps.identity import policy
from apps.network.models import HostNetwork, Network, Port
from apps.network.states import HOST_LATE_S


@dataclass(frozen=True)
class Applied:
    """How far a host is. `problems`: what each object (by id) that it could not bring about lacks, in its words."""

    generation: int
    applied: int
    at: datetime | None
    problems: dict[str, str]

    @property
    def up_to_date(self) -> bool:
        return self.applied == self.generation


def host_networks(*, actor: Actor) -> "QuerySet[HostNetwork]":
    """Of all hosts, by name. Raises Forbidden."""
    policy.require(actor, "network.host.list")
    return HostNetwork.objects.order_by("host_name")


def host_network(*, actor: Actor, host_id: uuid.UUID) -> HostNetwork:
    """Raises Forbidden, NotFound."""
    found = host_networks(actor=actor).filter(pk=host_id).first()
    if found is None:
        raise NotFound("host.not_found", f"Host {host_id} has not said anything about its networking.", field="host_id")
    return found


def in_trouble() -> list[HostNetwork]:
    """Hosts that could not bring about, or be given, something, and those that are late with what they were told; by name."""
    late = Q(behind_since__lt=clock.after(-HOST_LATE_S))
    rows = HostNetwork.objects.filter(late | ~Q(problems=[]) | ~Q(lacking=[]), speaks=True)
    return list(rows.order_by("host_name").defer("told", "mended"))


def applied(host_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Applied]:
    """Host id → how far it is; hosts that have said nothing yet are not in it."""
    rows = HostNetwork.objects.filter(pk__in=set(host_ids)).values_list("pk", "generation", "applied", "applied_at", "problems")
    return {
        pk: Applied(generation, done, at, {problem["object"]: problem["message"] for problem in problems if problem["object"]})
        for pk, generation, done, at, problems in rows
    }


def plugged(host_ids: Collection[uuid.UUID] | None = None) -> list[tuple[uuid.UUID, list[str]]]:
    """(host id, names of its wires) of those of these hosts (None: all) whose agent understands networks: what the scheduler's
    table is made from."""
    if connection.vendor == "postgresql" and host_ids is not None:
        # Read many times a second, while instances are placed.
        statement = f"SELECT host_id, physical_networks FROM {HostNetwork._meta.db_table} WHERE speaks AND host_id = ANY(%s)"
        return fetch_prepared(statement, [list(host_ids)], binary=True)
    rows = HostNetwork.objects.filter(speaks=True)
    if host_ids is not None:
        rows = rows.filter(pk__in=host_ids)
    return list(rows.values_list("pk", "physical_networks"))


def wires_needed(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, frozenset[str]]:
    """Ids of networks, or of ports in them → wires that a host must be plugged into for these: the network's own, and that of
    its router's way out. Networks and ports that need none are not in it."""
    on_wire = Network.objects.filter(
        Q(physical_network__isnull=False) | Q(router__external_network__physical_network__isnull=False)
    ).filter(Q(pk__in=set(ids)) | Q(ports__in=set(ids)))
    names = ("physical_network__name", "router__external_network__physical_network__name")
    wires = {pk: frozenset(filter(None, found)) for pk, *found in on_wire.values_list("pk", *names).distinct()}
    of_ports = Port.objects.filter(pk__in=set(ids), network_id__in=wires).values_list("pk", "network_id") if wires else ()
    return wires | {pk: wires[network_id] for pk, network_id in of_ports}
