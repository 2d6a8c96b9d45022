"""Objects of the desired state: read set-wise, a query for each kind whatever their number, and encoded once for all hosts.

Ids are texts here, as on the wire: they come from the database once, and are compared and sent many times.
"""

import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from django.db.models import Q

from apps.network.models import FloatingIP, HostNetwork, Network, Port, PortGroup, Router, Rule, Subnet
from apps.network.payloads.cards import gateway_told
from apps.network.states import DeviceKind, Direction
from contracts.envelope import MAX_WIRE_BYTES
from contracts.network import v2

Ids = Collection[str]
_encode = msgspec.json.Encoder().encode
# What guests are plugged into. Other ports only hold addresses.
PLUGS = Q(device_kind=DeviceKind.INSTANCE.value, host_id__isnull=False)
# What does not fit into one envelope is sent in parts. A port and its membership take some 600 bytes, so this is the case
# for routing domains with more than 3,000 ports.
PART_BYTES = MAX_WIRE_BYTES // 2


def raw(body: msgspec.Struct) -> msgspec.Raw:
    """Encoded once, put into many messages."""
    return msgspec.Raw(_encode(body))


class Objects(msgspec.Struct, omit_defaults=True):
    """`v2.Objects` of parts that are encoded already."""

    networks: list[msgspec.Raw] = []
    ports: list[msgspec.Raw] = []
    members: list[msgspec.Raw] = []
    groups: list[msgspec.Raw] = []
    routers: list[msgspec.Raw] = []
    floating: list[msgspec.Raw] = []


class Gone(msgspec.Struct, omit_defaults=True):
    """`v2.Gone` of such."""

    networks: list[msgspec.Raw] = []
    ports: list[msgspec.Raw] = []
    members: list[msgspec.Raw] = []
    named: list[msgspec.Raw] = []
    groups: list[msgspec.Raw] = []
    routers: list[msgspec.Raw] = []
    floating: list[msgspec.Raw] = []


class State(msgspec.Struct, omit_defaults=True):
    """`v2.State` of such."""

    generation: int
    objects: msgspec.Raw
    part: int = 0
    parts: int = 1


class Change(msgspec.Struct, omit_defaults=True):
    """`v2.Change` of such."""

    base: int
    generation: int
    objects: msgspec.Raw
    gone: msgspec.Raw
    part: int = 0
    parts: int = 1


def in_parts(objects: msgspec.Raw, gone: msgspec.Raw) -> list[tuple[msgspec.Raw, msgspec.Raw]]:
    """The same, cut between objects into pieces of `PART_BYTES`; nearly always it is one."""
    if len(objects) + len(gone) <= PART_BYTES:
        return [(objects, gone)]
    parts: list[tuple[Objects, Gone]] = [(Objects(), Gone())]
    size = 0
    for which, whole in enumerate((msgspec.json.decode(objects, type=Objects), msgspec.json.decode(gone, type=Gone))):
        for kind in whole.__struct_fields__:
            for each in getattr(whole, kind):
                if size and size + len(each) > PART_BYTES:
                    parts.append((Objects(), Gone()))
                    size = 0
                size += len(each) + 1
                getattr(parts[-1][which], kind).append(each)
    return [(raw(some), raw(left)) for some, left in parts]


@dataclass(frozen=True)
class Plug:
    """A port that is on a host; `remote`: as all other hosts know it."""

    port: v2.Port
    host_id: str
    remote: msgspec.Raw

    def here(self, groups: list[str]) -> msgspec.Raw:
        """As its own host knows it."""
        return raw(msgspec.structs.replace(self.port, here=True, host="", groups=groups))


@dataclass(frozen=True)
class Lead:
    """A router, with the external network that it leads to."""

    router: v2.Router
    out: v2.Network | None

    def by(self, way_out: v2.WayOut | None) -> msgspec.Raw:
        """As a host knows it that leaves by this way."""
        return raw(msgspec.structs.replace(self.router, out=way_out))


@dataclass(frozen=True)
class Ties:
    """A floating address in use; `router` leads to its fixed one."""

    id: str
    router: str
    body: msgspec.Raw


@dataclass
class Members:
    """Who is in groups: group → port → encoded."""

    of: dict[str, dict[str, msgspec.Raw]] = field(default_factory=dict)


