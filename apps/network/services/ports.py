"""Ports with their MACs and addresses: claimed and freed inside the caller's transaction."""

import ipaddress
import random
import secrets
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from django.db import IntegrityError, transaction

from apps.common.errors import Conflict, NoCapacity, QuotaExceeded
from apps.common.sql import insert_rows
from apps.network.models import FixedIP, Network, Port, Subnet
from apps.quotas.services import reservations

_TRIES = 20
_random = random.SystemRandom()


@dataclass(frozen=True)
class Wish:
    """A port that an instance needs."""

    device_id: uuid.UUID
    project_id: uuid.UUID
    network_id: uuid.UUID


@dataclass(frozen=True)
class Claimed:
    """A port that was claimed."""

    port: Port
    network: Network
    subnet: Subnet
    address: str


def claim(wishes: Sequence[Wish]) -> dict[uuid.UUID, list[Claimed]]:
    """Ports for many devices at once, all or none; device id → its ports. Raises what `draw` raises, QuotaExceeded."""
    with transaction.atomic():
        claimed = draw(wishes)
        for error in charge(claimed).values():
            raise error
    return claimed


def draw(wishes: Sequence[Wish]) -> dict[uuid.UUID, list[Claimed]]:
    """The same without counting them: `charge` must follow in the same transaction.

    Raises NoCapacity `network.full`, Conflict; NotFound never: a network that vanished counts as full.
    """
    claimed: dict[uuid.UUID, list[Claimed]] = {wish.device_id: [] for wish in wishes}
    by_network: dict[uuid.UUID, list[Wish]] = {}
    for wish in wishes:
        by_network.setdefault(wish.network_id, []).append(wish)
    subnets = {subnet.network_id: subnet for subnet in Subnet.objects.select_related("network").filter(network_id__in=by_network)}
    with transaction.atomic() if len(by_network) > 1 else nullcontext():
        for network_id, group in by_network.items():
            if network_id not in subnets:
                raise NoCapacity("network.full", "The network is gone or has no subnet.")
            for each in _draw_in(subnets[network_id], group):
                claimed[each.port.device_id].append(each)
    return claimed


def charge(drawn: Mapping[uuid.UUID, Sequence[Claimed]]) -> dict[uuid.UUID, QuotaExceeded]:
    """Count ports that were drawn in this transaction. Devices whose project may have no more lose theirs: device id → why."""
    asked = {device_id: claimed for device_id, claimed in drawn.items() if claimed}
    wishes = [reservations.Wish(claimed[0].port.project_id, {"ports": len(claimed)}) for claimed in asked.values()]
    verdicts = zip(asked, reservations.reserve_each(wishes), strict=True)
    refused = {device_id: error for device_id, error in verdicts if error is not None}
    _delete([each.port.pk for device_id in refused for each in asked[device_id]])
    return refused


def release(device_ids: Iterable[uuid.UUID]) -> None:
    """Free the ports and addresses of these devices. None is no error."""
    with transaction.atomic(savepoint=False):
        # Locked, so that whoever does the same at this moment finds none, and they are given back once.
        held = Port.objects.select_for_update().filter(device_id__in=set(device_ids)).order_by("pk")
        freed = dict(held.values_list("pk", "project_id"))
        _delete(list(freed))
        reservations.release_many({project_id: {"ports": count} for project_id, count in Counter(freed.values()).items()})


def _delete(port_ids: Sequence[uuid.UUID]) -> None:
    if port_ids:
        # Two plain deletes instead of the collector's select and cascade.
        FixedIP.objects.filter(port_id__in=port_ids)._raw_delete("default")
        Port.objects.filter(pk__in=port_ids)._raw_delete("default")


def _draw_in(subnet: Subnet, wishes: Sequence[Wish]) -> list[Claimed]:
    for _ in range(_TRIES):
        # In order, so that two that want some of the same addresses wait for each other in one direction only.
        addresses = sorted(_free_addresses(subnet, len(wishes)))
        ports = [Port(network_id=subnet.network_id, project_id=w.project_id, device_id=w.device_id, mac=_new_mac()) for w in wishes]
        try:
            with transaction.atomic():
                insert_rows(ports)
                insert_rows([FixedIP(subnet=subnet, port=p, address=a) for p, a in zip(ports, addresses, strict=True)])
        except IntegrityError:
            continue  # another one took an address (or, once in an age, a MAC) at this very moment
        return [Claimed(port, subnet.network, subnet, address) for port, address in zip(ports, addresses, strict=True)]
    raise Conflict("network.contended", "Addresses of this network are being claimed faster than they are found; try again.")


def _free_addresses(subnet: Subnet, count: int) -> list[str]:
    """Addresses that are free now: a few drawn at random, or, in a crowded range, all of it looked through.

    Raises NoCapacity.
    """
    first, last = int(ipaddress.IPv4Address(subnet.pool_start)), int(ipaddress.IPv4Address(subnet.pool_end))
    size = last - first + 1
    drawn = _random.sample(range(first, last + 1), min(size, 4 * count + 4))
    found = _untaken(subnet, [str(ipaddress.IPv4Address(value)) for value in drawn])
    if len(found) < count:
        taken = set(FixedIP.objects.filter(subnet=subnet).values_list("address", flat=True))
        found = [text for value in range(first, last + 1) if (text := str(ipaddress.IPv4Address(value))) not in taken]
        if len(found) < count:
            raise NoCapacity(
                "network.full", f"The subnet {subnet.cidr} has {len(found)} free address(es), {count} asked.",
                free=len(found), asked=count, size=size,
            )
        found = _random.sample(found, count)
    return found[:count]


def _untaken(subnet: Subnet, addresses: list[str]) -> list[str]:
    taken = set(FixedIP.objects.filter(subnet=subnet, address__in=addresses).values_list("address", flat=True))
    return [address for address in addresses if address not in taken]


def _new_mac() -> str:
    """Locally administered, unicast, 40 random bits."""
    return "02:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(5))
