"""A host's own addresses on external networks: claimed when a router that leads there first comes to the host, freed when the
last has gone. All inside the transaction that tells the host."""

import ipaddress
import logging
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from apps.common.errors import CloudError
from apps.network.models import FixedIP, HostNetwork, Network, Port, Router
from apps.network.payloads.objects import Lead
from apps.network.services import port_rows
from apps.network.services.messages import needs_address
from apps.network.services.views import View
from apps.network.states import DeviceKind
from contracts.network import v2

log = logging.getLogger(__name__)


@dataclass
class Ways:
    """Host id → external network → how it leaves there; and what it lacks for others, as problems."""

    out: dict[str, dict[str, v2.WayOut]] = field(default_factory=dict)
    lacking: dict[str, list[dict[str, str]]] = field(default_factory=dict)


def ways_out(rows: Collection[HostNetwork], wanted: Mapping[str, Collection[Lead]]) -> Ways:
    """`wanted`: host id → routers that it is to be told of. What a host lacks, it goes without, and the operator is told."""
    asked = {
        host_id: {lead.out.id: lead.out for lead in leads if lead.out is not None and needs_address(lead)}
        for host_id, leads in wanted.items()
    }
    asked = {host_id: networks for host_id, networks in asked.items() if networks}
    ways = Ways()
    if not asked:
        return ways
    held = _held(asked)
    ids = {network_id for networks in asked.values() for network_id in networks}
    networks = {str(pk): network for pk, network in Network.objects.in_bulk(list(ids)).items()}
    missing = []
    for row in sorted(rows, key=lambda row: str(row.pk)):
        host_id = str(row.pk)
        for network_id, out in asked.get(host_id, {}).items():
            if (host_id, network_id) in held or network_id not in networks:
                continue
            problem = _no_wire(row, out) or _claim(row, networks[network_id])
            if problem:
                ways.lacking.setdefault(host_id, []).append(problem)
            else:
                missing.append(host_id)
    if missing:
        held |= _held(missing)
    for host_id, outs in asked.items():
        ways.out[host_id] = {
            network_id: _way_out(out, held[host_id, network_id]) for network_id, out in outs.items() if (host_id, network_id) in held
        }
    return ways


def free(views: Mapping[str, View]) -> None:
    """Give back what these hosts need no more; `views`: host id → what it knows now."""
    ports = list(
        Port.objects.filter(device_kind=DeviceKind.HOST_GATEWAY.value, device_id__in=list(views)).values_list(
            "pk", "device_id", "network_id"
        )
    )
    if not ports:
        return
    routers = {router for view in views.values() for router in view.routers}
    leads = Router.objects.filter(pk__in=routers, external_network_id__isnull=False).values_list("pk", "external_network_id")
    outside = {str(pk): external for pk, external in leads}
    kept = {(host_id, outside[router]) for host_id, view in views.items() for router in view.routers if router in outside}
    port_rows.remove([pk for pk, host_id, network_id in ports if (str(host_id), network_id) not in kept])


def _no_wire(row: HostNetwork, out: v2.Network) -> dict[str, str] | None:
    if out.physical and out.physical not in row.physical_networks:
        return _problem("wire.missing", f"It is not plugged into {out.physical}, so routers have no way out there.", out.id)
    return None


def _claim(row: HostNetwork, network: Network) -> dict[str, str] | None:
    try:
        with transaction.atomic():
            port_rows.claim_special(
                network=network, device_kind=DeviceKind.HOST_GATEWAY, device_id=row.pk, project_id=None
            )
    except CloudError as error:
        log.warning("host %s gets no address on external network %s: %s", row.host_name, network.name, error)
        return _problem(error.code, f"No address on the external network {network.name} for this host: {error}", str(network.pk))
    return None


def _problem(code: str, message: str, about: str) -> dict[str, str]:
    return {"code": code, "message": message, "object": about}


Held = dict[tuple[str, str], tuple[str, list[tuple[str, str, Any]]]]


def _held(host_ids: Collection[str]) -> Held:
    """(host id, network id) → MAC, and (address, CIDR, gateway) of each address."""
    ports = Port.objects.filter(device_kind=DeviceKind.HOST_GATEWAY.value, device_id__in=[uuid.UUID(each) for each in host_ids])
    found: Held = {}
    of: dict[uuid.UUID, tuple[str, str]] = {}
    for pk, host_id, network_id, mac in ports.values_list("pk", "device_id", "network_id", "mac"):
        of[pk] = str(host_id), str(network_id)
        found[of[pk]] = mac, []
    rows = FixedIP.objects.filter(port_id__in=of).order_by("subnet__family", "pk")
    for port_id, address, cidr, gateway in rows.values_list("port_id", "address", "subnet__cidr", "subnet__gateway"):
        found[of[port_id]][1].append((str(address), cidr, gateway))
    return found


def _way_out(out: v2.Network, held: tuple[str, list[tuple[str, str, Any]]]) -> v2.WayOut:
    mac, addresses = held
    gateways: dict[int, str] = {}
    for address, _, gateway in addresses:
        if gateway:
            gateways.setdefault(ipaddress.ip_address(address).version, str(gateway))
    return v2.WayOut(
        network=out, mac=mac, gateways=list(gateways.values()),
        addresses=[f"{address}/{ipaddress.ip_network(cidr).prefixlen}" for address, cidr, _ in addresses],
    )
