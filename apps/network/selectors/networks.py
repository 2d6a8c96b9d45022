"""Networks, subnets, wires and pools of segments: a project sees its own and those that operators share with all."""

import uuid
from collections import Counter
from collections.abc import Collection
from typing import Any

from django.db.models import Count, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from apps.common.context import Actor
from apps.common.errors import Forbidden, InvalidState, NotFound
from apps.identity import policy
from apps.network.models import FloatingIP, Network, PhysicalNetwork, Port, SecurityGroup, SegmentPool, Subnet
from apps.network.states import DeviceKind, NetworkKind

PROVIDE = "network.network.provide"
# Ports that projects make, or that their instances have; the others come with what they stand for.
COUNTED_PORTS = (DeviceKind.NONE.value, DeviceKind.INSTANCE.value)
_FOR_ALL = Q(shared=True) | Q(external=True)


def networks(*, actor: Actor, all_projects: bool = False) -> "QuerySet[Network]":
    """The project's, the shared and the external ones; operators may ask for all projects'. Raises Forbidden."""
    permission = "network.network.list"
    policy.require(actor, permission)
    rows = _networks(actor, permission, all_projects=all_projects)
    return rows.select_related("physical_network").prefetch_related("subnets")


def network(*, actor: Actor, network_id: uuid.UUID) -> Network:
    """One in which the project may make ports. Raises Forbidden, NotFound, InvalidState `network.no_ports`."""
    found = _one(networks(actor=actor), network_id)
    if found.kind == NetworkKind.HOST or (found.project_id != actor.project_id and not found.shared):
        raise InvalidState(
            "network.no_ports", f"The network {found.name} is a way out for routers; ports are not made in it.", field="network_id"
        )
    return found


def network_named(*, actor: Actor, name: str) -> Network:
    """The project's own of that name, else the operators'. Raises Forbidden, NotFound."""
    found = networks(actor=actor).filter(name=name).order_by(F("project_id").asc(nulls_last=True)).first()
    if found is None:
        raise NotFound("network.not_found", f"There is no network named {name!r} in this project.", field="network")
    return found


def external(*, actor: Actor, network_id: uuid.UUID) -> Network:
    """One that routers may have as their way out. Raises Forbidden, NotFound, InvalidState `network.not_external`."""
    found = _one(networks(actor=actor), network_id)
    if not found.external:
        raise InvalidState(
            "network.not_external", f"The network {found.name} is not external, so it is no way out.", field="external_network_id"
        )
    return found


def way_out() -> Network | None:
    """The external network that new routers get unless they name one."""
    return Network.objects.filter(external=True, is_default=True).first()


def shown(*, actor: Actor, network_id: uuid.UUID, permission: str = "network.network.get") -> Network:
    """One that the actor sees; any for whom has the permission everywhere. Raises Forbidden, NotFound."""
    policy.require(actor, permission)
    return _one(_networks(actor, permission).select_related("physical_network").prefetch_related("subnets"), network_id)


def network_locked(*, actor: Actor, network_id: uuid.UUID, permission: str, gone: bool = False) -> Network:
    """One that the actor may change in its transaction; `gone`: delete, so that who refers to it waits as well.

    Operators who may provide networks change those of no project. Raises NotFound, Forbidden (also `network.not_yours`: it
    is shared with the project, but not its own).
    """
    if not policy.everywhere(actor, PROVIDE):
        policy.require(actor, permission)
    rows = Network.objects.all() if policy.everywhere(actor, PROVIDE) else _networks(actor, permission)
    found = _one(rows.select_for_update(no_key=not gone), network_id)
    _require_change(actor, permission, found)
    return found


def subnets(*, actor: Actor, all_projects: bool = False) -> "QuerySet[Subnet]":
    """Those of all networks that the project sees; operators may ask for all projects'. Raises Forbidden."""
    permission = "network.subnet.list"
    policy.require(actor, permission)
    return _subnets(actor, permission, all_projects=all_projects)


def subnet(*, actor: Actor, subnet_id: uuid.UUID, permission: str = "network.subnet.get") -> Subnet:
    """One that the actor sees, with its network. Raises Forbidden, NotFound."""
    policy.require(actor, permission)
    found = _subnets(actor, permission).select_related("network").filter(pk=subnet_id).first()
    if found is None:
        raise _no_subnet(subnet_id)
    return found


