"""Reads of networks and ports, scoped to the actor's project."""

import uuid
from collections.abc import Iterable

from django.db.models import Q, QuerySet

from apps.common.context import Actor
from apps.common.errors import NotFound
from apps.network import payloads
from apps.network.models import FixedIP, Network, Port
from contracts.network import v1


def networks(*, actor: Actor) -> "QuerySet[Network]":
    return Network.objects.filter(Q(project_id=actor.project_id)).prefetch_related("subnets")


def network(*, actor: Actor, network_id: uuid.UUID) -> Network:
    """Raises NotFound."""
    found = networks(actor=actor).filter(pk=network_id).first()
    if found is None:
        raise NotFound("network.not_found", f"There is no network {network_id} in this project.", field="network_id")
    return found


def ports(*, actor: Actor) -> "QuerySet[Port]":
    return Port.objects.filter(Q(project_id=actor.project_id)).prefetch_related("fixed_ips")


def wire_ports(device_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, list[v1.Port]]:
    """Device id → its ports as hosts know them."""
    rows = FixedIP.objects.select_related("port__network", "subnet").filter(port__device_id__in=set(device_ids)).order_by("pk")
    found: dict[uuid.UUID, list[v1.Port]] = {}
    for row in rows:
        found.setdefault(row.port.device_id, []).extend(payloads.ports_of([row]))
    return found


def devices() -> set[uuid.UUID]:
    """Everybody who has a port."""
    return set(Port.objects.values_list("device_id", flat=True).distinct())
