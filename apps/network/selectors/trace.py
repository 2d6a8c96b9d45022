"""Reads all that decides whether two ports can talk, and has it decided: a constant number of queries."""

import ipaddress
import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Q

from apps.common.context import Actor
from apps.common.errors import Invalid, NotFound
from apps.common.ids import parse
from apps.hosts import selectors as hosts
from apps.hosts.states import HostState
from apps.identity import policy
from apps.network.models import Change, FixedIP, FloatingIP, HostNetwork, Port, PortGroup, Rule, Subnet
from apps.network.selectors.ports import seen
from apps.network.states import DeviceKind, Direction
from apps.network.trace import Facts, Trace, follow
from apps.network.trace import facts as plain
from apps.network.trace.question import Ends, ends, traffic

PERMISSION = "network.port.explain"


def trace(
    *, actor: Actor, source: str, target: str, protocol: str = "", port: int | None = None, family: int | None = None
) -> Trace:
    """Whether and why `source` can talk to `target`: each the id of a port or an address, at least one a port.

    `protocol`: a name or number, ping unless said otherwise. Only who may read hosts' names is told of hosts, wires and
    segments. Raises Forbidden, NotFound `port.not_found`, Invalid `trace.…`.
    """
    policy.require(actor, PERMISSION)
    asked = ends(source, target)
    found = _Found.of(actor, asked)
    which = traffic(protocol, port, family or _family(asked, found))
    return follow(found.facts(asked, which, hosts_shown=policy.everywhere(actor, "hosts.host.list")))


def port_of(*, actor: Actor, text: str, field: str = "port") -> str:
    """The id of the one port that people call so: by id, MAC, name, host name or address; else an id or address as it is.

    Raises Invalid `trace.ambiguous`, `trace.end` for what is none of all that, Forbidden.
    """
    which = Q(name=text) | Q(dns_name=text) | Q(mac=text.lower())
    is_end = parse(text) is not None
    try:
        which = which | Q(fixed_ips__address=str(ipaddress.ip_address(text)))
        is_end = True
    except ValueError:
        pass
    rows = seen(actor=actor, permission=PERMISSION).filter(which, device_kind=DeviceKind.INSTANCE.value)
    if actor.project_id is not None:
        rows = rows.filter(Q(project_id=actor.project_id))
    found = sorted({str(key) for key in rows.values_list("pk", flat=True)[:6]})
    if len(found) > 1:
        raise Invalid("trace.ambiguous", f"Several ports are called {text}: name one by its id ({', '.join(found)}).", field=field)
    if not found and not is_end:
        raise Invalid("trace.end", f"No port of an instance is called {text}: give its id, MAC, name or address, or an address outside.", field=field)
    return found[0] if found else text


