"""Rows → contracts.network.v1."""

import ipaddress
from collections.abc import Sequence

from apps.network.models import FixedIP, Network, Port, Subnet
from contracts.network import v1


def port(port: Port, network: Network, subnet: Subnet, address: str) -> v1.Port:
    """One port with all that a host must know of its network."""
    return v1.Port(
        id=str(port.pk), mac=port.mac, address=address, prefix_length=ipaddress.IPv4Network(subnet.cidr).prefixlen,
        network=v1.Network(
            id=str(network.pk), kind=network.kind, segment=network.segment, mtu=network.mtu,
            subnet=v1.Subnet(id=str(subnet.pk), cidr=subnet.cidr, gateway=str(subnet.gateway), dns=list(subnet.dns)),
        ),
    )


def ports_of(rows: Sequence[FixedIP]) -> list[v1.Port]:
    """Ports of one device, from its addresses (with port, network and subnet joined)."""
    return [port(row.port, row.port.network, row.subnet, str(row.address)) for row in rows]
