"""Reads of networks and ports, scoped to the actor's project."""

import uuid
from collections import Counter
from collections.abc import Collection, Iterable
from typing import Any

from django.db.models import Count, Q, QuerySet

from apps.common.context import Actor
from apps.common.errors import NotFound
from apps.identity import policy
from apps.network import payloads
from apps.network.models import FixedIP, Network, Port
from contracts.network import v1


def networks(*, actor: Actor) -> "QuerySet[Network]":
    """The project's. Raises Forbidden."""
    policy.require(actor, "network.network.list")
    return Network.objects.filter(Q(project_id=actor.project_id)).prefetch_related("subnets")


def network(*, actor: Actor, network_id: uuid.UUID) -> Network:
    """One of the project's, to be used by what is in it. Raises Forbidden, NotFound."""
    return _one(networks(actor=actor), network_id)


def shown(*, actor: Actor, network_id: uuid.UUID, permission: str = "network.network.get", lock: bool = False) -> Network:
    """One of the project's, or any for whom has the permission everywhere; `lock`: to be changed in the caller's
    transaction. Raises Forbidden, NotFound."""
    policy.require(actor, permission)
    rows = Network.objects.all() if policy.everywhere(actor, permission) else Network.objects.filter(Q(project_id=actor.project_id))
    return _one(rows.select_for_update() if lock else rows.prefetch_related("subnets"), network_id)


def _one(rows: "QuerySet[Network]", network_id: uuid.UUID) -> Network:
    found = rows.filter(pk=network_id).first()
    if found is None:
        raise NotFound("network.not_found", f"There is no network {network_id} in this project.", field="network_id")
    return found


def network_named(*, actor: Actor, name: str) -> Network:
    """Raises NotFound."""
    found = networks(actor=actor).filter(name=name).first()
    if found is None:
        raise NotFound("network.not_found", f"There is no network named {name!r} in this project.", field="network")
    return found


def ports(*, actor: Actor) -> "QuerySet[Port]":
    """The project's. Raises Forbidden."""
    policy.require(actor, "network.network.list")
    return Port.objects.filter(Q(project_id=actor.project_id)).prefetch_related("fixed_ips")


def wire_ports(device_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, list[v1.Port]]:
    """Device id → its ports as hosts know them."""
    rows = FixedIP.objects.select_related("port__network", "subnet").filter(port__device_id__in=set(device_ids)).order_by("pk")
    found: dict[uuid.UUID, list[v1.Port]] = {}
    for row in rows:
        found.setdefault(row.port.device_id, []).extend(payloads.ports_of([row]))
    return found


def addresses() -> dict[uuid.UUID, list[str]]:
    """Device id → the addresses of all its ports; of everybody who has a port."""
    found: dict[uuid.UUID, list[str]] = {}
    for device_id, address in Port.objects.values_list("device_id", "fixed_ips__address"):
        found.setdefault(device_id, []).extend([str(address)] if address is not None else [])
    return found


def embedded(device_id: uuid.UUID) -> list[dict[str, str]]:
    """The addresses of one device in the form in which an instance carries them."""
    rows = FixedIP.objects.select_related("port").filter(port__device_id=device_id).order_by("pk")
    return [
        {"address": str(row.address), "mac": row.port.mac, "network_id": str(row.port.network_id), "port_id": str(row.port_id)}
        for row in rows
    ]


def devices() -> set[uuid.UUID]:
    """Everybody who has a port."""
    return set(Port.objects.values_list("device_id", flat=True).distinct())


def usage(project_ids: Collection[uuid.UUID] | None) -> dict[uuid.UUID, Counter[str]]:
    """What networks and ports count as in quotas, by project."""
    found: dict[uuid.UUID, Counter[str]] = {}
    for name, rows in (("networks", Network.objects.all()), ("ports", Port.objects.all())):
        asked: QuerySet[Any] = rows if project_ids is None else rows.filter(project_id__in=list(project_ids))
        for project_id, count in asked.values_list("project_id").annotate(Count("pk")).order_by():
            found.setdefault(project_id, Counter())[name] = count
    return found
