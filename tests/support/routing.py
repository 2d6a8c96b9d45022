"""Networks, subnets and ports as rows, for tests of what routers, floating IPs and security groups make of them."""

import itertools
import secrets
import uuid
from typing import Any

from django.db import transaction

from apps.common.context import SYSTEM
from apps.identity.models import Project
from apps.network.models import FixedIP, Network, Port, Subnet
from apps.network.services import addresses, subnets

_segments = itertools.count(100_000)


def outside(*cidrs: str, is_default: bool = True, name: str = "") -> Network:
    """An external network of the operators, the default one unless there is one already."""
    network = Network.objects.create(
        project_id=None, name=name or f"outside-{uuid.uuid4().hex[:8]}", kind="host", external=True, shared=True,
        is_default=is_default and not Network.objects.filter(external=True, is_default=True).exists(),
    )
    for cidr in cidrs:
        add_subnet(network, cidr, gateway=None)
    return network


def inside(project: Project | None, *cidrs: str, name: str = "", **fields: Any) -> tuple[Network, list[Subnet]]:
    """A network with these subnets."""
    network = Network.objects.create(
        project_id=project.pk if project else None, name=name or f"net-{uuid.uuid4().hex[:8]}", segment=next(_segments), **fields
    )
    return network, [add_subnet(network, cidr) for cidr in cidrs]


def add_subnet(network: Network, cidr: str, **fields: Any) -> Subnet:
    made = subnets.plan(cidr=cidr, **fields)
    with transaction.atomic():
        subnets.insert(SYSTEM, network, made)
    return made


def plug(network: Network, *wanted: tuple[Subnet, str], project: Project | None = None, **fields: Any) -> Port:
    """A port with these addresses, which are claimed; of the network's project unless another is named."""
    octets = [0x02, *secrets.token_bytes(5)]
    port = Port.objects.create(
        network=network, project_id=project.pk if project else network.project_id, mac=":".join(f"{octet:02x}" for octet in octets),
        **{"device_kind": "instance", "device_id": uuid.uuid4(), **fields},
    )
    for subnet, address in wanted:
        with transaction.atomic():
            if address != subnet.gateway:
                addresses.take_this(subnet, address, project_id=port.project_id)
            FixedIP.objects.create(subnet=subnet, port=port, address=address)
    return port
