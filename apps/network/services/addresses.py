"""IPAM: addresses are claimed out of spans of free ones, and go back into spans, inside the caller's transaction.

Locks: the subnet's row first (shared; whoever changes its pools has it alone), then spans. Claims pass over spans that
others hold, so they run side by side; only when nothing else is left do they wait for each other, see `decided`.
"""

import ipaddress
import uuid
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import TypeVar

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection, transaction
from django.db.models import BigIntegerField, Case, F, QuerySet, Sum, UUIDField, When

from apps.common import clock
from apps.common.errors import Conflict, Invalid, NotFound
from apps.common.sql import fetch_prepared, insert_rows, update_rows, values_table
from apps.network import ranges
from apps.network.models import AddressSpan, FixedIP, Subnet
from apps.network.states import DeviceKind, Ipv6Mode

T = TypeVar("T")
Ranges = list[tuple[int, int]]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# A pool begins as so many spans; those of a large one are short but for the last, so that addresses stay near its start.
_SPANS, _LONGEST = 64, 2**16
_ROUNDS = 50
# What is free is so since a little while ago: whoever waits for a span that another one has just shortened must still find
# it free by the clock of its own question.
_AGO = timedelta(minutes=1)
_SPAN, _SUBNET = AddressSpan._meta.db_table, Subnet._meta.db_table


@dataclass(frozen=True)
class Room:
    """How many addresses of a subnet can be given now, how many rest, and how many its pools have."""

    free: int
    resting: int
    size: int


def open_pools(subnet: Subnet) -> None:
    """Make the addresses of a new subnet's pools free. Guests make their own in a SLAAC subnet, so it has none to give."""
    since = clock.now() - _AGO
    insert_rows([_span(subnet.pk, first, last, since) for first, last in _cut(_pool_ranges(subnet, subnet.pools))])


def reshape(subnet: Subnet, pools: Sequence[Sequence[str]]) -> None:
    """What is free becomes what `pools` ([[first, last], …]) have and nobody holds; the caller stores them in the subnet.

    Addresses that are held and not in a pool any more stay with their ports. The subnet's row is locked by this.
    """
    Subnet.objects.select_for_update().get(pk=subnet.pk)
    now, base = clock.now(), _base(subnet.cidr)
    spans = list(AddressSpan.objects.filter(subnet_id=subnet.pk))
    taken = [_offset(base, address) for address in FixedIP.objects.filter(subnet_id=subnet.pk).values_list("address", flat=True)]
    free = _without(_pool_ranges(subnet, pools), [(offset, offset) for offset in taken])
    resting = [span for span in spans if span.rests_until > now]
    kept = [
        _span(subnet.pk, first, last, span.rests_until)
        for span in resting for first, last in _within(free, span.first, span.last)
    ]
    AddressSpan.objects.filter(subnet_id=subnet.pk)._raw_delete(DEFAULT_DB_ALIAS)
    rest = _without(free, [(span.first, span.last) for span in kept])
    insert_rows([*kept, *(_span(subnet.pk, first, last, now - _AGO) for first, last in _cut(rest))])


@transaction.atomic
def recount(subnet_id: uuid.UUID) -> None:
    """For the audit: what is free in a subnet is made anew from its pools and what is held."""
    subnet = Subnet.objects.select_for_update().filter(pk=subnet_id).first()
    if subnet is not None:
        reshape(subnet, subnet.pools)


class Busy(Conflict):
    """There is not enough that nobody else is about to take, and those may let go of it: see `decided`."""


def decided(work: Callable[[bool], T]) -> T:
    """What `work(patient)` returns, in a transaction (or savepoint) of its own: without patience, and then with it if need be.

    Whoever is patient waits for others, and so must hold no addresses itself: two would wait for each other for ever.
    """
    try:
        with transaction.atomic():
            return work(False)
    except Busy:
        with transaction.atomic():
            return work(True)