@dataclass
class _Found:
    """`source`, `target`: rows, None for an address outside. `floating`: the address by which the target was named."""

    source: Port | None
    target: Port | None
    addresses: dict[uuid.UUID, list[FixedIP]]
    floating: str = ""

    @classmethod
    def of(cls, actor: Actor, asked: Ends) -> "_Found":
        rows = {row.pk: row for row in _ports(actor, [each for each in (asked.source, asked.target) if isinstance(each, uuid.UUID)])}
        for field, each in (("source", asked.source), ("target", asked.target)):
            if isinstance(each, uuid.UUID) and each not in rows:
                raise NotFound("port.not_found", f"There is no port {each} in this project.", field=field)
        source = rows[asked.source] if isinstance(asked.source, uuid.UUID) else None
        target = rows[asked.target] if isinstance(asked.target, uuid.UUID) else None
        floating = ""
        if target is None and source is not None:
            target, floating = _behind(actor, source, str(asked.target))
            if target is not None and target.pk == source.pk:
                target, floating = None, ""
        ports = [each.pk for each in (source, target) if each is not None]
        addresses: dict[uuid.UUID, list[FixedIP]] = {}
        fixed = FixedIP.objects.filter(port_id__in=ports).select_related("subnet__interface__router__external_network__physical_network")
        for row in fixed.prefetch_related("floating_ips").order_by("subnet__family", "pk"):
            addresses.setdefault(row.port_id, []).append(row)
        return cls(source, target, addresses, floating)

    @property
    def ports(self) -> list[Port]:
        return [each for each in (self.source, self.target) if each is not None]

    def facts(self, asked: Ends, which: plain.Traffic, *, hosts_shown: bool) -> Facts:
        groups, rules = _groups([row.pk for row in self.ports])
        at = _hosts({row.host_id for row in self.ports if row.host_id is not None})
        made = {row.pk: self._port(row, groups, rules, at) for row in self.ports}
        ways = {
            each.subnet.router.out.id for port in made.values() for each in port.addresses
            if each.subnet.router is not None and each.subnet.router.out is not None
        }
        named = {rule.remote for port in made.values() for rule in port.rules if rule.remote}
        talking = [each for port in made.values() for each in (*(a.address for a in port.addresses), *(a.floating for a in port.addresses if a.floating))]
        behind = [
            *made, *at, *(group for own in groups.values() for group, _ in own), *ways, *named, *(row.network_id for row in self.ports),
            *(each.subnet.router.id for port in made.values() for each in port.addresses if each.subnet.router is not None),
        ]
        return Facts(
            source=made[self.source.pk] if self.source is not None else str(asked.source),
            target=made[self.target.pk] if self.target is not None else str(asked.target),
            traffic=which, members=_members(named, talking), outside=_outside(ways), floating=self.floating,
            pending=Change.objects.filter(ref__in={str(each) for each in behind}).exists(), hosts_shown=hosts_shown,
        )

    def _port(
        self, row: Port, groups: dict[uuid.UUID, list[tuple[uuid.UUID, str]]], rules: dict[uuid.UUID, list[plain.Rule]],
        at: dict[uuid.UUID, plain.Host],
    ) -> plain.Port:
        own = groups.get(row.pk, [])
        label = row.dns_name or row.name or row.mac
        return plain.Port(
            id=str(row.pk), label=label, network=_network(row.network), device_kind=row.device_kind,
            host=at.get(row.host_id) if row.host_id is not None else None, up=row.admin_up, security=row.port_security,
            addresses=tuple(_address(each) for each in self.addresses.get(row.pk, ())), groups=tuple(name for _, name in own),
            rules=tuple(rule for group, _ in own for rule in rules.get(group, ())),
        )


def _ports(actor: Actor, ids: Collection[uuid.UUID]) -> list[Port]:
    rows = seen(actor=actor, permission=PERMISSION)
    return list(rows.filter(pk__in=ids).select_related("network__physical_network"))


def _behind(actor: Actor, source: Port, address: str) -> tuple[Port | None, str]:
    """The port that an address leads to, as the source sees it; and the address, if it is a floating one."""
    joined = Q(network_id=source.network_id)
    if source.network.router_id is not None:
        joined |= Q(network__router_id=source.network.router_id)
    rows = seen(actor=actor, permission=PERMISSION).select_related("network__physical_network")
    inside = rows.filter(joined, fixed_ips__address=address, device_kind=DeviceKind.INSTANCE.value).first()
    if inside is not None:
        return inside, ""
    floating = FloatingIP.objects.filter(address=address, fixed_ip__isnull=False)
    found = rows.filter(fixed_ips__floating_ips__in=floating).first()
    return found, address if found is not None else ""


def _family(asked: Ends, found: _Found) -> int:
    for each in (asked.source, asked.target):
        if isinstance(each, str):
            return 6 if ":" in each else 4
    both = [{row.subnet.family for row in found.addresses.get(port.pk, ())} for port in found.ports]
    return 6 if 6 in set.intersection(*both) and 4 not in set.intersection(*both) else 4


def _network(row: Any) -> plain.Network:
    wire = row.physical_network.name if row.physical_network is not None else ""
    return plain.Network(id=str(row.pk), name=row.name, kind=row.kind, segment=row.segment, wire=wire)


