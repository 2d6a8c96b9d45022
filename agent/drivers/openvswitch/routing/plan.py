"""From the desired state to the namespaces that a host should have, with all that is in them. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from agent.drivers.openvswitch import names
from agent.drivers.openvswitch.routing import rules, world
from agent.drivers.openvswitch.routing.kernel import Neighbour, Route
from agent.drivers.openvswitch.routing.transit import End
from agent.drivers.openvswitch.routing.wanted import (
    DEFAULT,
    METADATA,
    METADATA6,
    ROOT,
    Device,
    Pair,
    Plan,
    Range,
    Site,
    Space,
    Uplink,
    address_of,
    behind,
    has_ipv6,
    is_host,
    kernel_settings,
    networks_by_domain,
    overlap,
    range_of,
)
from agent.drivers.openvswitch.services.frames import link_local
from agent.network.desired import Desired
from contracts.network import v2 as network


def uplinks(desired: Desired) -> dict[str, Uplink]:
    """Router id → the pair that leads out of it, for routers that are up."""
    mtus: defaultdict[str, int] = defaultdict(lambda: 1500)
    for net in desired.networks.values():
        mtus[net.router] = max(mtus[net.router], net.mtu)
    return {
        router.id: Uplink(
            router=router.id,
            space=names.namespace(router.id),
            outer_space=ROOT if is_host(router.out) else names.outside(router.out.network.id),
            mtu=max(mtus[router.id], router.out.network.mtu),
        )
        for router in desired.routers.values()
        if router.out is not None and router.up and router.id in mtus
    }


def spaces(desired: Desired) -> dict[str, list[str]]:
    """Every namespace that should be here → devices of the host that belong to it."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for domain, nets in networks_by_domain(desired).items():
        found[names.namespace(domain)] += [names.gateway_port(net.id) for net in nets]
    for uplink in uplinks(desired).values():
        if uplink.outer_space == ROOT:
            found[uplink.space].append(names.transit(uplink.router))
    for id_ in _ways_out(desired):
        found[names.outside(id_)].append(names.outside_port(id_))
    return dict(found)


def plan(desired: Desired, site: Site) -> Plan:
    """All namespaces. Routers whose transit is not known yet stay without a way out."""
    ways, here, up = _ways_out(desired), {port.id for port in desired.here()}, uplinks(desired)
    floating: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for each in desired.floating.values():
        if each.port in here and each.router in site.transits:
            floating[each.router][address_of(each.address)] = address_of(each.fixed)
    domains = networks_by_domain(desired)
    of_network: defaultdict[str, list[network.Port]] = defaultdict(list)
    for port in desired.ports.values():
        of_network[port.network].append(port)
    plugs = {names.gateway_port(net.id): net.mtu for nets in domains.values() for net in nets}
    plugs |= {names.outside_port(id_): way.network.mtu for id_, way in ways.items()}
    return Plan(
        root=world.root(desired, site, up, floating, plugs),
        outsides=tuple(
            world.outside(way, [desired.routers[id_] for id_ in behind(up, names.outside(of))], desired, site, up, floating)
            for of, way in sorted(ways.items())
        ),
        domains=tuple(
            _domain(id_, nets, desired.routers.get(id_), of_network, site, up.get(id_), floating[id_])
            for id_, nets in sorted(domains.items())
        ),
        plugs=plugs,
    )


def _domain(
    id_: str,
    nets: list[network.Network],
    router: network.Router | None,
    ports: Mapping[str, list[network.Port]],
    site: Site,
    uplink: Uplink | None,
    floating: Mapping[str, str],
) -> Space:
    """The namespace of a router, or of a network without one."""
    routed = [range_of(subnet.cidr) for net in nets for subnet in net.subnets if subnet.routed]
    parts = _Parts()
    for net in nets:
        parts.add_gateway(net, routed, ports.get(net.id, []))
    routes = router is not None and router.up
    wanted = rules.Router(routed=tuple(map(str, routed)) if routes else ())
    transit = site.transits.get(id_)
    if router is not None and uplink is not None and transit is not None:
        parts.add_uplink(uplink, transit.ends(ipv6=has_ipv6(router, site)))
        plain = not router.snat and uplink.outer_space != ROOT
        wanted = replace(wanted, floating=floating, out=True, snat=router.snat, plain=plain)
    table = names.table(id_)
    return Space(
        name=names.namespace(id_),
        of=id_,
        pairs=tuple(parts.pairs),
        devices=tuple(parts.devices),
        settings=kernel_settings(forwards=routes),
        addresses=frozenset(parts.addresses),
        routes=frozenset(parts.routes),
        neighbours=frozenset(parts.neighbours),
        table=table,
        text=rules.router(table, wanted),
        floating=wanted.floating,
    )


@dataclass
class _Parts:
    """A routing domain's namespace while it is put together."""

    pairs: list[Pair] = field(default_factory=list)
    devices: list[Device] = field(default_factory=list)
    addresses: set[tuple[str, str]] = field(default_factory=set)
    routes: set[Route] = field(default_factory=set)
    neighbours: set[Neighbour] = field(default_factory=set)

    def add_gateway(self, net: network.Network, routed: list[Range], ports: Iterable[network.Port]) -> None:
        device, mac = names.gateway(net.id), names.gateway_mac(net.id)
        self.pairs.append(Pair(here=device, there=names.gateway_port(net.id), there_space=ROOT, mac=mac, mtu=net.mtu))
        self.devices.append(Device(name=device, mac=mac, mtu=net.mtu))
        self.addresses |= {(device, f"{METADATA}/32"), (device, f"{METADATA6}/128"), (device, f"{link_local(mac)}/64")}
        for subnet in net.subnets:
            range_ = range_of(subnet.cidr)
            if subnet.routed and subnet.gateway:
                self.addresses.add((device, f"{address_of(subnet.gateway)}/{range_.prefixlen}"))
            elif not any(overlap(range_, other) for other in routed):
                # Guests there are answered, by the service addresses only. A range that the router has elsewhere wins.
                self.routes.add(Route(str(range_), device, source=METADATA if range_.version == 4 else METADATA6))
        for port in ports:
            self.neighbours |= {Neighbour(device, address_of(each.address), port.mac) for each in port.addresses}

    def add_uplink(self, uplink: Uplink, ends: list[End]) -> None:
        pair = uplink.pair
        self.devices.append(Device(name=names.UPLINK, mac=pair.there_mac, mtu=uplink.mtu, offloads=True))
        self.addresses.add((names.UPLINK, f"{link_local(pair.there_mac)}/64"))
        for end in ends:
            self.addresses.add((names.UPLINK, end.inner_interface))
            self.routes.add(Route(DEFAULT[end.version], names.UPLINK, via=end.outer))
            self.neighbours.add(Neighbour(names.UPLINK, end.outer, pair.mac))


def _ways_out(desired: Desired) -> dict[str, network.WayOut]:
    """External networks that have a namespace here."""
    ways = (desired.routers[id_].out for id_ in sorted(uplinks(desired)))
    return {way.network.id: way for way in ways if way is not None and not is_host(way)}
