"""What a host's namespaces should be, from the desired state alone."""

import ipaddress
import itertools
import uuid

import msgspec
import pytest

from agent.drivers.openvswitch import names
from agent.drivers.openvswitch.routing import announce, kernel, plan, rules, transit
from agent.drivers.openvswitch.routing.kernel import Neighbour, Route
from agent.drivers.openvswitch.routing.transit import Transit
from agent.drivers.openvswitch.routing.wanted import FROM_OUTSIDE, METADATA, METADATA6, ROOT, Plan, Site
from agent.drivers.openvswitch.services.frames import link_local
from agent.network.desired import Desired
from contracts.network import v2 as network

_numbers = itertools.count(1)


def an_id() -> str:
    return str(uuid.UUID(int=next(_numbers)))


def a_network(*cidrs: str, router: str = "", routed: bool = True, **more: object) -> network.Network:
    gateways = [str(ipaddress.ip_network(cidr)[1]) for cidr in cidrs]
    subnets = [
        network.Subnet(id=an_id(), cidr=cidr, gateway=gateway, routed=routed)
        for cidr, gateway in zip(cidrs, gateways, strict=True)
    ]
    made = network.Network(id=an_id(), kind=network.Kind.VXLAN, router=router, subnets=subnets)
    return msgspec.structs.replace(made, **more)


def a_port(net: network.Network, *addresses: str, here: bool = True, host: str = "") -> network.Port:
    number = next(_numbers)
    fixed = [network.Address(subnet=net.subnets[0].id, address=address) for address in addresses]
    return network.Port(id=an_id(), network=net.id, mac=f"fa:16:3e:00:00:{number:02x}", addresses=fixed, here=here, host=host)


def an_outside(**more: object) -> network.WayOut:
    net = network.Network(id=an_id(), kind=network.Kind.VLAN, segment=100, physical="wire", mtu=1500)
    addresses, gateways = ["203.0.113.9/24"], ["203.0.113.1"]
    return network.WayOut(**{"network": net, "addresses": addresses, "gateways": gateways, **more})  # type: ignore[arg-type]


HOST_WAY_OUT = network.WayOut(network=network.Network(id=an_id(), kind=network.Kind.HOST))


def a_router(out: network.WayOut | None = HOST_WAY_OUT, **more: object) -> network.Router:
    return network.Router(**{"id": an_id(), "out": out, **more})  # type: ignore[arg-type]


def a_floating(router: network.Router, port: network.Port, address: str) -> network.Floating:
    return network.Floating(id=an_id(), address=address, fixed=port.addresses[0].address, port=port.id, router=router.id)


def desired(*objects: object) -> Desired:
    kinds = {"networks": network.Network, "ports": network.Port, "routers": network.Router, "floating": network.Floating}
    found = {name: [each for each in objects if isinstance(each, kind)] for name, kind in kinds.items()}
    return Desired.of(network.State(generation=1, objects=network.Objects(**found)))  # type: ignore[arg-type]


def planned(wanted: Desired, *, ipv6: bool = False) -> Plan:
    transits = {id_: next(transit.candidates(id_)) for id_ in plan.uplinks(wanted)}
    return plan.plan(wanted, Site(host_id="host-1", root_table="cloudsite_x", ipv6=ipv6, transits=transits))


def test_a_router_is_one_namespace_with_all_gateways_and_service_addresses() -> None:
    router = a_router(None)
    one, other = a_network("10.1.0.0/24", "fd01::/64", router=router.id), a_network("10.2.0.0/24", router=router.id)
    (space,) = planned(desired(router, one, other)).domains
    first, second = names.gateway(one.id), names.gateway(other.id)
    assert space.name == names.namespace(router.id)
    assert {pair.here for pair in space.pairs} == {first, second} == {device.name for device in space.devices}
    assert {(first, "10.1.0.1/24"), (first, "fd01::1/64"), (second, "10.2.0.1/24")} <= space.addresses
    for device, net in ((first, one), (second, other)):
        local = link_local(names.gateway_mac(net.id))
        assert {(device, f"{METADATA}/32"), (device, f"{METADATA6}/128"), (device, f"{local}/64")} <= space.addresses
    assert space.routes == frozenset()