def networks(ids: Ids) -> dict[str, v2.Network]:
    """Network id → with its subnets."""
    if not ids:
        return {}
    rows = Network.objects.filter(pk__in=ids).order_by("pk").values_list(
        "pk", "kind", "segment", "physical_network__name", "mtu", "router_id", "dns_domain"
    )
    found = {str(row[0]): row for row in rows}
    subnets: dict[str, list[v2.Subnet]] = {}
    fields = ("pk", "network_id", "cidr", "gateway", "dns", "routes", "dhcp", "ipv6_mode", "interface__pk")
    for pk, network, cidr, gateway, dns, routes, dhcp, mode, interface in (
        Subnet.objects.filter(network_id__in=found).order_by("family", "pk").values_list(*fields)
    ):
        network_id, is_routed = str(network), interface is not None
        subnets.setdefault(network_id, []).append(
            v2.Subnet(
                id=str(pk), cidr=cidr, gateway=gateway_told(found[network_id][1], gateway, is_routed), routed=is_routed,
                dns=list(dns), dhcp=dhcp, ipv6_mode=mode,
                routes=[v2.Route(destination=route["destination"], nexthop=route["nexthop"]) for route in routes],
            )
        )
    return {
        id_: v2.Network(
            id=id_, kind=v2.Kind(kind), segment=segment, physical=physical or "", mtu=mtu, router=_text(router), domain=domain,
            subnets=subnets.get(id_, []),
        )
        for id_, (_, kind, segment, physical, mtu, router, domain) in found.items()
    }


def plugs(*, network_ids: Ids = (), port_ids: Ids = ()) -> dict[str, Plug]:
    """Port id → all that are on hosts, in these networks or of these ids."""
    if not network_ids and not port_ids:
        return {}
    which = Q(network_id__in=network_ids) if network_ids else Q(pk__in=port_ids)
    fields = (
        "pk", "network_id", "mac", "host_id", "device_id", "dns_name", "pairs", "port_security", "admin_up",
        "fixed_ips__subnet_id", "fixed_ips__address",
    )
    rows = list(Port.objects.filter(which, PLUGS).order_by("pk", "fixed_ips__pk").values_list(*fields))
    tunnels = _tunnels({row[3] for row in rows})
    found: dict[uuid.UUID, tuple[v2.Port, uuid.UUID]] = {}
    for pk, network_id, mac, host_id, device_id, name, pairs, security, up, subnet_id, address in rows:
        if pk not in found:
            port = v2.Port(
                id=str(pk), network=str(network_id), mac=mac, addresses=[], host=tunnels.get(host_id, ""),
                instance=str(device_id), name=name, pairs=[v2.Pair(cidr=pair["cidr"], mac=pair.get("mac", "")) for pair in pairs],
                security=security, up=up,
            )
            found[pk] = port, host_id
        if address is not None:
            found[pk][0].addresses.append(v2.Address(subnet=str(subnet_id), address=str(address)))
    return {port.id: Plug(port, str(host_id), raw(port)) for port, host_id in found.values()}


