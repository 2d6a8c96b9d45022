"""Rows of ports: their addresses chosen and claimed, inserted many at once, and taken away. What may be is decided by others."""

import secrets
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from django.db import DEFAULT_DB_ALIAS

from apps.common.errors import CloudError, Conflict, Invalid, NoCapacity
from apps.common.sql import insert_rows
from apps.network import ranges
from apps.network.models import FixedIP, Network, Port, PortGroup, Subnet
from apps.network.services import addresses
from apps.network.states import DeviceKind, Ipv6Mode


@dataclass(frozen=True)
class Fixed:
    """An address of a port, and the subnet that it is in."""

    subnet: Subnet
    address: str


@dataclass(frozen=True)
class Claimed:
    """A port that was claimed, with its addresses."""

    port: Port
    network: Network
    fixed: tuple[Fixed, ...]

    @property
    def addresses(self) -> list[str]:
        return [each.address for each in self.fixed]

    @property
    def routed(self) -> set[uuid.UUID]:
        """Those of its subnets that a router serves; for subnets that were read with their `interface`."""
        return {each.subnet.pk for each in self.fixed if getattr(each.subnet, "interface", None) is not None}


@dataclass(frozen=True)
class Asked:
    """An address that somebody wants: exactly this one, or any of a subnet. `field`: where that stands in what was sent."""

    address: str = ""
    subnet_id: uuid.UUID | None = None
    field: str = "address"


@dataclass(frozen=True)
class Need:
    """What a new port needs: what is asked for and, with `others`, one address of each other family of its network."""

    subnets: Sequence[Subnet]
    mac: str
    project_id: uuid.UUID | None
    asked: tuple[Asked, ...] = ()
    others: bool = True


@dataclass
class _Place:
    """One address to be found for one need, in the first of these subnets that has room."""

    need: int
    mac: str
    subnets: list[Subnet]
    tried: int = 0


def allot(needs: Sequence[Need], *, patient: bool) -> list[tuple[Fixed, ...]]:
    """Claim addresses for all of these ports, in a few statements, or for none of them.

    Raises NoCapacity `network.full`, Conflict `address.taken`, Invalid `address.…`; what was claimed is put back then. Unless
    `patient`, also `addresses.Busy`: see `addresses.decided`.
    """
    if patient:
        addresses.queue_up({subnet for need in needs for subnet in need.subnets})
    found: list[list[Fixed]] = [[] for _ in needs]
    taken: dict[Subnet, list[str]] = defaultdict(list)
    try:
        _take_asked(needs, found, taken)
        waiting = _places(needs, found)
        while waiting:
            waiting = _take_any(waiting, found, taken, patient=patient)
    except CloudError:
        addresses.put_back(taken)
        raise
    return [tuple(sorted(each, key=lambda fixed: fixed.subnet.family)) for each in found]


def address_in(subnets: Sequence[Subnet], address: str, *, field: str) -> str:
    """An address that is to be asked for later, in its usual spelling. Raises Invalid, Conflict (the gateway's)."""
    return addresses.usable(_subnet_with(subnets, address, field), address, field=field)


def insert(claimed: Sequence[Claimed], groups: Mapping[uuid.UUID, Collection[uuid.UUID]]) -> None:
    """New ports with their addresses; port id → the security groups that it is in."""
    insert_rows([each.port for each in claimed])
    insert_rows([FixedIP(subnet=each.subnet, port=c.port, address=each.address) for c in claimed for each in c.fixed])
    insert_rows([PortGroup(port_id=port_id, group_id=group_id) for port_id, joined in groups.items() for group_id in joined])


def remove(port_ids: Collection[uuid.UUID], *, rest: bool = True) -> None:
    """Delete ports (locked by the caller) with all that is theirs. Their addresses rest, unless nobody can have seen them."""
    if port_ids:
        addresses.free_of(port_ids, rest=rest)
        # Plain deletes instead of the collector's selects and cascades.
        PortGroup.objects.filter(port_id__in=port_ids)._raw_delete(DEFAULT_DB_ALIAS)
        Port.objects.filter(pk__in=port_ids)._raw_delete(DEFAULT_DB_ALIAS)


def claim_special(
    *, network: Network, device_kind: DeviceKind, device_id: uuid.UUID, project_id: uuid.UUID | None, address: str = "",
    family: int | None = None,
) -> Port:
    """A port that stands for addresses which no guest has: this one, or one of this family, or of each that the network has.

    Raises NoCapacity, Conflict, Invalid as `allot`.
    """
    subnets = [each for each in network.subnets.order_by("family", "id") if family in (None, each.family)]
    if not subnets:
        raise NoCapacity("network.full", f"The network {network.name} has no subnet that addresses could come from.")
    port = Port(
        network=network, project_id=project_id, mac=new_mac(), device_kind=device_kind.value, device_id=device_id, port_security=False,
    )
    asked = (Asked(address),) if address else ()

    def claim(patient: bool) -> Port:
        (fixed,) = allot([Need(subnets, port.mac, project_id, asked, others=not address)], patient=patient)
        insert([Claimed(port, network, fixed)], {})
        return port

    return addresses.decided(claim)


