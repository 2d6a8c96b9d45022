"""Networks: layer-2 domains of projects and of operators. Their subnets, pools of segments and routers have modules of their own."""

import re
import uuid
from collections.abc import Sequence
from typing import Any, TypedDict, Unpack

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q

from apps.audit.services import record
from apps.common.checks import check_name
from apps.common.context import Actor
from apps.common.errors import Conflict, Invalid
from apps.identity import policy
from apps.network import ranges, selectors
from apps.network.models import FloatingIP, Network, PhysicalNetwork, Port, Router, Subnet
from apps.network.selectors.networks import PROVIDE
from apps.network.services import changes, in_the_way, pools, routers, subnets
from apps.network.states import DeviceKind, NetworkKind
from apps.quotas.services import reservations

_NAME = 64
_DOMAIN = re.compile(r"(?=.{1,128}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


class NetworkChanges(TypedDict, total=False):
    """What may be changed; kind, wire and segment stay."""

    name: str
    mtu: int
    shared: bool
    external: bool
    is_default: bool
    port_security: bool
    dns_domain: str


def create(
    *, actor: Actor, name: str, kind: str = "", physical_network: str = "", segment: int | None = None, mtu: int | None = None,
    shared: bool = False, external: bool = False, dns_domain: str = "", port_security: bool = True, is_default: bool = False,
    cidr: str = "", dns: Sequence[str] = (),
) -> Network:
    """A network of the project that the actor works in; of none if an operator works in none. With `cidr` it has a subnet.

    `kind`, wire, `segment`, `shared` and `external` are for operators; others get a segment of the first pool that has one.
    Raises Forbidden, Invalid (`network.*`, `segment.outside_pools`), NotFound (wire), Conflict (`network.exists`,
    `network.default_exists`, `network.wire_taken`, `segment.taken`), NoCapacity `segment.exhausted`, QuotaExceeded.
    """
    _require(actor, provides=bool(kind or physical_network or segment is not None or shared or external))
    check_name(name, most=_NAME)
    made = Network(
        project_id=_owner(actor, shared or external), name=name, shared=shared, external=external,
        dns_domain=_checked_domain(dns_domain), port_security=port_security, is_default=is_default,
    )
    _check_default(made)
    if dns and not cidr:
        raise Invalid("subnet.dns", "dns: these are told in a subnet: give its cidr.", field="dns")
    planned = subnets.plan(cidr=cidr, dns=dns, gateway=None if kind == NetworkKind.HOST else "") if cidr else None
    try:
        with transaction.atomic():
            insert(actor, made, kind=kind, physical_network=physical_network, segment=segment, mtu=mtu)
            if planned is not None:
                subnets.insert(actor, made, planned)
            count(made)
    except IntegrityError:
        raise refusal(made) from None
    return made


def insert(
    actor: Actor, made: Network, *, kind: str = "", physical_network: str = "", segment: int | None = None, mtu: int | None = None
) -> None:
    """Give a new network its wire and segment, and insert it; `count` follows at the end of the transaction.

    Raises what `create` raises, and IntegrityError: see `refusal`.
    """
    made.kind, made.physical_network, made.segment = _place(kind, physical_network, segment, external=made.external)
    most = pools.mtu_of(made.kind, made.physical_network)
    made.mtu = most if mtu is None else mtu
    if mtu is not None:
        pools.check_mtu(mtu, most=most, why=f"what {made.kind} leaves here")
    made.save(force_insert=True)
    _record_made(actor, made, chosen=bool(kind))


def count(made: Network) -> None:
    """Count a new network for its project: the last statement of the transaction. Raises QuotaExceeded."""
    if made.project_id is not None:
        reservations.reserve(project_id=made.project_id, amounts={"networks": 1})


def refusal(made: Network) -> Conflict:
    """Why the database has not taken this network, to be asked when its transaction is undone."""
    own = Network.objects.filter(project_id=made.project_id)
    if own.filter(name=made.name).exclude(pk=made.pk).exists():
        whose = "The operators have" if made.project_id is None else "This project has"
        return Conflict("network.exists", f"{whose} a network named {made.name!r} already.", field="name")
    if made.is_default:
        rows = Network.objects.filter(external=True) if made.external else own
        other = rows.filter(is_default=True).exclude(pk=made.pk).first()
        if other is not None:
            what = "The default way out is" if made.external else "The project's default network is"
            return Conflict(
                "network.default_exists", f"{what} {other.name} already; take that from it first.", field="is_default",
                network_id=str(other.pk),
            )
    on_wire = Network.objects.filter(kind=made.kind, physical_network=made.physical_network, segment=made.segment)
    holder = on_wire.exclude(pk=made.pk).first()
    if holder is not None and made.kind == NetworkKind.FLAT:
        return Conflict(
            "network.wire_taken", f"The wire {made.physical_network} has its flat network already, {holder.name}; it can have one.",
            field="physical_network", network_id=str(holder.pk),
        )
    if holder is not None and made.segment is not None:
        return pools.taken(made.segment, holder)
    return Conflict("network.contended", "Another network was made at this very moment; try again.")


def create_whole(
    *, actor: Actor, name: str, cidr: str = "", cidr6: str | None = "", dns: Sequence[str] = (), router_id: uuid.UUID | None = None,
    external: bool = True, is_default: bool = False,
) -> tuple[Network, list[Subnet], Router]:
    """A network that works at once: with an IPv4 subnet (the operator's default range unless `cidr` names one), an IPv6
    subnet (a private range of its own unless `cidr6` names one; None: none) and a router, which may be there already.

    `external`: a new router gets the default way out. Raises what creating each of them raises; all are made, or nothing is.
    """
    _require(actor, provides=False)
    check_name(name, most=_NAME)
    made = Network(project_id=policy.in_project(actor), name=name, is_default=is_default)
    planned = plan_subnets(made, cidr=cidr, cidr6=cidr6, dns=dns)
    try:
        with transaction.atomic():
            insert(actor, made)
            for subnet in planned:
                subnets.insert(actor, made, subnet)
            router = _router(actor, made, router_id, external=external)
            for subnet in planned:
                routers.attach(actor=actor, router_id=router.pk, subnet_id=subnet.pk)
            made.router = router
            count(made)
    except IntegrityError:
        raise refusal(made) from None
    return made, planned, router


def plan_subnets(made: Network, *, cidr: str = "", cidr6: str | None = "", dns: Sequence[str] = ()) -> list[Subnet]:
    """The subnets of a network that is made whole. Raises Invalid."""
    found = [subnets.plan(cidr=cidr or settings.ENV.network_cidr, dns=[server for server in dns if ":" not in server])]
    if cidr6 is not None:
        found.append(subnets.plan(cidr=cidr6 or ranges.local_ipv6(made.pk), dns=[server for server in dns if ":" in server]))
    for field, family, subnet in zip(("cidr", "cidr6"), (4, 6), found, strict=False):
        if subnet.family != family:
            raise Invalid("subnet.family", f"{field}: expected an IPv{family} network, got {subnet.cidr}.", field=field)
    return found


def update(*, actor: Actor, network_id: uuid.UUID, **wanted: Unpack[NetworkChanges]) -> Network:
    """Change what is given. `port_security` is what new ports get; those that there are keep theirs.

    Raises NotFound, Forbidden, Invalid, Conflict (`network.exists`, `network.default_exists`), InvalidState `network.in_use`
    (no longer shared or external while others depend on it).
    """
    if "name" in wanted:
        check_name(wanted["name"], most=_NAME)
    if "dns_domain" in wanted:
        wanted["dns_domain"] = _checked_domain(wanted["dns_domain"])
    network: Network | None = None
    try:
        with transaction.atomic():
            network = selectors.network_locked(actor=actor, network_id=network_id, permission="network.network.update")
            changed = record.changed(network, **wanted)
            if not changed:
                return network
            _check_changes(actor, network, changed)
            for field, (_, value) in changed.items():
                setattr(network, field, value)
            _check_default(network)
            network.save(update_fields=list(changed))
            record.write(
                actor, "network.network.update", "network", network.pk, project_id=network.project_id, name=network.name,
                changes=changed,
            )
            if {"mtu", "dns_domain"} & set(changed):
                changes.domain(*selectors.domains_of(network))
    except IntegrityError:
        if network is None:
            raise
        raise refusal(network) from None
    return network


@transaction.atomic
def delete(*, actor: Actor, network_id: uuid.UUID) -> None:
    """With its subnets. Raises NotFound, Forbidden, InvalidState `network.in_use`: facts say what is in the way."""
    network = selectors.network_locked(actor=actor, network_id=network_id, permission="network.network.delete", gone=True)
    held = network.ports.exclude(device_kind__in=(DeviceKind.HOST_GATEWAY.value, DeviceKind.FLOATING_IP.value))
    in_the_way.require_none(
        actor, "network", network.name, port=held, floating_ip=FloatingIP.objects.filter(network=network),
        router=Router.objects.filter(Q(pk=network.router_id) | Q(external_network=network)),
    )
    record.write(actor, "network.network.delete", "network", network.pk, project_id=network.project_id, name=network.name)
    drop(network)
    if network.project_id is not None:
        reservations.release(project_id=network.project_id, amounts={"networks": 1})


def drop(network: Network) -> None:
    """Delete a locked network that nobody uses, with its subnets and the hosts' own ports there."""
    Port.objects.filter(network=network, device_kind=DeviceKind.HOST_GATEWAY.value).delete()
    network.delete()


def _record_made(actor: Actor, made: Network, *, chosen: bool) -> None:
    """`chosen`: wire and segment were. These are the installation's business, also where the network is a project's."""
    told = {"kind": made.kind, "mtu": made.mtu, "shared": made.shared, "external": made.external, "is_default": made.is_default}
    provided = {"physical_network": made.physical_network.name if made.physical_network else None, "segment": made.segment}
    if made.project_id is None:
        told |= provided
    entries = [record.Entry(resource_id=made.pk, name=made.name, project_id=made.project_id, changes=told)]
    if made.project_id is not None and chosen:
        entries.append(record.Entry(resource_id=made.pk, name=made.name, changes=provided))
    record.write_many(actor, "network.network.create", "network", entries)


def _require(actor: Actor, *, provides: bool) -> None:
    if provides:
        policy.require_everywhere(actor, PROVIDE)
    else:
        policy.require(actor, "network.network.create")


def _owner(actor: Actor, for_all: bool) -> uuid.UUID | None:
    """Raises Invalid: networks of nobody must be for everybody."""
    if actor.project_id is not None or not policy.everywhere(actor, PROVIDE):
        return policy.in_project(actor)
    if not for_all:
        raise _for_nobody()
    return None


def _place(kind: str, physical_network: str, segment: int | None, *, external: bool) -> tuple[str, PhysicalNetwork | None, int | None]:
    """(kind, wire, segment) of a new network; a segment's pool stays locked until the transaction ends."""
    if not kind:
        if physical_network or segment is not None or external:
            what = "an external network" if external else "a network with a given wire or segment"
            raise Invalid("network.kind", f"kind: {what} needs one: {', '.join(NetworkKind)}.", field="kind")
        pool, claimed = pools.claim_any()
        return pool.kind, pool.physical_network, claimed
    if kind not in [each.value for each in NetworkKind]:
        raise Invalid("network.kind", f"kind: expected one of {', '.join(NetworkKind)}.", field="kind")
    if kind == NetworkKind.HOST and not external:
        raise Invalid("network.kind", "kind: host is for external networks only; no frame travels there.", field="kind")
    wire = pools.wire_of(kind, physical_network)
    if kind in (NetworkKind.VLAN, NetworkKind.VXLAN):
        _, claimed = pools.claim(kind, wire, segment)
        return kind, wire, claimed
    if segment is not None:
        raise Invalid("network.segment", f"segment: networks of kind {kind} have none.", field="segment")
    return kind, wire, None


def _router(actor: Actor, made: Network, router_id: uuid.UUID | None, *, external: bool) -> Router:
    if router_id is not None:
        return selectors.router(actor=actor, router_id=router_id, permission="network.router.update")
    return routers.insert(actor, made.name, external_network_id=... if external else None)


def _check_default(network: Network) -> None:
    if network.is_default and network.project_id is None and not network.external:
        raise Invalid("network.default", "is_default: of networks of no project only an external one can be the default.", field="is_default")
    if network.is_default and network.project_id is not None and network.external:
        raise Invalid("network.default", "is_default: the default way out is an external network of no project.", field="is_default")


def _check_changes(actor: Actor, network: Network, changed: dict[str, Any]) -> None:
    """Raises Forbidden, Invalid, InvalidState."""
    if {"shared", "external"} & set(changed):
        policy.require_everywhere(actor, PROVIDE)
        after = {name: changed.get(name, (None, getattr(network, name)))[1] for name in ("shared", "external")}
        if network.project_id is None and not any(after.values()):
            raise _for_nobody()
    if "mtu" in changed:
        most = pools.mtu_of(network.kind, network.physical_network)
        pools.check_mtu(changed["mtu"][1], most=most, why=f"what {network.kind} leaves here")
    if "shared" in changed and not changed["shared"][1]:
        foreign = network.ports.filter(device_kind__in=selectors.COUNTED_PORTS).exclude(project_id=network.project_id)
        in_the_way.require_none(actor, "network", network.name, port=foreign)
    if "external" in changed and changed["external"][1]:
        in_the_way.require_none(actor, "network", network.name, router=Router.objects.filter(networks=network))
    elif "external" in changed:
        if network.kind == NetworkKind.HOST:
            raise Invalid("network.kind", "external: a network of kind host is nothing else.", field="external")
        in_the_way.require_none(
            actor, "network", network.name, router=network.routers_out.all(), floating_ip=FloatingIP.objects.filter(network=network)
        )


def _checked_domain(text: str) -> str:
    text = text.lower().rstrip(".")
    if text and not _DOMAIN.fullmatch(text):
        raise Invalid("network.dns_domain", "dns_domain: expected a domain name such as lab.example.org.", field="dns_domain")
    return text


def _for_nobody() -> Invalid:
    return Invalid(
        "network.for_nobody", "A network of no project is shared or external: nobody could use it otherwise. Work in a project for one of its own.",
        field="shared",
    )
