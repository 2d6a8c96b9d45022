"""Whether what the tables say of networks agrees with itself: for `manage.py audit`. Each line is one thing that is wrong."""

import ipaddress
import uuid
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from django.db.models import F

from apps.network import ranges
from apps.network.models import AddressSpan, FixedIP, Network, Router, RouterInterface, Subnet
from apps.network.states import DeviceKind

Spans = list[tuple[int, int]]


@dataclass(frozen=True)
class Drift:
    """One thing that is wrong, in words. `subnet_id`: whose free addresses `addresses.recount` makes anew."""

    what: str
    subnet_id: uuid.UUID | None = None

    def __str__(self) -> str:
        return self.what


def drifts() -> list[Drift]:
    """All that is wrong; to be read in one snapshot."""
    return [*_addresses(), *map(Drift, _strangers()), *map(Drift, _routers())]


def _addresses() -> Iterator[Drift]:
    """Each address of a pool is free once or taken once, and the gateway is a router's."""
    spans: dict[uuid.UUID, Spans] = defaultdict(list)
    for subnet_id, first, last in AddressSpan.objects.order_by("subnet_id", "first").values_list("subnet_id", "first", "last"):
        spans[subnet_id].append((first, last))
    taken: dict[uuid.UUID, list[str]] = defaultdict(list)
    for subnet_id, address in FixedIP.objects.values_list("subnet_id", "address"):
        taken[subnet_id].append(address)
    routed = set(RouterInterface.objects.values_list("subnet_id", flat=True))
    for subnet in Subnet.objects.order_by("pk"):
        for what in _of_subnet(subnet, spans[subnet.pk], taken[subnet.pk]):
            yield Drift(what, subnet.pk)
        if subnet.pk in routed and subnet.gateway in taken[subnet.pk]:
            yield Drift(f"subnet {subnet.cidr} ({subnet.pk}): a port has {subnet.gateway}, which is its router's")


def _of_subnet(subnet: Subnet, free: Spans, taken: list[str]) -> Iterator[str]:
    base = int(ipaddress.ip_network(subnet.cidr).network_address)
    held = sorted(int(ipaddress.ip_address(address)) - base for address in taken)
    pools = sorted(ranges.span(subnet.cidr, first, last) for first, last in subnet.pools)
    name = f"subnet {subnet.cidr} ({subnet.pk})"
    for (first, last), (start, _) in pairwise(free):
        if start <= last:
            yield f"{name}: the free addresses from {_text(base, first)} and from {_text(base, start)} overlap"
    for offset in _within(held, free):
        yield f"{name}: {_text(base, offset)} is free and taken"
    size = sum(last - first + 1 for first, last in pools)
    counted = sum(last - first + 1 for first, last in free) + sum(1 for _ in _within(held, pools))
    if counted != size:
        yield f"{name}: its pools have {size} addresses, of which {counted} are free or taken"


def _text(base: int, offset: int) -> str:
    return str(ipaddress.ip_address(base + offset))


def _within(offsets: list[int], spans: Spans) -> Iterator[int]:
    """Those of sorted offsets that are in one of the sorted spans."""
    waiting = iter(spans)
    span = next(waiting, None)
    for offset in offsets:
        while span is not None and span[1] < offset:
            span = next(waiting, None)
        if span is not None and span[0] <= offset:
            yield offset


def _strangers() -> Iterator[str]:
    """A port has addresses of its own network's subnets only; what stands for something has it."""
    for port_id, address in FixedIP.objects.exclude(subnet__network=F("port__network")).values_list("port_id", "address"):
        yield f"port {port_id}: its address {address} is of another network's subnet"
    standing = FixedIP.objects.filter(port__device_kind=DeviceKind.FLOATING_IP.value, port__floating_ip__isnull=True)
    for port_id, address in standing.values_list("port_id", "address"):
        yield f"port {port_id}: it holds {address} for a floating IP that is gone"


def _routers() -> Iterator[str]:
    """A network's router is the one that its attached subnets have, and no address is in two subnets that a router leads to."""
    served: dict[uuid.UUID, list[Subnet]] = defaultdict(list)
    of_network: dict[uuid.UUID, set[uuid.UUID]] = defaultdict(set)
    for interface in RouterInterface.objects.select_related("subnet").order_by("pk"):
        served[interface.router_id].append(interface.subnet)
        of_network[interface.subnet.network_id].add(interface.router_id)
    for network_id, name, router_id in Network.objects.order_by("pk").values_list("pk", "name", "router_id"):
        found = of_network[network_id]
        if found != ({router_id} if router_id is not None else set()):
            yield f"network {name} ({network_id}): said to have the router {router_id}, its subnets have {', '.join(map(str, found)) or 'none'}"
    outside: dict[uuid.UUID | None, list[Subnet]] = defaultdict(list)
    for subnet in Subnet.objects.filter(network__external=True).order_by("pk"):
        outside[subnet.network_id].append(subnet)
    for router in Router.objects.filter(pk__in=served).order_by("pk"):
        subnets = served[router.pk]
        for position, one in enumerate(subnets):
            for other in (*subnets[position + 1 :], *outside[router.external_network_id]):
                if ranges.overlap(one.cidr, other.cidr):
                    yield f"router {router.name} ({router.pk}): its subnets {one.cidr} and {other.cidr} overlap"
