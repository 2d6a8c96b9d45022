"""Subnets: address ranges of networks, what is given out of them, and what guests are told."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

from django.db import IntegrityError, transaction
from django.db.models import Q

from apps.audit.services import record
from apps.common.checks import check_name
from apps.common.context import Actor
from apps.common.errors import Conflict, Invalid, InvalidState
from apps.network import errors, ranges, selectors
from apps.network.models import FixedIP, FloatingIP, Network, Port, Router, RouterInterface, Subnet
from apps.network.services import addresses, changes, in_the_way
from apps.network.states import DeviceKind, Ipv6Mode, NetworkKind

# Of one network. Hosts are told all of them with every port.
_MOST_SUBNETS = 32


class Changes(TypedDict, total=False):
    """What may be changed. `gateway`: None takes it away."""

    name: str
    gateway: str | None
    pools: Sequence[Sequence[str]]
    dns: Sequence[str]
    routes: Sequence[Mapping[str, Any]]
    dhcp: bool


def create(
    *, actor: Actor, network_id: uuid.UUID, cidr: str, name: str = "", gateway: str | None = "",
    pools: Sequence[Sequence[str]] | None = None, dns: Sequence[str] = (), routes: Sequence[Mapping[str, Any]] = (), dhcp: bool = True,
    ipv6_mode: str = "",
) -> Subnet:
    """A range of a network. `gateway`: empty for the first address, None for none; `pools`: None for all that is left.

    Raises NotFound, Forbidden, Invalid (`subnet.*`), Conflict `subnet.overlap`, InvalidState `subnet.too_many`.
    """
    told: dict[str, Any] = {
        "cidr": cidr, "name": name, "pools": pools, "dns": dns, "routes": routes, "dhcp": dhcp, "ipv6_mode": ipv6_mode,
    }
    made = plan(gateway=gateway, **told)
    with transaction.atomic():
        network = selectors.network_locked(actor=actor, network_id=network_id, permission="network.subnet.create")
        if network.kind == NetworkKind.HOST and gateway == "":
            made = plan(gateway=None, **told)  # there is no wire: hosts themselves are the way to these addresses
        insert(actor, network, made)
        changes.domain(*selectors.domains_of(network))
    return made


def plan(
    *, cidr: str, name: str = "", gateway: str | None = "", pools: Sequence[Sequence[str]] | None = None, dns: Sequence[str] = (),
    routes: Sequence[Mapping[str, Any]] = (), dhcp: bool = True, ipv6_mode: str = "",
) -> Subnet:
    """The row that `create` inserts, checked by itself, of no network yet. Raises Invalid."""
    _check_name(name)
    parsed = ranges.parse_cidr(cidr)
    mode = ranges.parse_mode(parsed.version, ipv6_mode, parsed)
    at = None if gateway is None else ranges.parse_gateway(gateway, parsed) if gateway else ranges.first_address(parsed)
    return Subnet(
        family=parsed.version, cidr=str(parsed), name=name, gateway=at, ipv6_mode=mode, dhcp=dhcp,
        pools=_pools(pools, parsed, at, mode), dns=ranges.parse_dns(dns, parsed), routes=ranges.parse_routes(routes, parsed),
    )


def insert(actor: Actor, network: Network, made: Subnet) -> None:
    """Insert a planned subnet into a network that the caller has locked, or made. Raises Conflict `subnet.overlap`, InvalidState."""
    present = list(network.subnets.all())
    if len(present) >= _MOST_SUBNETS:
        raise InvalidState("subnet.too_many", f"The network {network.name} has {_MOST_SUBNETS} subnets, the most there may be.", most=_MOST_SUBNETS)
    for other in present:
        if ranges.overlap(made.cidr, other.cidr):
            raise Conflict(
                "subnet.overlap", f"cidr: {made.cidr} overlaps {other.cidr}, the subnet {other.name or other.pk} of this network.",
                field="cidr", subnet_id=str(other.pk), cidr=other.cidr,
            )
    if network.external:
        _check_inside(actor, network, made)
    made.network, made.project_id = network, network.project_id
    try:
        with transaction.atomic():
            made.save(force_insert=True)
    except IntegrityError:
        raise Conflict("subnet.overlap", f"cidr: this network has {made.cidr} already.", field="cidr") from None
    addresses.open_pools(made)
    record.write(
        actor, "network.subnet.create", "subnet", made.pk, project_id=made.project_id, name=made.name or made.cidr,
        changes={"network": str(network.pk), "cidr": made.cidr, **_told(made)},
    )


def _check_inside(actor: Actor, network: Network, made: Subnet) -> None:
    """No router that leads to this (locked) network has the same addresses inside: what is sent to these would not leave it."""
    inside = Subnet.objects.filter(interface__router__external_network=network, family=made.family)
    cidrs = [cidr for cidr in inside.order_by().values_list("cidr", flat=True).distinct() if ranges.overlap(made.cidr, cidr)]
    if not cidrs:
        return
    overlapping = inside.filter(cidr__in=cidrs)
    leading = Router.objects.filter(external_network=network, interfaces__subnet__in=overlapping).distinct()
    text, facts = errors.told(in_the_way.found(actor, subnet=overlapping, router=leading))
    raise Conflict(
        "subnet.overlap", f"cidr: {made.cidr} overlaps what routers that lead to this network have inside, so these could send nothing "
        f"there: {text}.", field="cidr", **facts,
    )


def update(*, actor: Actor, subnet_id: uuid.UUID, **changed: Unpack[Changes]) -> Subnet:
    """Change what is given; range and family stay. Addresses that are in use stay, too, also outside of new pools.

    Raises NotFound, Forbidden, Invalid (`subnet.*`), InvalidState `subnet.in_use` (a router has the gateway's address),
    Conflict `address.taken`.
    """
    if "name" in changed:
        _check_name(changed["name"])
    with transaction.atomic():
        subnet = selectors.subnet_locked(actor=actor, subnet_id=subnet_id, permission="network.subnet.update")
        wanted = _checked(subnet, changed)
        differing = {name: value for name, value in wanted.items() if getattr(subnet, name) != value}
        if not differing:
            return subnet
        if "gateway" in differing:
            _check_gateway(actor, subnet, differing["gateway"])
        before = _told(subnet)
        for name, value in differing.items():
            setattr(subnet, name, value)
        subnet.save(update_fields=list(differing))
        if "pools" in differing:
            addresses.reshape(subnet, differing["pools"])
        after = _told(subnet)
        record.write(
            actor, "network.subnet.update", "subnet", subnet.pk, project_id=subnet.project_id, name=subnet.name or subnet.cidr,
            changes={name: [before[name], after[name]] for name in after if name in differing},
        )
        if set(differing) - {"name", "pools"}:
            changes.domain(*selectors.domains_of(subnet.network))
    return subnet


@transaction.atomic
def delete(*, actor: Actor, subnet_id: uuid.UUID) -> None:
    """Raises NotFound, Forbidden, InvalidState `subnet.in_use` while addresses are taken or a router serves it."""
    subnet = selectors.subnet_locked(actor=actor, subnet_id=subnet_id, permission="network.subnet.delete", gone=True)
    taken = Port.objects.filter(fixed_ips__subnet=subnet).exclude(device_kind=DeviceKind.HOST_GATEWAY.value).distinct()
    in_the_way.require_none(
        actor, "subnet", subnet.name or subnet.cidr,
        floating_ip=FloatingIP.objects.filter(port__in=taken), port=taken.exclude(device_kind=DeviceKind.FLOATING_IP.value),
        router=Router.objects.filter(_served_by(subnet)),
    )
    record.write(
        actor, "network.subnet.delete", "subnet", subnet.pk, project_id=subnet.project_id, name=subnet.name or subnet.cidr,
        changes={"network": str(subnet.network_id), "cidr": subnet.cidr},
    )
    changes.domain(*selectors.domains_of(subnet.network))
    drop(subnet)


def drop(subnet: Subnet) -> None:
    """Delete a locked subnet that nobody uses, with the addresses that hosts themselves have there."""
    subnet.fixed_ips.all().delete()
    subnet.delete()


def _served_by(subnet: Subnet) -> Q:
    """Routers that serve it, or would lose their next hop and their hosts' addresses outside with it."""
    serve = Q(pk__in=RouterInterface.objects.filter(subnet=subnet).values("router"))
    network = subnet.network
    return serve | Q(external_network=network) if network.external and network.kind != NetworkKind.HOST else serve


def _checked(subnet: Subnet, changed: Changes) -> dict[str, Any]:
    """The fields as they are to be. Raises Invalid."""
    cidr = ranges.parse_cidr(subnet.cidr)
    wanted: dict[str, Any] = {name: changed[name] for name in ("name", "dhcp") if name in changed}
    gateway = subnet.gateway
    if "gateway" in changed:
        asked = changed["gateway"]
        gateway = wanted["gateway"] = ranges.parse_gateway(asked, cidr) if asked is not None else None
    if "pools" in changed:
        wanted["pools"] = _pools(changed["pools"], cidr, gateway, subnet.ipv6_mode)
    else:
        ranges.check_gateway_outside(gateway, subnet.pools)
    if "dns" in changed:
        wanted["dns"] = ranges.parse_dns(changed["dns"], cidr)
    if "routes" in changed:
        wanted["routes"] = ranges.parse_routes(changed["routes"], cidr)
    return wanted


def _pools(pools: Sequence[Sequence[str]] | None, cidr: ranges.Range, gateway: str | None, mode: str) -> ranges.Pools:
    if mode == Ipv6Mode.SLAAC:
        if pools:
            raise Invalid("subnet.pools", "pools: with slaac guests make their own addresses, so there is nothing to give.", field="pools")
        return []
    return ranges.default_pools(cidr, gateway) if pools is None else ranges.parse_pools(pools, cidr, gateway)


def _check_gateway(actor: Actor, subnet: Subnet, gateway: str | None) -> None:
    served = Router.objects.filter(interfaces__subnet=subnet)
    in_the_way.require_none(actor, "subnet", subnet.name or subnet.cidr, router=served)
    if gateway is not None and FixedIP.objects.filter(subnet=subnet, address=gateway).exists():
        raise Conflict("address.taken", f"gateway: a port has the address {gateway} already.", field="gateway")


def _check_name(name: str) -> None:
    if name:
        check_name(name, most=64)


def _told(subnet: Subnet) -> dict[str, Any]:
    """What the audit trail says of it."""
    return {
        "name": subnet.name, "gateway": subnet.gateway, "pools": tuple("-".join(pool) for pool in subnet.pools),
        "dns": tuple(subnet.dns), "routes": tuple(f"{each['destination']} via {each['nexthop']}" for each in subnet.routes),
        "dhcp": subnet.dhcp,
    }