def test_two_networks_without_router_are_two_namespaces_that_forward_nothing() -> None:
    nets = a_network("10.1.0.0/24", routed=False), a_network("10.1.0.0/24", routed=False)
    spaces = planned(desired(*nets)).domains
    assert {space.name for space in spaces} == {names.namespace(net.id) for net in nets}
    for space in spaces:
        assert ("ipv4/ip_forward", "0") in space.settings and ("ipv6/conf/all/forwarding", "0") in space.settings
        assert not any(interface.startswith("10.") for _, interface in space.addresses)
        assert [(route.destination, route.source) for route in space.routes] == [("10.1.0.0/24", METADATA)]


def test_a_range_that_is_not_routed_yields_to_one_that_is() -> None:
    router = a_router(None)
    one = a_network("10.1.0.0/24", router=router.id)
    shadow = a_network("10.1.0.0/16", router=router.id, routed=False)
    (space,) = planned(desired(router, one, shadow)).domains
    assert space.routes == frozenset()


def test_every_port_of_the_domain_is_a_known_neighbour_wherever_it_is() -> None:
    router = a_router(None)
    one = a_network("10.1.0.0/24", "fd01::/64", router=router.id)
    elsewhere = a_network("10.1.0.0/24")
    here, away = a_port(one, "10.1.0.5", "fd01:0::5"), a_port(one, "10.1.0.6", here=False, host="192.0.2.7")
    other = a_port(elsewhere, "10.1.0.5")
    spaces = {space.of: space for space in planned(desired(router, one, elsewhere, here, away, other)).domains}
    device = names.gateway(one.id)
    assert spaces[router.id].neighbours == {
        Neighbour(device, "10.1.0.5", here.mac),
        Neighbour(device, "fd01::5", here.mac),
        Neighbour(device, "10.1.0.6", away.mac),
    }
    assert {each.mac for each in spaces[elsewhere.id].neighbours} == {other.mac}


def test_gateways_are_the_same_on_every_host() -> None:
    router = a_router(None)
    wanted = desired(router, a_network("10.1.0.0/24", "fd01::/64", router=router.id))
    one, other = (plan.plan(wanted, Site(host_id=host, root_table=f"t_{host}")).domains for host in ("a", "b"))
    assert one == other


def test_only_the_host_of_its_port_answers_for_a_floating_address() -> None:
    router = a_router(an_outside())
    net = a_network("10.1.0.0/24", router=router.id)
    here, away = a_port(net, "10.1.0.5"), a_port(net, "10.1.0.6", here=False, host="192.0.2.7")
    mine, others = a_floating(router, here, "203.0.113.50"), a_floating(router, away, "203.0.113.51")
    found = planned(desired(router, net, here, away, mine, others))
    (outside,), (domain,) = found.outsides, found.domains
    assert outside.proxies == {(names.EXTERNAL, "203.0.113.50")}
    assert domain.floating == {"203.0.113.50": "10.1.0.5"}
    assert "203.0.113.50/32" in {route.destination for route in outside.routes}
    assert "203.0.113.51" not in outside.text + domain.text


def test_an_external_network_has_the_hosts_address_and_a_way_on() -> None:
    way = an_outside(mac="fa:16:3e:11:22:33")
    router = a_router(way)
    (outside,) = planned(desired(router, a_network("10.1.0.0/24", router=router.id))).outsides
    assert (names.EXTERNAL, "203.0.113.9/24") in outside.addresses
    assert Route("0.0.0.0/0", names.EXTERNAL, via="203.0.113.1") in outside.routes
    (pair,) = outside.pairs
    assert (pair.there, pair.mac) == (names.outside_port(way.network.id), "fa:16:3e:11:22:33")


def test_hosts_have_different_macs_in_an_external_network_if_nobody_said_which() -> None:
    router = a_router(an_outside())
    wanted = desired(router, a_network("10.1.0.0/24", router=router.id))
    macs = {plan.plan(wanted, Site(host_id=host, root_table="t")).outsides[0].pairs[0].mac for host in ("a", "b")}
    assert len(macs) == 2