def new_mac() -> str:
    """Locally administered, unicast, 40 random bits."""
    return "02:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(5))


def _take_asked(needs: Sequence[Need], found: list[list[Fixed]], taken: dict[Subnet, list[str]]) -> None:
    """In one order, so that two who want the same addresses wait for each other in one direction only."""
    exact = [
        (_subnet_of(need, asked), asked, number) for number, need in enumerate(needs) for asked in need.asked if asked.address
    ]
    for subnet, asked, number in sorted(exact, key=lambda each: (each[0].pk, each[1].address)):
        wanted = str(ranges.parse_address(asked.address, field=asked.field, code="address.invalid"))
        if wanted in taken[subnet]:
            raise Conflict("address.taken", f"{wanted} is asked for twice.", field=asked.field, holder="port")
        claimed = addresses.take_this(subnet, wanted, project_id=needs[number].project_id, field=asked.field)
        taken[subnet].append(claimed)
        found[number].append(Fixed(subnet, claimed))


def _places(needs: Sequence[Need], found: list[list[Fixed]]) -> list[_Place]:
    """The addresses that are still to be found."""
    places = []
    for number, need in enumerate(needs):
        named = [_subnet_of(need, asked) for asked in need.asked if not asked.address]
        places += [_Place(number, need.mac, [subnet]) for subnet in named]
        if need.others:
            has = {each.subnet.family for each in found[number]} | {subnet.family for subnet in named}
            families: dict[int, list[Subnet]] = {}
            for subnet in need.subnets:
                families.setdefault(subnet.family, []).append(subnet)
            places += [_Place(number, need.mac, subnets) for family, subnets in families.items() if family not in has]
    return places


def _take_any(
    places: Iterable[_Place], found: list[list[Fixed]], taken: dict[Subnet, list[str]], *, patient: bool
) -> list[_Place]:
    """One try for each; those whose subnet has none are to be tried in the next one. Raises NoCapacity, Busy if there is no next."""
    waiting: dict[Subnet, list[_Place]] = {}
    for place in places:
        subnet = place.subnets[place.tried]
        if subnet.ipv6_mode == Ipv6Mode.SLAAC:
            found[place.need].append(Fixed(subnet, addresses.made_of(subnet, place.mac)))
        else:
            waiting.setdefault(subnet, []).append(place)
    claimed = addresses.take({subnet: len(group) for subnet, group in waiting.items()}, patient=patient) if waiting else {}
    left = []
    for subnet, group in waiting.items():
        taken[subnet].extend(claimed[subnet.pk])
        for place, address in zip(group, claimed[subnet.pk], strict=False):
            found[place.need].append(Fixed(subnet, address))
        left += group[len(claimed[subnet.pk]) :]
    for place in left:
        place.tried += 1
        if place.tried == len(place.subnets):
            if not patient and any(addresses.room(subnet).free for subnet in place.subnets):
                raise addresses.Busy("network.contended", "Others are claiming the last addresses of this network; try again.")
            asked = sum(each.subnets == place.subnets for each in left)
            addresses.put_back(taken)
            taken.clear()
            raise _full(place.subnets, asked + sum(each.subnet in place.subnets for fixed in found for each in fixed))
    return left


def _subnet_of(need: Need, asked: Asked) -> Subnet:
    """Raises Invalid."""
    if asked.subnet_id is None:
        return _subnet_with(need.subnets, asked.address, asked.field)
    for subnet in need.subnets:
        if subnet.pk == asked.subnet_id:
            return subnet
    raise Invalid("address.subnet", f"The network has no subnet {asked.subnet_id}.", field=asked.field)


def _subnet_with(subnets: Sequence[Subnet], address: str, field: str) -> Subnet:
    wanted = ranges.parse_address(address, field=field, code="address.invalid")
    for subnet in subnets:
        if wanted in ip_network(subnet.cidr):
            return subnet
    cidrs = [subnet.cidr for subnet in subnets]
    raise Invalid(
        "address.outside", f"{wanted} is in no subnet of the network, which has {', '.join(cidrs) or 'none'}.", field=field, cidrs=cidrs
    )


def _full(subnets: Sequence[Subnet], asked: int) -> NoCapacity:
    rooms = [addresses.room(subnet) for subnet in subnets]
    free, resting, size = (sum(getattr(room, name) for room in rooms) for name in ("free", "resting", "size"))
    rest = f"; {resting} more were freed just now and rest for a while" if resting else ""
    what = f"The subnet {subnets[0].cidr} has" if len(subnets) == 1 else f"The subnets {', '.join(each.cidr for each in subnets)} have"
    return NoCapacity(
        "network.full", f"{what} {free} free address(es), {asked} asked{rest}.",
        free=free, asked=asked, size=size, resting=resting,
    )