def _address(row: FixedIP) -> plain.Address:
    subnet = row.subnet
    interface = getattr(subnet, "interface", None)
    router = None
    if interface is not None:
        its = interface.router
        out = _network(its.external_network) if its.external_network is not None else None
        router = plain.Router(id=str(its.pk), name=its.name, up=its.admin_up, snat=its.snat, out=out)
    floating = next((str(each.address) for each in row.floating_ips.all()), "")
    return plain.Address(
        address=str(row.address), floating=floating,
        subnet=plain.Subnet(
            id=str(subnet.pk), cidr=subnet.cidr, gateway=str(subnet.gateway or ""), router=router,
            routes=tuple((route["destination"], route["nexthop"]) for route in subnet.routes),
        ),
    )


def _groups(ports: Collection[uuid.UUID]) -> tuple[dict[uuid.UUID, list[tuple[uuid.UUID, str]]], dict[uuid.UUID, list[plain.Rule]]]:
    """Port → its groups; group → its rules."""
    groups: dict[uuid.UUID, list[tuple[uuid.UUID, str]]] = {}
    names: dict[uuid.UUID, str] = {}
    rows = PortGroup.objects.filter(port_id__in=ports).order_by("group__name", "pk")
    for port_id, group_id, name in rows.values_list("port_id", "group_id", "group__name"):
        groups.setdefault(port_id, []).append((group_id, name))
        names[group_id] = name
    rules: dict[uuid.UUID, list[plain.Rule]] = {}
    for rule in Rule.objects.filter(group_id__in=names).select_related("remote_group").order_by("pk"):
        rules.setdefault(rule.group_id, []).append(
            plain.Rule(
                ingress=rule.direction == Direction.INGRESS, family=rule.family, protocol=rule.protocol, first=rule.first, last=rule.last,
                cidr=rule.cidr, remote=str(rule.remote_group_id or ""), group_name=names[rule.group_id],
                remote_name=rule.remote_group.name if rule.remote_group is not None else "",
            )
        )
    return groups, rules


def _members(groups: Collection[str], addresses: Iterable[str]) -> dict[str, frozenset[str]]:
    """Which of these addresses members of groups have; as hosts are told, those only count who are on a host."""
    rows = PortGroup.objects.filter(
        Q(group_id__in=groups), port__fixed_ips__address__in=list(addresses), port__device_kind=DeviceKind.INSTANCE.value,
        port__host_id__isnull=False,
    )
    found: dict[str, set[str]] = {}
    for group_id, address in rows.values_list("group_id", "port__fixed_ips__address"):
        found.setdefault(str(group_id), set()).add(str(address))
    return {group: frozenset(each) for group, each in found.items()}


def _hosts(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, plain.Host]:
    said = HostNetwork.objects.in_bulk(list(ids))
    outside: dict[uuid.UUID, dict[str, list[str]]] = {}
    held = FixedIP.objects.filter(port__device_kind=DeviceKind.HOST_GATEWAY.value, port__device_id__in=ids)
    for host_id, network_id, address in held.values_list("port__device_id", "port__network_id", "address"):
        if host_id is not None:
            outside.setdefault(host_id, {}).setdefault(str(network_id), []).append(str(address))
    return {
        row.pk: _host(row.pk, row.name, row.state == HostState.UP, said.get(row.pk), outside.get(row.pk, {}))
        for row in hosts.hosts().filter(pk__in=ids)
    }


def _host(pk: uuid.UUID, name: str, up: bool, said: HostNetwork | None, outside: dict[str, list[str]]) -> plain.Host:
    if said is None:
        return plain.Host(id=str(pk), name=name, up=up, speaks=False)
    return plain.Host(
        id=str(pk), name=name, up=up, speaks=said.speaks, tunnel=str(said.tunnel_address or ""), wires=frozenset(said.physical_networks),
        told=said.generation, applied=said.applied, problems={each["object"]: each["message"] for each in said.problems},
        lacking={each["object"]: each["message"] for each in said.lacking},
        outside={network: tuple(each) for network, each in outside.items()},
    )


def _outside(networks: Collection[str]) -> dict[str, tuple[tuple[str, str], ...]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for network_id, cidr, gateway in Subnet.objects.filter(network_id__in=networks).order_by("pk").values_list("network_id", "cidr", "gateway"):
        found.setdefault(str(network_id), []).append((cidr, str(gateway or "")))
    return {network: tuple(each) for network, each in found.items()}
