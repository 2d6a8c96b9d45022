"""The world's side of ways out: namespaces of external networks, and what is ours in the host's own. Pure."""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agent.drivers.openvswitch import names
from agent.drivers.openvswitch.routing import rules
from agent.drivers.openvswitch.routing.kernel import Neighbour, Route
from agent.drivers.openvswitch.routing.wanted import (
    DEFAULT,
    FROM_OUTSIDE,
    ROOT,
    Device,
    Pair,
    Site,
    Space,
    Uplink,
    address_of,
    behind,
    has_ipv6,
    kernel_settings,
    mac_of,
    networks_by_domain,
    range_of,
)
from agent.drivers.openvswitch.services.frames import link_local
from agent.network.desired import Desired
from contracts.network import v2 as network

# Answers for floating addresses; without these the kernel waits up to 0.8 s before each.
_ANSWERS_AT_ONCE = (
    (f"ipv6/conf/{names.EXTERNAL}/proxy_ndp", "1"),
    (f"ipv4/neigh/{names.EXTERNAL}/proxy_delay", "0"),
    (f"ipv6/neigh/{names.EXTERNAL}/proxy_delay", "0"),
)


def outside(
    way: network.WayOut,
    routers: list[network.Router],
    desired: Desired,
    site: Site,
    up: Mapping[str, Uplink],
    floating: Mapping[str, Mapping[str, str]],
) -> Space:
    """The namespace of an external network: this host's addresses there, and what it answers for."""
    net = way.network
    mac = way.mac or mac_of(f"{site.host_id} {net.id}")
    towards = _towards(routers, site, up, floating)
    addresses = {(names.EXTERNAL, str(ipaddress.ip_interface(each))) for each in way.addresses}
    gateways = (ipaddress.ip_address(each) for each in way.gateways)
    routes = {Route(DEFAULT[each.version], names.EXTERNAL, via=str(each)) for each in gateways}
    plain = _plain(routers, desired, site, towards.routes)
    # With a table of their own for the first, floating addresses must be in it, too.
    inward = {each._replace(table=FROM_OUTSIDE) for each in towards.routes if plain}
    pair = Pair(here=names.EXTERNAL, there=names.outside_port(net.id), there_space=ROOT, mac=mac, mtu=net.mtu)
    table = names.table(net.id)
    wanted = rules.World(
        transits=towards.ranges, floating=towards.floating, plain=tuple(each.destination for each in plain)
    )  # fmt: skip
    return Space(
        name=names.outside(net.id),
        of=net.id,
        pairs=(pair,),
        devices=(Device(name=names.EXTERNAL, mac=mac, mtu=net.mtu), *towards.devices),
        settings=(*kernel_settings(forwards=True), *_ANSWERS_AT_ONCE),
        addresses=frozenset(addresses | {(names.EXTERNAL, f"{link_local(mac)}/64")} | towards.addresses),
        routes=frozenset(routes | towards.routes | inward | plain),
        neighbours=frozenset(towards.neighbours),
        proxies=frozenset((names.EXTERNAL, each) for each in towards.floating),
        from_outside=bool(plain),
        table=table,
        text=rules.outside(table, wanted, vxlan_port=site.vxlan_port),
        announce=names.EXTERNAL,
    )


def root(
    desired: Desired,
    site: Site,
    up: Mapping[str, Uplink],
    floating: Mapping[str, Mapping[str, str]],
    plugs: Iterable[str],
) -> Space:
    """What is ours in the host's own namespace."""
    towards = _towards([desired.routers[id_] for id_ in behind(up, ROOT)], site, up, floating)
    overlays = [net for net in desired.networks.values() if net.kind is network.Kind.VXLAN]
    away = {port.host for port in desired.ports.values() if not port.here and port.host}
    inside = [*plugs, *(names.tap(port.id) for port in desired.here()), *(names.vxlan(net.id) for net in overlays)]
    text = rules.host(
        site.root_table,
        rules.World(transits=towards.ranges, floating=towards.floating),
        vxlan_port=site.vxlan_port,
        plugs=inside,
        peers={address_of(each) for each in away} if overlays else None,
    )
    return Space(
        name=ROOT,
        devices=tuple(towards.devices),
        addresses=frozenset(towards.addresses),
        routes=frozenset(towards.routes),
        neighbours=frozenset(towards.neighbours),
        table=site.root_table,
        text=text if inside else "",
    )


@dataclass(frozen=True, kw_only=True)
class _World:
    """The outer ends of transits."""

    devices: list[Device]
    addresses: set[tuple[str, str]]
    routes: set[Route]
    neighbours: set[Neighbour]
    ranges: dict[str, tuple[str, ...]]
    floating: tuple[str, ...]


def _towards(
    routers: Iterable[network.Router], site: Site, up: Mapping[str, Uplink], floating: Mapping[str, Mapping[str, str]]
) -> _World:
    devices, addresses, routes, neighbours = [], set(), set(), set()
    ranges: dict[str, tuple[str, ...]] = {}
    answered: set[str] = set()
    for router in routers:
        if (transit := site.transits.get(router.id)) is None:
            continue
        pair = up[router.id].pair
        ends = transit.ends(ipv6=has_ipv6(router, site))
        devices.append(Device(name=pair.here, mac=pair.mac, mtu=pair.mtu, offloads=True))
        addresses |= {(pair.here, end.outer_interface) for end in ends} | {(pair.here, f"{link_local(pair.mac)}/64")}
        neighbours |= {Neighbour(pair.here, end.inner, pair.there_mac) for end in ends}
        inner = {end.version: end.inner for end in ends}
        for address in floating.get(router.id, ()):
            if (version := ipaddress.ip_address(address).version) in inner:
                routes.add(Route(str(range_of(address)), pair.here, via=inner[version]))
                answered.add(address)
        ranges[pair.here] = tuple(end.range for end in ends)
    return _World(
        devices=devices,
        addresses=addresses,
        routes=routes,
        neighbours=neighbours,
        ranges=ranges,
        floating=tuple(sorted(answered)),
    )


def _plain(routers: Iterable[network.Router], desired: Desired, site: Site, floating: set[Route]) -> set[Route]:
    """Ways to the ranges of routers without NAT, for what comes in from outside. The first router with a range has it."""
    taken = {each.destination for each in floating}
    found = set()
    for router in routers:
        if router.snat or (transit := site.transits.get(router.id)) is None:
            continue
        inner = {end.version: end.inner for end in transit.ends(ipv6=has_ipv6(router, site))}
        for net in networks_by_domain(desired).get(router.id, []):
            for range_ in (range_of(subnet.cidr) for subnet in net.subnets if subnet.routed):
                if str(range_) not in taken and range_.version in inner:
                    taken.add(str(range_))
                    found.add(Route(str(range_), names.transit(router.id), via=inner[range_.version], table=FROM_OUTSIDE))
    return found