def _tunnels(host_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    rows = HostNetwork.objects.filter(pk__in=host_ids, tunnel_address__isnull=False).values_list("pk", "tunnel_address")
    return {pk: str(address) for pk, address in rows}


def routers(ids: Ids) -> list[tuple[v2.Router, str]]:
    """Routers without their way out, and the ids of the external networks that they lead to."""
    rows = Router.objects.filter(pk__in=ids).order_by("pk").values_list("pk", "external_network_id", "snat", "admin_up")
    return [(v2.Router(id=str(pk), snat=snat, up=up), _text(external)) for pk, external, snat, up in rows]


def floating(*, router_ids: Ids, ids: Ids) -> list[Ties]:
    """All floating addresses in use, behind these routers and of these ids."""
    fields = ("pk", "address", "fixed_ip__address", "fixed_ip__port_id", "router_id")
    rows = FloatingIP.objects.filter(Q(router_id__in=router_ids) | Q(pk__in=ids), fixed_ip__isnull=False).order_by("pk")
    return [
        Ties(
            str(pk), str(router_id),
            raw(v2.Floating(id=str(pk), address=str(address), fixed=str(fixed), port=str(port_id), router=str(router_id))),
        )
        for pk, address, fixed, port_id, router_id in rows.values_list(*fields)
    ]


def groups(ids: Ids) -> dict[str, msgspec.Raw]:
    """Group id → with its rules; a group that is gone has none."""
    rules: dict[str, list[v2.Rule]] = {id_: [] for id_ in ids}
    fields = ("group_id", "direction", "family", "protocol", "first", "last", "cidr", "remote_group_id")
    for group_id, direction, family, protocol, first, last, cidr, remote in (
        Rule.objects.filter(Q(group_id__in=ids)).order_by("pk").values_list(*fields)
    ):
        rules[str(group_id)].append(
            v2.Rule(
                ingress=direction == Direction.INGRESS, family=family, protocol=protocol, first=first, last=last, cidr=cidr,
                group=_text(remote),
            )
        )
    return {id_: raw(v2.Group(id=id_, rules=each)) for id_, each in rules.items()}


def members(*, group_ids: Ids, port_ids: Ids) -> Members:
    """Who is in these groups, and in which groups these ports are; only ports on hosts count."""
    found = Members()
    if not group_ids and not port_ids:
        return found
    asked = Q(group_id__in=group_ids) if group_ids else Q(port_id__in=port_ids)
    if group_ids and port_ids:
        asked = asked | Q(port_id__in=port_ids)
    plugged = Q(port__device_kind=DeviceKind.INSTANCE.value, port__host_id__isnull=False)
    rows = PortGroup.objects.filter(asked, plugged).order_by("pk", "port__fixed_ips__pk")
    addresses: dict[tuple[uuid.UUID, uuid.UUID], list[str]] = {}
    for port_id, group_id, address in rows.values_list("port_id", "group_id", "port__fixed_ips__address"):
        addresses.setdefault((port_id, group_id), []).extend([] if address is None else [str(address)])
    for (port_id, group_id), each in addresses.items():
        group, port = str(group_id), str(port_id)
        found.of.setdefault(group, {})[port] = raw(v2.Member(id=member_id(group, port), group=group, addresses=each))
    return found


def member_id(group: str, port: str) -> str:
    return f"{group}/{port}"


def named_by(group_ids: Ids) -> dict[str, set[str]]:
    """Group id → the groups that its rules name."""
    found: dict[str, set[str]] = {}
    rows = Rule.objects.filter(Q(group_id__in=group_ids), remote_group_id__isnull=False)
    for group_id, remote in rows.values_list("group_id", "remote_group_id").distinct().order_by():
        found.setdefault(str(group_id), set()).add(str(remote))
    return found


def domains(refs: Iterable[Any]) -> dict[str, str]:
    """Network id → router id ("" without): all networks of the routing domains of these networks and routers."""
    asked = {str(ref) for ref in refs}
    if not asked:
        return {}
    first = _networks_of(Q(pk__in=asked) | Q(router_id__in=asked))
    routers = {router for router in first.values() if router} - asked
    return first | _networks_of(Q(router_id__in=routers)) if routers else first


def _networks_of(which: Q) -> dict[str, str]:
    return {str(pk): _text(router) for pk, router in Network.objects.filter(which).values_list("pk", "router_id")}


@dataclass
class Plugged:
    """What is plugged in on some hosts: host → port → network; port → groups; network → router ("" without)."""

    ports: dict[str, dict[str, str]] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    routers: dict[str, str] = field(default_factory=dict)

    def networks_on(self, host_id: str) -> set[str]:
        return set(self.ports.get(host_id, {}).values())

    def groups_on(self, host_id: str) -> frozenset[str]:
        return frozenset(group for port in self.ports.get(host_id, ()) for group in self.groups.get(port, ()))


def plugged_on(host_ids: Collection[Any]) -> Plugged:
    """All on these hosts."""
    found = Plugged()
    fields = ("pk", "network_id", "host_id", "network__router_id", "memberships__group_id")
    rows = Port.objects.filter(PLUGS, host_id__in=host_ids).order_by("pk", "memberships__pk")
    for pk, network_id, host_id, router_id, group_id in rows.values_list(*fields):
        port, network = str(pk), str(network_id)
        found.ports.setdefault(str(host_id), {})[port] = network
        found.routers[network] = _text(router_id)
        if group_id is not None:
            found.groups.setdefault(port, []).append(str(group_id))
    return found


def joined_by(router_ids: Ids) -> dict[str, set[str]]:
    """Router id → all its networks."""
    found: dict[str, set[str]] = {}
    for pk, router_id in Network.objects.filter(router_id__in=router_ids).values_list("pk", "router_id"):
        found.setdefault(str(router_id), set()).add(str(pk))
    return found


def _text(id_: uuid.UUID | None) -> str:
    return "" if id_ is None else str(id_)
