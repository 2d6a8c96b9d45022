"""Ports and their addresses: of the actor's project; and of instances, for the context that has these."""

import uuid

from django.db.models import Q, QuerySet

from apps.common.context import Actor
from apps.common.errors import Conflict, NotFound
from apps.identity import policy
from apps.network.models import FixedIP, Port
from apps.network.selectors.networks import COUNTED_PORTS
from apps.network.states import DeviceKind


def ports(*, actor: Actor, all_projects: bool = False) -> "QuerySet[Port]":
    """The project's with their addresses and groups; operators may ask for all, also for what stands for floating IPs and
    hosts' ways out. Raises Forbidden."""
    permission = "network.port.list"
    policy.require(actor, permission)
    return _visible(actor, permission, all_projects=all_projects).prefetch_related("fixed_ips", "memberships")


def seen(*, actor: Actor, permission: str) -> "QuerySet[Port]":
    """Bare rows over which the actor has the permission. Raises Forbidden."""
    policy.require(actor, permission)
    return _visible(actor, permission)


def port(*, actor: Actor, port_id: uuid.UUID, permission: str = "network.port.get", lock: bool = False) -> Port:
    """`permission`: what is to be done with it; `lock`: for change in the caller's transaction. Raises Forbidden, NotFound."""
    policy.require(actor, permission)
    rows = _visible(actor, permission).filter(pk=port_id).select_related("network")
    if lock:
        rows = rows.filter(device_kind__in=COUNTED_PORTS).select_for_update(of=("self",), no_key=permission != "network.port.delete")
    found = (rows if lock else rows.prefetch_related("fixed_ips", "memberships")).first()
    if found is None:
        raise NotFound("port.not_found", f"There is no port {port_id} in this project.", field="port_id")
    return found


def port_named(*, actor: Actor, name: str) -> Port:
    """The project's of that name, with that MAC, or of the instance with that host name. Raises Forbidden, NotFound, Conflict `port.ambiguous`."""
    policy.require(actor, "network.port.get")
    found = list(_visible(actor, "network.port.get", all_projects=False).filter(Q(name=name) | Q(mac=name.lower()) | Q(dns_name=name))[:2])
    if not found:
        raise NotFound("port.not_found", f"There is no port named {name!r} in this project.", field="port")
    if len(found) > 1:
        raise Conflict("port.ambiguous", f"Several ports are named {name!r}: give an id.", field="port")
    return found[0]


def ports_of(instance_id: uuid.UUID) -> set[uuid.UUID]:
    """The ports that an instance has."""
    rows = Port.objects.filter(device_kind=DeviceKind.INSTANCE.value, device_id=instance_id)
    return set(rows.values_list("pk", flat=True))


def addresses() -> dict[uuid.UUID, list[str]]:
    """Instance id → the addresses of all its ports; of everybody who has a port."""
    found: dict[uuid.UUID, list[str]] = {}
    rows = Port.objects.filter(device_kind=DeviceKind.INSTANCE.value)
    for device_id, address in rows.values_list("device_id", "fixed_ips__address"):
        if device_id is not None:
            found.setdefault(device_id, []).extend([str(address)] if address is not None else [])
    return found


def embedded(device_id: uuid.UUID) -> list[dict[str, object]]:
    """The addresses of one instance in the form in which it carries them."""
    rows = FixedIP.objects.select_related("port", "subnet").filter(
        port__device_id=device_id, port__device_kind=DeviceKind.INSTANCE.value
    )
    return [
        embed(row.port, str(row.address), row.subnet.family)
        for row in sorted(rows, key=lambda row: (row.port_id, row.subnet.family, row.pk))
    ]


def embed(port: Port, address: str, family: int) -> dict[str, object]:
    """One address as an instance carries it."""
    return {"address": address, "family": family, "mac": port.mac, "network_id": str(port.network_id), "port_id": str(port.pk)}


def _visible(actor: Actor, permission: str, *, all_projects: bool = True) -> "QuerySet[Port]":
    if all_projects and policy.everywhere(actor, permission):
        return Port.objects.all()
    return Port.objects.filter(Q(project_id=actor.project_id), device_kind__in=COUNTED_PORTS)
