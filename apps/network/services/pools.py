"""Wires and the pools of VLAN ids and VNIs: defined by operators, taken from by networks."""

import re
import uuid

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import F, Q, Window
from django.db.models.functions import Lead

from apps.audit.services import record
from apps.common.context import Actor
from apps.common.errors import Conflict, Invalid, NoCapacity, NotFound
from apps.identity import policy
from apps.network import builtin, selectors
from apps.network.models import Network, PhysicalNetwork, SegmentPool
from apps.network.services import in_the_way
from apps.network.states import VLAN_IDS, VNIS, NetworkKind

_WIRE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
LEAST_MTU, MOST_MTU = 1280, 9216
_POSITIONS = 2**31 - 1


def add_wire(*, actor: Actor, name: str, mtu: int = 1500) -> PhysicalNetwork:
    """A wire, by the name that agents' configurations give it. Raises Forbidden, Invalid, Conflict `wire.exists`."""
    policy.require_everywhere(actor, "network.pool.create")
    if not _WIRE_NAME.fullmatch(name):
        raise Invalid("wire.name", "name: expected up to 64 letters, digits, dots, dashes and underscores.", field="name")
    check_mtu(mtu, most=MOST_MTU, why="what Cloudsite supports")
    try:
        with transaction.atomic():
            wire = PhysicalNetwork.objects.create(name=name, mtu=mtu)
            record.write(actor, "network.pool.create", "physical_network", wire.pk, name=name, changes={"mtu": mtu})
    except IntegrityError:
        raise Conflict("wire.exists", f"There is a wire named {name} already.", field="name") from None
    return wire


@transaction.atomic
def remove_wire(*, actor: Actor, wire_id: uuid.UUID) -> None:
    """Raises Forbidden, NotFound, InvalidState `wire.in_use`."""
    policy.require_everywhere(actor, "network.pool.delete")
    wire = PhysicalNetwork.objects.select_for_update().filter(pk=wire_id).first()
    if wire is None:
        raise NotFound("wire.not_found", f"There is no wire {wire_id}.", field="wire_id")
    in_the_way.require_none(actor, "wire", wire.name, network=wire.networks.all(), segment_pool=wire.pools.all())
    record.write(actor, "network.pool.delete", "physical_network", wire.pk, name=wire.name)
    wire.delete()


@transaction.atomic
def add(
    *, actor: Actor, kind: str, first: int, last: int, physical_network: str = "", position: int = 100, for_tenants: bool = True
) -> SegmentPool:
    """A pool of VLAN ids of a wire (by its name), or of VNIs. Pools do not overlap.

    Raises Forbidden, Invalid, NotFound, Conflict `pool.overlap`.
    """
    policy.require_everywhere(actor, "network.pool.create")
    if kind not in (NetworkKind.VLAN, NetworkKind.VXLAN):
        raise Invalid("pool.kind", "kind: expected vlan or vxlan; only these have segments.", field="kind")
    _check_range(kind, first, last)
    if not 0 <= position <= _POSITIONS:
        raise Invalid("pool.position", f"position: expected 0 to {_POSITIONS}.", field="position")
    wire = wire_of(kind, physical_network)
    # Two that add at once do not see each other's rows; this is rare and quick enough to let one wait for the other.
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {SegmentPool._meta.db_table} IN SHARE ROW EXCLUSIVE MODE")
    other = SegmentPool.objects.filter(kind=kind, physical_network=wire, first__lte=last, last__gte=first).first()
    if other is not None:
        raise Conflict("pool.overlap", f"The pool {other} ({other.pk}) has some of {first}-{last} already.", field="first")
    pool = SegmentPool.objects.create(
        kind=kind, physical_network=wire, first=first, last=last, position=position, for_tenants=for_tenants
    )
    changes = {"first": first, "last": last, "wire": physical_network, "position": position, "for_tenants": for_tenants}
    record.write(actor, "network.pool.create", "segment_pool", pool.pk, name=str(pool), changes=changes)
    return pool


@transaction.atomic
def remove(*, actor: Actor, pool_id: uuid.UUID) -> None:
    """Raises Forbidden, NotFound, InvalidState `pool.in_use` while networks have segments of it."""
    policy.require_everywhere(actor, "network.pool.delete")
    pool = SegmentPool.objects.select_for_update().filter(pk=pool_id).first()
    if pool is None:
        raise NotFound("pool.not_found", f"There is no pool {pool_id}.", field="pool_id")
    in_the_way.require_none(actor, "pool", str(pool), network=selectors.taken_of(pool))
    record.write(actor, "network.pool.delete", "segment_pool", pool.pk, name=str(pool))
    pool.delete()


