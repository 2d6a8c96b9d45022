"""Cards: ports as the hypervisor plugs them in, with what a guest needs to set its addresses up by itself."""

import ipaddress
import uuid
from collections.abc import Collection, Iterable, Sequence

from apps.network.models import FixedIP, Network, Port, RouterInterface, Subnet
from apps.network.states import NetworkKind
from contracts.network import v2


def card(port: Port, network: Network, addresses: Sequence[tuple[Subnet, str]], *, routed: Collection[uuid.UUID] = ()) -> v2.Card:
    """One port. `addresses`: with their subnets, in order; `routed`: ids of those subnets that have a router (see `routed`)."""
    return v2.Card(
        id=str(port.pk), network=str(network.pk), mac=port.mac, mtu=network.mtu,
        addresses=[_address(network, subnet, address, subnet.pk in routed) for subnet, address in addresses],
    )


def cards(port_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, v2.Card]:
    """Port id → its card, read from the database."""
    ports = list(Port.objects.select_related("network").filter(pk__in=port_ids).order_by("pk"))
    addresses: dict[uuid.UUID, list[tuple[Subnet, str]]] = {}
    for row in FixedIP.objects.select_related("subnet").filter(port_id__in=port_ids).order_by("subnet__family", "pk"):
        addresses.setdefault(row.port_id, []).append((row.subnet, str(row.address)))
    with_router = routed({subnet.pk for each in addresses.values() for subnet, _ in each})
    return {port.pk: card(port, port.network, addresses.get(port.pk, ()), routed=with_router) for port in ports}


def routed(subnet_ids: Iterable[uuid.UUID]) -> set[uuid.UUID]:
    """Those of the subnets that have a router."""
    return set(RouterInterface.objects.filter(subnet_id__in=set(subnet_ids)).values_list("subnet_id", flat=True))


def gateway_told(kind: str, gateway: str | None, is_routed: bool) -> str:
    """What guests are told: the gateway, if anybody answers there. On a wire that may be somebody else's router."""
    return str(gateway) if gateway and (is_routed or kind in (NetworkKind.FLAT, NetworkKind.VLAN)) else ""


def _address(network: Network, subnet: Subnet, address: str, is_routed: bool) -> v2.CardAddress:
    gateway = gateway_told(network.kind, subnet.gateway, is_routed)
    return v2.CardAddress(
        address=address,
        prefix_length=ipaddress.ip_network(subnet.cidr).prefixlen,
        gateway=gateway,
        dns=list(subnet.dns) or ([gateway] if is_routed and gateway else []),
        routes=[v2.Route(destination=route["destination"], nexthop=route["nexthop"]) for route in subnet.routes],
        mode="static" if not subnet.dhcp else subnet.ipv6_mode or "dhcp",
    )
