"""The picture of a project's networks: what there is, and what is plugged into what. A constant number of queries."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q, QuerySet

from apps.common.context import Actor
from apps.hosts import selectors as hosts
from apps.identity import policy
from apps.network.models import FixedIP, FloatingIP, Network, Port, Router, RouterInterface, Subnet
from apps.network.selectors.networks import COUNTED_PORTS
from apps.network.states import DeviceKind

PERMISSION = "network.network.list"
# Networks and routers are all shown or, beyond so many, named as missing; ports come by pages.
MOST_NETWORKS = 1000
DEFAULT_PORTS, MOST_PORTS = 500, 2000


@dataclass
class Topology:
    """`nodes`: external networks, networks, routers, instances, ports that nothing has. `links`: from `source` to `target`, ids
    of nodes. `after`: id of the last port shown if there are more. `notes`: what is missing, in words."""

    nodes: list[dict[str, Any]] = field(default_factory=list)
    links: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    after: uuid.UUID | None = None


def topology(
    *, actor: Actor, project_id: uuid.UUID | None = None, all_projects: bool = False, most: int = DEFAULT_PORTS,
    after: uuid.UUID | None = None,
) -> Topology:
    """Of the actor's project, or of another one, or of all: for operators, who see hosts and segments as well.

    `most`, `after`: how many ports, and which page of them; newest first. Raises Forbidden.
    """
    policy.require(actor, PERMISSION)
    wanted = project_id or actor.project_id
    if all_projects or wanted is None or wanted != actor.project_id:
        policy.require_everywhere(actor, PERMISSION)
    shown = policy.everywhere(actor, "hosts.host.list")
    whose = Q() if all_projects or wanted is None else Q(project_id=wanted)
    found = Topology()
    ports = _ports(found, whose, most, after)
    routers = _first(found, Router.objects.filter(whose), "routers")
    networks = _networks(found, whose, ports, routers)
    _add_networks(found, networks, shown)
    _add_routers(found, routers, networks)
    _add_ports(found, ports, networks, shown)
    return found


def _ports(found: Topology, whose: Q, most: int, after: uuid.UUID | None) -> list[Port]:
    rows = Port.objects.filter(whose, device_kind__in=COUNTED_PORTS)
    if after is not None:
        rows = rows.filter(pk__lt=after)
    ports = list(rows.order_by("-pk")[: most + 1])
    if len(ports) > most:
        ports = ports[:most]
        found.after = ports[-1].pk
        found.notes.append(f"Not all: {most} ports are shown; `next` leads to more.")
    return ports


def _first(found: Topology, rows: "QuerySet[Router]", what: str) -> list[Router]:
    some = list(rows.order_by("-pk")[: MOST_NETWORKS + 1])
    if len(some) > MOST_NETWORKS:
        found.notes.append(f"Not all: the newest {MOST_NETWORKS} {what} are shown. Ask for one project.")
    return some[:MOST_NETWORKS]


def _networks(found: Topology, whose: Q, ports: Collection[Port], routers: Collection[Router]) -> dict[uuid.UUID, Network]:
    """The project's own, and those of others that its ports and routers are in."""
    used = {port.network_id for port in ports} | {router.external_network_id for router in routers if router.external_network_id}
    owned = Q(pk__in=Network.objects.filter(whose).order_by("-pk").values("pk")[: MOST_NETWORKS + 1])
    rows = list(Network.objects.filter(owned | Q(pk__in=used)).select_related("physical_network").order_by("-pk"))
    if sum(row.pk not in used for row in rows) > MOST_NETWORKS:
        found.notes.append(f"Not all: the newest {MOST_NETWORKS} networks are shown. Ask for one project.")
    return {row.pk: row for row in rows}


def _add_networks(found: Topology, networks: dict[uuid.UUID, Network], shown: bool) -> None:
    subnets: dict[uuid.UUID, list[dict[str, Any]]] = {}
    for row in Subnet.objects.filter(network_id__in=networks).order_by("family", "pk"):
        subnets.setdefault(row.network_id, []).append(
            {"id": row.pk, "name": row.name, "cidr": row.cidr, "family": row.family, "gateway": row.gateway}
        )
    for network in networks.values():
        wire = network.physical_network.name if network.physical_network is not None else None
        found.nodes.append({
            "id": network.pk, "kind": "external_network" if network.external else "network", "name": network.name,
            "project_id": network.project_id, "shared": network.shared, "network_kind": network.kind, "mtu": network.mtu,
            "segment": network.segment if shown else None, "physical_network": wire if shown else None,
            "subnets": subnets.get(network.pk, []),
        })


def _add_routers(found: Topology, routers: Collection[Router], networks: dict[uuid.UUID, Network]) -> None:
    known = {router.pk for router in routers}
    for router in routers:
        found.nodes.append({
            "id": router.pk, "kind": "router", "name": router.name, "project_id": router.project_id, "admin_up": router.admin_up,
            "snat": router.snat,
        })
        if router.external_network_id in networks:
            found.links.append({"kind": "way_out", "source": router.pk, "target": router.external_network_id})
    for interface in RouterInterface.objects.filter(router_id__in=known).select_related("subnet").order_by("pk"):
        subnet = interface.subnet
        if subnet.network_id in networks:
            found.links.append({
                "kind": "interface", "source": interface.router_id, "target": subnet.network_id, "subnet_id": subnet.pk,
                "addresses": [subnet.gateway] if subnet.gateway else [],
            })


def _add_ports(found: Topology, ports: Collection[Port], networks: dict[uuid.UUID, Network], shown: bool) -> None:
    ids = [port.pk for port in ports]
    addresses: dict[uuid.UUID, list[str]] = {}
    floating: dict[uuid.UUID, list[str]] = {}
    for port_id, address in FixedIP.objects.filter(port_id__in=ids).order_by("pk").values_list("port_id", "address"):
        addresses.setdefault(port_id, []).append(str(address))
    ties = FloatingIP.objects.filter(fixed_ip__port_id__in=ids).order_by("pk")
    for tied, address in ties.values_list("fixed_ip__port_id", "address"):
        if tied is not None:
            floating.setdefault(tied, []).append(str(address))
    names = hosts.names(port.host_id for port in ports if port.host_id) if shown else {}
    instances: set[uuid.UUID] = set()
    for port in ports:
        has_it = port.device_id if port.device_kind == DeviceKind.INSTANCE else None
        where = {"host_id": port.host_id, "host_name": names.get(port.host_id)} if shown and port.host_id else {}
        if has_it is None:
            found.nodes.append({"id": port.pk, "kind": "port", "name": port.name, "project_id": port.project_id})
        elif has_it not in instances:
            instances.add(has_it)
            found.nodes.append({"id": has_it, "kind": "instance", "name": port.dns_name, "project_id": port.project_id, **where})
        if port.network_id in networks:
            found.links.append({
                "kind": "port", "source": has_it or port.pk, "target": port.network_id, "port_id": port.pk, "mac": port.mac,
                "admin_up": port.admin_up, "addresses": addresses.get(port.pk, []), "floating_ips": floating.get(port.pk, []),
            })