def wire_of(kind: str, name: str) -> PhysicalNetwork | None:
    """The wire of a network or pool of this kind, None for kinds that have none. Raises Invalid, NotFound."""
    if kind not in (NetworkKind.VLAN, NetworkKind.FLAT):
        if name:
            raise Invalid("network.wire", f"physical_network: networks of kind {kind} have none.", field="physical_network")
        return None
    if not name:
        raise Invalid("network.wire", f"physical_network: networks of kind {kind} need the name of a wire.", field="physical_network")
    wire = PhysicalNetwork.objects.filter(name=name).first()
    if wire is None:
        raise NotFound("wire.not_found", f"There is no wire named {name!r}.", field="physical_network")
    return wire


def claim_any() -> tuple[SegmentPool, int]:
    """A segment for a tenant's network, from the first pool that has one; its row stays locked until the transaction ends.

    Raises NoCapacity `segment.exhausted`.
    """
    return _claim(Q(for_tenants=True), "VLAN ids and VNIs for tenants' networks")


def claim(kind: str, wire: PhysicalNetwork | None, segment: int | None) -> tuple[SegmentPool, int]:
    """This segment, or any, of the pools of a kind and wire; the pool's row stays locked until the transaction ends.

    Raises Invalid `segment.outside_pools`, Conflict `segment.taken`, NoCapacity `segment.exhausted`.
    """
    of_kind = Q(kind=kind, physical_network=wire)
    where = f"VLAN ids of {wire.name}" if wire else "VNIs"
    if segment is None:
        return _claim(of_kind, where)
    pool = SegmentPool.objects.select_for_update(of=("self",)).filter(of_kind, first__lte=segment, last__gte=segment).first()
    if pool is None:
        ranges = ", ".join(f"{each.first}-{each.last}" for each in SegmentPool.objects.filter(of_kind).order_by("first")) or "none"
        raise Invalid(
            "segment.outside_pools", f"segment: {segment} is in no pool; pools of {where}: {ranges}.", field="segment", pools=ranges
        )
    holder = selectors.taken_of(pool).filter(segment=segment).first()
    if holder is not None:
        raise taken(segment, holder)
    return pool, segment


def taken(segment: int, holder: Network) -> Conflict:
    """Whoever names segments may see all networks."""
    return Conflict(
        "segment.taken", f"segment: {segment} is taken by the network {holder.name} ({holder.pk}).", field="segment",
        network_id=str(holder.pk),
    )


def mtu_of(kind: str, wire: PhysicalNetwork | None) -> int:
    """The largest packet that a network of this kind carries."""
    if kind == NetworkKind.VXLAN:
        return int(settings.ENV.underlay_mtu) - builtin.VXLAN_OVERHEAD
    return wire.mtu if wire is not None else int(settings.ENV.underlay_mtu)


def check_mtu(mtu: int, *, most: int, why: str) -> None:
    """Raises Invalid `network.mtu`."""
    if not LEAST_MTU <= mtu <= most:
        raise Invalid("network.mtu", f"mtu: expected {LEAST_MTU} (IPv6 needs as much) to {most} ({why}), got {mtu}.", field="mtu")


def _claim(wanted: Q, where: str) -> tuple[SegmentPool, int]:
    # One after the other, always in this order: whoever waits for a pool holds only such as come before it.
    ids = list(SegmentPool.objects.filter(wanted).order_by("position", "pk").values_list("pk", flat=True))
    for pool_id in ids:
        pool = SegmentPool.objects.select_for_update(of=("self",)).select_related("physical_network").filter(pk=pool_id).first()
        segment = _free_in(pool) if pool is not None else None
        if pool is not None and segment is not None:
            return pool, segment
    raise NoCapacity("segment.exhausted", f"None of the {where} is left for another network; operators can add a pool of more.")


def _free_in(pool: SegmentPool) -> int | None:
    """The one after the highest that is taken, so that freed ones rest; at the end of the pool the lowest free one."""
    rows = selectors.taken_of(pool)
    highest = rows.order_by("-segment").values_list("segment", flat=True).first()
    if highest is None:
        return pool.first
    if highest < pool.last:
        return highest + 1
    if not rows.filter(segment=pool.first).exists():
        return pool.first
    # By one pass over what is taken, whatever the planner knows of the table: a join of it with itself may take minutes.
    following = rows.annotate(following=Window(Lead("segment"), order_by="segment")).filter(following__gt=F("segment") + 1)
    before = following.order_by("segment").values_list("segment", flat=True).first()
    if before is not None:
        return before + 1
    # Others may have freed some between these looks. Before anybody is told that none is left, all is seen at one moment.
    seen = set(rows.values_list("segment", flat=True))
    return next((segment for segment in range(pool.first, pool.last + 1) if segment not in seen), None)


def _check_range(kind: str, first: int, last: int) -> None:
    least, most = VLAN_IDS if kind == NetworkKind.VLAN else VNIS
    if not least <= first <= last <= most:
        raise Invalid("pool.range", f"first, last: expected {least} <= first <= last <= {most}, got {first} and {last}.", field="first")