def test_two_routers_share_the_namespace_of_their_external_network() -> None:
    way = an_outside()
    routers = a_router(way), a_router(way)
    nets = [a_network("10.1.0.0/24", router=router.id) for router in routers]
    found = planned(desired(*routers, *nets))
    (outside,) = found.outsides
    assert {device.name for device in outside.devices} == {names.EXTERNAL, *(names.transit(router.id) for router in routers)}
    uplinks = [{address for device, address in space.addresses if device == names.UPLINK} for space in found.domains]
    assert not uplinks[0] & uplinks[1]


@pytest.mark.parametrize("changed", [{"up": False}, {"out": None}])
def test_a_router_that_is_down_or_has_no_way_out_has_no_uplink(changed: dict[str, object]) -> None:
    router = a_router()
    net = a_network("10.1.0.0/24", router=router.id)
    port = a_port(net, "10.1.0.5")
    closed = msgspec.structs.replace(router, **changed)
    found = planned(desired(closed, net, port, a_floating(router, port, "203.0.113.50")))
    assert found.root.devices == () and found.root.routes == frozenset()
    assert names.UPLINK not in {device.name for device in found.domains[0].devices}
    assert "203.0.113.50" not in found.domains[0].text


def test_a_router_without_nat_is_reachable_from_its_external_network_only() -> None:
    way = an_outside()
    routers = a_router(way, snat=False), a_router(way, snat=False)
    nets = [a_network("10.1.0.0/24", router=router.id) for router in routers]
    (outside,) = planned(desired(*routers, *nets)).outsides
    plain = [route for route in outside.routes if route.destination == "10.1.0.0/24"]
    assert [(route.table, route.device) for route in plain] == [(FROM_OUTSIDE, names.transit(routers[0].id))]
    assert outside.from_outside


def test_the_host_has_no_route_to_tenants_ranges_whatever_the_router_says() -> None:
    router = a_router(snat=False)
    found = planned(desired(router, a_network("192.0.2.0/24", router=router.id)))
    assert found.root.routes == frozenset()
    assert "masquerade" not in found.domains[0].text.partition("ct status dnat masquerade")[2]


def test_ipv6_leads_out_of_a_host_that_has_it() -> None:
    router = a_router()
    wanted = desired(router, a_network("fd01::/64", router=router.id))
    for ipv6 in (False, True):
        (domain,) = planned(wanted, ipv6=ipv6).domains
        assert ("::/0" in {route.destination for route in domain.routes}) is ipv6


def test_vxlan_is_taken_from_the_hosts_of_ports_elsewhere() -> None:
    router = a_router()
    net = a_network("10.1.0.0/24", router=router.id)
    ports = a_port(net, "10.1.0.5"), a_port(net, "10.1.0.6", here=False, host="192.0.2.7"), a_port(net, "10.1.0.7", here=False)
    text = planned(desired(router, net, *ports)).root.text
    assert "elements = { 192.0.2.7 }" in text and "udp dport 4789 ip saddr != @peers4 drop" in text
    flat = msgspec.structs.replace(net, kind=network.Kind.FLAT)
    assert "@peers4" not in planned(desired(router, flat, *ports)).root.text


def test_a_host_with_nothing_has_no_table() -> None:
    assert planned(desired()).root.text == ""


def test_spaces_name_what_the_plan_makes() -> None:
    """What is removed is found by them."""
    way = an_outside()
    hosted, wired = a_router(), a_router(way)
    nets = [a_network("10.1.0.0/24", router=hosted.id), a_network("10.1.0.0/24", router=wired.id), a_network("10.1.0.0/24")]
    wanted = desired(hosted, wired, *nets)
    found = planned(wanted)
    spaces = plan.spaces(wanted)
    assert spaces.keys() == {space.name for space in (*found.outsides, *found.domains)}
    of_host = {pair.there for space in (*found.outsides, *found.domains) for pair in space.pairs if pair.there_space == ROOT}
    assert {device for devices in spaces.values() for device in devices} == of_host | {names.transit(hosted.id)}