def subnet_locked(*, actor: Actor, subnet_id: uuid.UUID, permission: str, gone: bool = False) -> Subnet:
    """One that the actor may change or delete, with its network; both rows are locked, as `network_locked` does it.

    Raises NotFound, Forbidden.
    """
    network_id = Subnet.objects.filter(pk=subnet_id).values_list("network_id", flat=True).first()
    try:
        network = network_locked(actor=actor, network_id=network_id or subnet_id, permission=permission)
    except NotFound:
        raise _no_subnet(subnet_id) from None
    found = Subnet.objects.select_for_update(no_key=not gone).filter(pk=subnet_id, network=network).first()
    if found is None:
        raise _no_subnet(subnet_id)
    found.network = network
    return found


def wires(*, actor: Actor) -> "QuerySet[PhysicalNetwork]":
    """All wires. Raises Forbidden."""
    policy.require_everywhere(actor, "network.pool.list")
    return PhysicalNetwork.objects.all()


def pools(*, actor: Actor) -> "QuerySet[SegmentPool]":
    """All pools of segments, in the order in which tenants' networks take from them; `used`: how many are taken. Raises Forbidden."""
    policy.require_everywhere(actor, "network.pool.list")
    return with_usage(SegmentPool.objects.select_related("physical_network").order_by("position", "id"))


def with_usage(rows: "QuerySet[SegmentPool]") -> "QuerySet[SegmentPool]":
    """The pools, each with `used`: how many of its segments networks have."""
    on_wire = Q(physical_network=OuterRef("physical_network")) | Q(physical_network__isnull=True)
    taken = Network.objects.filter(on_wire, kind=OuterRef("kind"), segment__gte=OuterRef("first"), segment__lte=OuterRef("last"))
    counted = taken.order_by().values("kind").annotate(count=Count("pk")).values("count")
    found: QuerySet[SegmentPool] = rows.annotate(used=Coalesce(Subquery(counted), 0))
    return found


def domains_of(network: Network) -> set[uuid.UUID]:
    """The routing domains whose hosts know this network: its own, or its router's, and those that have it as their way out."""
    found = {network.router_id or network.pk}
    return found | set(network.routers_out.values_list("pk", flat=True)) if network.external else found


def taken_of(pool: SegmentPool) -> "QuerySet[Network]":
    """The networks whose segment is one of the pool's."""
    return Network.objects.filter(
        kind=pool.kind, physical_network_id=pool.physical_network_id, segment__gte=pool.first, segment__lte=pool.last
    )


def usage(project_ids: Collection[uuid.UUID] | None) -> dict[uuid.UUID, Counter[str]]:
    """What networks, ports, floating IPs and security groups (but the default one) count as in quotas, by project."""
    found: dict[uuid.UUID, Counter[str]] = {}
    counted: tuple[tuple[str, QuerySet[Any]], ...] = (
        ("networks", Network.objects.all()), ("ports", Port.objects.filter(device_kind__in=COUNTED_PORTS)),
        ("floating_ips", FloatingIP.objects.all()), ("security_groups", SecurityGroup.objects.filter(is_default=False)),
    )
    for name, rows in counted:
        asked = rows.exclude(project_id=None) if project_ids is None else rows.filter(project_id__in=list(project_ids))
        for project_id, count in asked.values_list("project_id").annotate(Count("pk")).order_by():
            found.setdefault(project_id, Counter())[name] = count
    return found


def _networks(actor: Actor, permission: str, *, all_projects: bool = True) -> "QuerySet[Network]":
    if all_projects and policy.everywhere(actor, permission):
        return Network.objects.all()
    return Network.objects.filter(Q(project_id=actor.project_id) | _FOR_ALL)


def _subnets(actor: Actor, permission: str, *, all_projects: bool = True) -> "QuerySet[Subnet]":
    if all_projects and policy.everywhere(actor, permission):
        return Subnet.objects.all()
    return Subnet.objects.filter(Q(project_id=actor.project_id) | Q(network__shared=True) | Q(network__external=True))


def _one(rows: "QuerySet[Network]", network_id: uuid.UUID) -> Network:
    found = rows.filter(pk=network_id).first()
    if found is None:
        raise NotFound("network.not_found", f"There is no network {network_id} in this project.", field="network_id")
    return found


def _no_subnet(subnet_id: uuid.UUID) -> NotFound:
    return NotFound("subnet.not_found", f"There is no subnet {subnet_id} in this project.", field="subnet_id")


def _require_change(actor: Actor, permission: str, network: Network) -> None:
    if policy.everywhere(actor, permission) or (network.project_id is None and policy.everywhere(actor, PROVIDE)):
        return
    policy.require(actor, permission)
    if network.project_id is None or network.project_id != actor.project_id:
        raise Forbidden(
            "network.not_yours", f"The network {network.name} is shared with your project, but not its own: only its owner changes it.",
            field="network_id",
        )