def take(asked: Mapping[Subnet, int], *, patient: bool = False) -> dict[uuid.UUID, list[str]]:
    """Claim so many addresses of each subnet, or as many as can be had; subnet id → addresses. A few statements however many.

    Without patience what others hold is passed over, so there may be more than was found; with it there is not. One patient
    transaction at a time looks into a subnet. Raises Conflict `network.contended` if others take and free faster than we look.
    """
    found: dict[uuid.UUID, list[str]] = {subnet.pk: [] for subnet in asked}
    missing = {subnet.pk: count for subnet, count in asked.items() if count}
    bases = {subnet.pk: _base(subnet.cidr) for subnet in asked}
    most = {key: 1 + count // 16 for key, count in missing.items()}  # not all spans at once: others want some, too
    wait = False
    for _ in range(_ROUNDS):
        picked = _pick(most, wait=wait)
        for subnet_id, offset, count in _consume(picked, missing):
            found[subnet_id].extend(str(bases[subnet_id] + each) for each in range(offset, offset + count))
        if wait and not picked:
            missing = {key: count for key, count in missing.items() if _count(key)[0]}
        spans = Counter(span.subnet_id for span in picked)
        if not patient:
            # Where fewer spans were found than looked for, others hold the rest, if there is any.
            missing = {key: count for key, count in missing.items() if spans[key] == most[key]}
        if not missing:
            return found
        wait = any(spans[key] < most[key] for key in missing)
        most = dict(missing)
    raise Conflict("network.contended", "Addresses of this network are being claimed faster than they are found; try again.")


def take_this(subnet: Subnet, address: str, *, project_id: uuid.UUID | None, field: str = "address") -> str:
    """Claim an address that was asked for, resting or not, in the pools or not; in its usual spelling.

    The caller inserts it; one outside of the pools may be lost to somebody else then (IntegrityError).
    Raises Invalid, Conflict `address.taken` (facts: holder; port_id if it is of the same project).
    """
    text = usable(subnet, address, field=field)
    offset = _offset(_base(subnet.cidr), text)
    if (held := _held([subnet.pk]).get(subnet.pk)) is None:
        raise NotFound("subnet.not_found", f"The subnet {subnet.cidr} was deleted at this moment.", field=field)
    pools = _pool_ranges(subnet, held.pools)
    for _ in range(_ROUNDS):
        if _split_at(subnet.pk, offset):
            return text
        holder = FixedIP.objects.select_related("port").filter(subnet_id=subnet.pk, address=text).first()
        if holder is not None:
            raise _taken(text, holder, project_id, field)
        if not _within(pools, offset, offset):
            return text
    raise Conflict("network.contended", f"{text} is being claimed and freed by others; try again.", field=field)


def put_back(taken: Mapping[Subnet, Iterable[str]]) -> None:
    """Addresses that this transaction has taken and nobody has had: they can be given again at once."""
    since = clock.now() - _AGO
    insert_rows([span for subnet, addresses in taken.items() for span in _freed(subnet, addresses, since)])


def free_of(port_ids: Collection[uuid.UUID], *, rest: bool = True) -> None:
    """Delete the addresses of these ports (locked by the caller). They rest, unless nobody can have seen them."""
    if port_ids:
        _free(FixedIP.objects.filter(port_id__in=list(port_ids)), rest=rest)


def free(fixed_ips: Collection[FixedIP]) -> None:
    """Delete some addresses of ports (locked by the caller) that keep others."""
    if fixed_ips:
        _free(FixedIP.objects.filter(pk__in=[row.pk for row in fixed_ips]), rest=True)


def queue_up(subnets: Iterable[Subnet]) -> None:
    """Be the only patient transaction in these subnets until the end of it; claims without patience go on."""
    ids = [subnet.pk for subnet in subnets]
    list(Subnet.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk").values_list("pk", flat=True))


def room(subnet: Subnet) -> Room:
    """For refusals and for people."""
    free_now, resting = _count(subnet.pk)
    return Room(free_now, resting, sum(last - first + 1 for first, last in _pool_ranges(subnet, subnet.pools)))


def made_of(subnet: Subnet, mac: str) -> str:
    """The address that a guest with this MAC makes for itself in a SLAAC subnet (modified EUI-64)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    interface = bytes([octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]])
    return str(_base(subnet.cidr) + int.from_bytes(interface, "big"))


# Spans.


def _pick(most: Mapping[uuid.UUID, int], *, wait: bool) -> list[AddressSpan]:
    """Up to so many spans of each subnet, locked; those that others hold are passed over, or waited for."""
    now = clock.now()
    if connection.vendor != "postgresql":
        return [
            span for key in sorted(most)
            for span in AddressSpan.objects.filter(subnet_id=key, rests_until__lte=now).order_by("rests_until", "id")[: most[key]]
        ]
    parameters = [value for key in sorted(most) for value in (key, most[key])]
    rows = fetch_prepared(_picking(len(most), wait), [*parameters, now])
    return [AddressSpan(id=row[0], subnet_id=row[1], first=row[2], last=row[3], rests_until=row[4]) for row in rows]


@lru_cache(maxsize=64)
def _picking(count: int, wait: bool) -> str:
    values, _ = values_table((UUIDField(), BigIntegerField()), [(uuid.UUID(int=0), 0)] * count)
    return (
        f"WITH asked(id, most) AS ({values}), held AS MATERIALIZED (SELECT s.id, asked.most FROM asked "
        f"JOIN {_SUBNET} s ON s.id = asked.id ORDER BY s.id FOR KEY SHARE OF s) "
        "SELECT p.id, held.id, p.first, p.last, p.rests_until FROM held CROSS JOIN LATERAL ("
        f"SELECT id, first, last, rests_until FROM {_SPAN} WHERE subnet_id = held.id AND rests_until <= %s "
        f"ORDER BY rests_until, id LIMIT held.most FOR UPDATE{'' if wait else ' SKIP LOCKED'}) p"
    )


def _consume(picked: Iterable[AddressSpan], missing: dict[uuid.UUID, int]) -> list[tuple[uuid.UUID, int, int]]:
    """Take from these spans what is missing, and count that down; (subnet id, first offset, how many)."""
    used_up, shorter, taken = [], [], []
    since = clock.now() - _AGO
    for span in picked:
        needed = missing.get(span.subnet_id, 0)
        if not needed:
            continue
        count = min(needed, span.last - span.first + 1)
        taken.append((span.subnet_id, span.first, count))
        if count == needed:
            del missing[span.subnet_id]
        else:
            missing[span.subnet_id] -= count
        if span.first + count > span.last:
            used_up.append(span.pk)
        else:
            span.first += count
            span.rests_until = since
            shorter.append(span)
    if used_up:
        AddressSpan.objects.filter(pk__in=used_up)._raw_delete(DEFAULT_DB_ALIAS)
    update_rows(shorter, ["first", "rests_until"])
    return taken


def _split_at(subnet_id: uuid.UUID, offset: int) -> bool:
    """Take one offset out of the span that has it; False if none has it (as far as can be seen now)."""
    below = AddressSpan.objects.select_for_update().filter(subnet_id=subnet_id, first__lte=offset)
    span = below.order_by("-first").first()
    if span is None or span.last < offset:
        return False
    left, right = (span.first, offset - 1), (offset + 1, span.last)
    if left[0] > left[1]:
        AddressSpan.objects.filter(pk=span.pk)._raw_delete(DEFAULT_DB_ALIAS)
    else:
        AddressSpan.objects.filter(pk=span.pk).update(last=left[1])
    if right[0] <= right[1]:
        insert_rows([_span(subnet_id, *right, span.rests_until)])
    return True


def _free(rows: "QuerySet[FixedIP]", *, rest: bool) -> None:
    """Delete these, and make spans of those that are in a pool."""
    found = list(rows.values_list("pk", "subnet_id", "address"))
    if not found:
        return
    subnets = _held({subnet_id for _, subnet_id, _ in found})
    FixedIP.objects.filter(pk__in=[pk for pk, _, _ in found])._raw_delete(DEFAULT_DB_ALIAS)
    by_subnet: dict[uuid.UUID, list[str]] = {}
    for _, subnet_id, address in found:
        by_subnet.setdefault(subnet_id, []).append(address)
    until = clock.after(settings.ENV.address_rest_s) if rest else clock.now() - _AGO
    insert_rows([span for key, addresses in by_subnet.items() for span in _freed(subnets[key], addresses, until)])


def _held(subnet_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Subnet]:
    """Subnets, locked together with others against those who delete them or change their pools: only what matters here."""
    columns = ("id", "family", "cidr", "pools", "ipv6_mode")
    if connection.vendor != "postgresql":
        return Subnet.objects.only(*columns).in_bulk(list(subnet_ids))
    rows = fetch_prepared(
        f"SELECT {', '.join(columns)} FROM {_SUBNET} WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE", [list(subnet_ids)], binary=True
    )
    return {row[0]: Subnet(**dict(zip(columns, row, strict=True))) for row in rows}


def _freed(subnet: Subnet, addresses: Iterable[str], until: datetime) -> list[AddressSpan]:
    base, pools = _base(subnet.cidr), _pool_ranges(subnet, subnet.pools)
    offsets = sorted(_offset(base, address) for address in addresses)
    runs = [piece for first, last in _runs(offsets) for piece in _within(pools, first, last)]
    return [_span(subnet.pk, first, last, until) for first, last in runs]


def _span(subnet_id: uuid.UUID, first: int, last: int, rests_until: datetime) -> AddressSpan:
    return AddressSpan(subnet_id=subnet_id, first=first, last=last, rests_until=rests_until)


def _count(subnet_id: uuid.UUID) -> tuple[int, int]:
    """(to be given now, resting)."""
    size = F("last") - F("first") + 1
    found = AddressSpan.objects.filter(subnet_id=subnet_id).aggregate(
        free=Sum(Case(When(rests_until__lte=clock.now(), then=size), default=0)), all=Sum(size)
    )
    return int(found["free"] or 0), int(found["all"] or 0) - int(found["free"] or 0)


# Arithmetic: offsets from the first address of the subnet, ranges with both ends included.


def _base(cidr: str) -> Address:
    return ipaddress.ip_network(cidr).network_address


def _offset(base: Address, address: str) -> int:
    return int(ipaddress.ip_address(address)) - int(base)


def _pool_ranges(subnet: Subnet, pools: Sequence[Sequence[str]]) -> Ranges:
    if subnet.ipv6_mode == Ipv6Mode.SLAAC:
        return []
    base = _base(subnet.cidr)
    return sorted((_offset(base, first), _offset(base, last)) for first, last in pools)


def _cut(pools: Ranges) -> Ranges:
    """Ranges in pieces, `_SPANS` or so."""
    pieces = []
    total = sum(last - first + 1 for first, last in pools)
    for first, last in pools:
        size = last - first + 1
        count = min(size, max(1, _SPANS * size // total))
        length = min(size // count, _LONGEST)
        starts = [first + number * length for number in range(count)]
        pieces += [(start, start + length - 1) for start in starts[:-1]] + [(starts[-1], last)]
    return pieces


def _runs(offsets: Iterable[int]) -> Ranges:
    """Rising offsets as ranges."""
    found: Ranges = []
    for offset in offsets:
        if found and found[-1][1] == offset - 1:
            found[-1] = (found[-1][0], offset)
        else:
            found.append((offset, offset))
    return found


def _within(whole: Ranges, first: int, last: int) -> Ranges:
    """What of rising ranges is between these two."""
    begin = max(bisect_right(whole, (first, last)) - 1, 0)
    found = []
    for start, end in islice(whole, begin, None):
        if start > last:
            break
        if end >= first:
            found.append((max(start, first), min(end, last)))
    return found


def _without(whole: Ranges, holes: Ranges) -> Ranges:
    """What is left of ranges that do not overlap."""
    left: Ranges = []
    waiting = sorted(holes, reverse=True)
    for first, last in sorted(whole):
        begin = first
        while waiting and waiting[-1][0] <= last:
            start, end = waiting[-1]
            if start > begin:
                left.append((begin, start - 1))
            begin = max(begin, end + 1)
            if end > last:
                break  # it reaches into the next one
            waiting.pop()
        if begin <= last:
            left.append((begin, last))
    return left


def usable(subnet: Subnet, address: str, *, field: str) -> str:
    """An address that a port of this subnet may have, in its usual spelling. Raises Invalid, Conflict (the gateway's)."""
    cidr = ipaddress.ip_network(subnet.cidr)
    wanted = ranges.parse_address(address, field=field, code="address.invalid")
    if wanted not in cidr:
        raise Invalid("address.outside", f"{wanted} is not in the subnet {cidr}.", field=field, cidr=str(cidr))
    if subnet.ipv6_mode == Ipv6Mode.SLAAC:
        raise Invalid("address.slaac", f"Guests make their own addresses in the subnet {cidr}: none can be asked for.", field=field)
    ends = {cidr.network_address, cidr.broadcast_address} if subnet.family == 4 else {cidr.network_address}
    if wanted in ends and cidr.num_addresses > 2:
        raise Invalid("address.unusable", f"{wanted} stands for the subnet {cidr} itself, no port can have it.", field=field)
    if subnet.gateway and wanted == ipaddress.ip_address(subnet.gateway):
        raise Conflict("address.taken", f"{wanted} is the gateway of the subnet {cidr}.", field=field, holder="gateway")
    return str(wanted)


_HOLDERS = {
    DeviceKind.NONE: "a port", DeviceKind.INSTANCE: "an instance", DeviceKind.ROUTER: "a router",
    DeviceKind.FLOATING_IP: "a floating IP", DeviceKind.HOST_GATEWAY: "a host's way out",
}


def _taken(address: str, holder: FixedIP, project_id: uuid.UUID | None, field: str) -> Conflict:
    """Whose it is, by kind; which one only for those of the same project."""
    port = holder.port
    facts: dict[str, str] = {"holder": port.device_kind or "port"}
    if port.project_id is not None and port.project_id == project_id:
        facts["port_id"] = str(port.pk)
        facts |= {"device_id": str(port.device_id)} if port.device_id else {}
    return Conflict("address.taken", f"{address} is held by {_HOLDERS[DeviceKind(port.device_kind)]}.", field=field, **facts)