def test_the_plan_and_its_texts_do_not_depend_on_the_order_of_objects() -> None:
    router = a_router(an_outside())
    nets = [a_network(f"10.{number}.0.0/24", router=router.id) for number in range(1, 5)]
    ports = [a_port(net, f"10.{number}.0.5") for number, net in enumerate(nets, 1)]
    floating = [a_floating(router, port, f"203.0.113.{number}") for number, port in enumerate(ports, 50)]
    objects = [router, *nets, *ports, *floating]
    assert planned(desired(*objects)) == planned(desired(*reversed(objects)))


def test_a_table_says_its_own_digest_and_another_text_another_one() -> None:
    one, other = (rules.router("t", rules.Router(routed=(cidr,))) for cidr in ("10.1.0.0/24", "10.2.0.0/24"))
    assert rules.digest_of_table(one) == rules.digest_of_table(rules.router("t", rules.Router(routed=("10.1.0.0/24",))))
    assert rules.digest_of_table(one) != rules.digest_of_table(other)


def test_no_chain_drops_by_policy() -> None:
    """One that does drops everything between its making and that of its rules."""
    texts = [
        rules.router("t", rules.Router(routed=("10.1.0.0/24",), out=True, snat=True)),
        rules.outside("t", rules.World(), vxlan_port=4789),
        rules.host("t", rules.World(), vxlan_port=4789),
    ]
    assert not any("policy" in text for text in texts)


def test_transit_ranges_are_link_local_and_leave_the_clouds_own_alone() -> None:
    found = [each.network for each in transit.candidates(an_id())]
    assert len(found) == len(set(found)) == (254 - 1) * 64
    assert all(each.subnet_of(transit.LINK_LOCAL) and "169.254.169." not in str(each) for each in found)


def test_routers_begin_to_look_at_different_places() -> None:
    assert len({next(transit.candidates(an_id())) for _ in range(50)}) > 40


def test_names_of_devices_are_short_enough_for_the_kernel() -> None:
    made = (names.gateway_port, names.gateway, names.transit, names.outside_port)
    assert max(len(name(str(uuid.uuid4()))) for name in made) <= 15


def test_a_transit_range_is_chosen_where_nobody_has_an_address() -> None:
    router = an_id()
    first, second = itertools.islice(transit.candidates(router), 2)
    assert transit.choose(router, ["10.0.0.1/8", "fe80::1/64"]) == first
    assert transit.choose(router, [f"{first.network[2]}/16"]) == second
    assert transit.choose(router, [f"{each.network[1]}/30" for each in transit.candidates(router)]) is None


def test_a_transit_is_known_again_by_the_address_of_its_outer_end() -> None:
    first = next(transit.candidates(an_id()))
    four, six = first.ends(ipv6=True)
    assert Transit.of(four.outer_interface) == first
    assert [Transit.of(each) for each in (four.inner_interface, six.outer_interface, "10.0.0.1/30")] == [None] * 3


def test_transits_differ_in_ipv6_where_they_differ_in_ipv4() -> None:
    found = [each.ends(ipv6=True)[1].range for each in transit.candidates(an_id())]
    assert len(set(found)) == len(found)


def test_announcements_are_what_neighbours_heed() -> None:
    request, reply = announce.frames("fa:16:3e:00:00:01", "203.0.113.5")
    for frame in (request, reply):
        assert frame[:6] == b"\xff" * 6 and frame[6:12].hex(":") == "fa:16:3e:00:00:01" == frame[22:28].hex(":")
        assert frame[28:32] == frame[38:42] == bytes([203, 0, 113, 5])
    (advertisement,) = announce.frames("fa:16:3e:00:00:01", "2001:db8::5")
    assert advertisement[:6].hex(":") == "33:33:00:00:00:01" and advertisement[54] == 136
    assert advertisement[58] & 0x20, "it overrides what the neighbour believed"
    assert advertisement[21] == 255, "hop limit"


def test_routes_are_told_apart_by_table() -> None:
    assert kernel.Route("10.0.0.0/8", "ext0") != kernel.Route("10.0.0.0/8", "ext0", table=FROM_OUTSIDE)
