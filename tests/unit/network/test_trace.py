"""Whether two ports can talk, decided from facts alone: every reason for a no, and that there is none for a yes."""

from dataclasses import replace
from typing import Any

import pytest

from apps.common.errors import Invalid
from apps.network.trace import Facts, Hop, Trace, follow, question
from apps.network.trace.facts import Address, Host, Network, Port, Router, Rule, Subnet
from apps.network.trace.question import traffic

OUT = Network(id="out", name="outside", kind="vlan", segment=7, wire="uplink")
ROUTER = Router(id="r1", name="home", out=OUT)
LAN = Network(id="n1", name="lan", kind="vxlan", segment=1000)
WEB = Network(id="n2", name="web", kind="vxlan", segment=1001)
SUBNET = Subnet(id="s1", cidr="10.1.0.0/24", gateway="10.1.0.1", router=ROUTER)
SUBNET6 = Subnet(id="s6", cidr="fd00:1::/64", gateway="fd00:1::1", router=ROUTER)
FAR = Subnet(id="s2", cidr="10.2.0.0/24", gateway="10.2.0.1", router=ROUTER)
ONE = Host(id="h1", name="hv1", tunnel="192.0.2.1", told=5, applied=5)
TWO = Host(id="h2", name="hv2", tunnel="192.0.2.2", told=5, applied=5)
OUTWARD = Rule(ingress=False, family=4, group_name="default")
INWARD = Rule(ingress=True, family=4, protocol=1, group_name="default")


def port(name: str = "a", **fields: Any) -> Port:
    given = {
        "network": LAN, "host": ONE, "addresses": (Address(address="10.1.0.5", subnet=SUBNET),), "groups": ("default",),
        "rules": (OUTWARD, INWARD), **fields,
    }
    return Port(id=name, label=name, **given)


A = port()
B = port("b", host=TWO, addresses=(Address(address="10.1.0.6", subnet=SUBNET),))
C = port("c", host=TWO, network=WEB, addresses=(Address(address="10.2.0.6", subnet=FAR),))


def asked(source: Port | str = A, target: Port | str = B, *, protocol: str = "", to: int | None = None, family: int = 4, **fields: Any) -> Trace:
    return follow(Facts(source=source, target=target, traffic=traffic(protocol, to, family), **{"hosts_shown": True, **fields}))


def stopped(found: Trace) -> list[str]:
    """Names of the hops that say no."""
    assert found.verdict == "closed"
    assert all(hop.fix for hop in found.hops if hop.ok is False)
    return [hop.name for hop in found.hops if hop.ok is False]


def doubted(found: Trace) -> list[str]:
    assert found.verdict == "unsure"
    return [hop.name for hop in found.hops if hop.ok is None]


def hop(found: Trace, name: str) -> Hop:
    return next(each for each in found.hops if each.name == name)


# What works.


def test_two_ports_of_one_network_on_two_hosts_talk_through_a_tunnel() -> None:
    found = asked()
    assert found.verdict == "open"
    assert [each.name for each in found.hops] == [
        "source", "source.host", "egress", "route", "transport", "target", "target.host", "ingress",
    ]
    assert "VXLAN 1000 from 192.0.2.1 (hv1) to 192.0.2.2 (hv2)" in hop(found, "transport").detail


def test_two_ports_on_one_host_need_no_tunnel() -> None:
    bare = replace(ONE, tunnel="")
    assert asked(replace(A, host=bare), replace(B, host=bare)).verdict == "open"


def test_a_router_that_joins_both_networks_leads_from_one_to_the_other_and_back() -> None:
    found = asked(target=C)
    assert found.verdict == "open"
    assert [each.name for each in found.hops][3:8] == ["route", "router", "transport", "transport.back", "answers"]


def test_the_answer_names_the_rule_that_allows() -> None:
    assert hop(asked(), "ingress").detail == "Allowed by ingress IPv4 icmp from anybody of the security group default."


# The ports and their hosts.


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"device_kind": ""}, "attached to nothing"), ({"device_kind": "floating_ip"}, "floating ip"), ({"host": None}, "on no host"),
        ({"up": False}, "administratively down"),
    ],
)
def test_a_port_that_is_not_plugged_in_and_up_talks_to_nobody(fields: dict[str, Any], says: str) -> None:
    as_source, as_target = asked(replace(A, **fields)), asked(target=replace(B, **fields))
    assert "source" in stopped(as_source) and "target" in stopped(as_target)
    assert says in hop(as_source, "source").detail and says in hop(as_target, "target").detail


@pytest.mark.parametrize("about", ["a", "n1", "r1"])
def test_what_a_host_could_not_bring_about_stops_the_ports_that_need_it(about: str) -> None:
    found = asked(replace(A, host=replace(ONE, problems={about: "no room"})))
    assert stopped(found) == ["source.host"] and "no room" in found.summary


def test_a_host_without_networks_stops_its_ports() -> None:
    assert stopped(asked(replace(A, host=replace(ONE, speaks=False)))) == ["source.host"]


@pytest.mark.parametrize("fields", [{"up": False}, {"applied": 4}, {"problems": {"": "nft is missing"}}, {"told": 6}])
def test_a_host_that_is_silent_behind_or_unwell_makes_it_doubtful(fields: dict[str, Any]) -> None:
    assert doubted(asked(target=replace(B, host=replace(TWO, **fields)))) == ["target.host"]


def test_problems_with_other_things_do_not_matter() -> None:
    assert asked(replace(A, host=replace(ONE, problems={"another": "x"}))).verdict == "open"


# Addresses.


def test_a_port_without_an_address_of_the_family_says_so() -> None:
    found = asked(family=6)
    assert stopped(found) == ["address", "address"] and "a has no IPv6 address" in found.summary


def test_addresses_of_one_subnet_are_preferred() -> None:
    both = replace(A, addresses=(Address(address="10.2.0.9", subnet=FAR), *A.addresses))
    assert "straight to 10.1.0.6" in hop(asked(both), "route").detail


# Security groups.


def test_a_port_in_no_group_gets_and_sends_nothing() -> None:
    bare: dict[str, Any] = {"groups": (), "rules": ()}
    assert stopped(asked(replace(A, **bare), replace(B, **bare))) == ["egress", "ingress"]


def test_without_port_security_no_group_is_asked() -> None:
    found = asked(replace(A, security=False, rules=()), replace(B, security=False, rules=()))
    assert found.verdict == "open" and "off" in hop(found, "egress").detail


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"protocol": 6, "first": 22, "last": 22}, "other ports"), ({"protocol": 17, "first": 80}, "another protocol"),
        ({"protocol": 6, "first": 80, "cidr": "10.9.0.0/16"}, "10.1.0.5 is not in 10.9.0.0/16"), ({"family": 6}, "other family"),
        ({"protocol": 6, "first": 80, "last": 80, "remote": "g", "remote_name": "friends"}, "10.1.0.5 is no member of friends"),
        ({"protocol": 6, "first": 81, "last": 90}, "other ports"),
    ],
)
def test_the_nearest_rule_is_named_with_what_is_wrong_about_it(rule: dict[str, Any], reason: str) -> None:
    given = Rule(**{"ingress": True, "family": 4, "group_name": "web", **rule})
    found = asked(target=replace(B, rules=(given,)), to=80)
    assert stopped(found) == ["ingress"]
    assert "None of the 1 ingress rules of default allows tcp port 80 (IPv4) from 10.1.0.5. The nearest is ingress" in found.summary
    assert reason in found.summary
    assert "IPv4 tcp 80, other side 10.1.0.5/32 or wider" in hop(found, "ingress").fix


@pytest.mark.parametrize(
    "rule",
    [
        {}, {"protocol": 6}, {"protocol": 6, "first": 80}, {"protocol": 6, "first": 79, "last": 81}, {"cidr": "10.1.0.0/24"},
        {"cidr": "0.0.0.0/0"}, {"remote": "g"}, {"protocol": 6, "first": 80, "cidr": "10.1.0.5/32"},
    ],
)
def test_a_rule_that_fits_in_all_allows(rule: dict[str, Any]) -> None:
    given = Rule(ingress=True, family=4, group_name="web", **rule)
    assert asked(target=replace(B, rules=(given,)), to=80, members={"g": frozenset({"10.1.0.5"})}).verdict == "open"


def test_the_nearest_of_several_rules_is_the_one_with_least_wrong() -> None:
    rules = (
        Rule(ingress=True, family=6, protocol=17, first=9, group_name="web"), Rule(ingress=True, family=4, protocol=6, first=443, group_name="web"),
        Rule(ingress=True, family=4, protocol=17, first=80, group_name="web"),
    )
    assert "The nearest is ingress IPv4 tcp 443" in asked(target=replace(B, rules=rules), to=80).summary


def test_a_ping_needs_type_and_code_of_a_ping() -> None:
    for first, last, verdict in ((8, None, "open"), (8, 0, "open"), (8, 1, "closed"), (0, None, "closed")):
        rule = Rule(ingress=True, family=4, protocol=1, first=first, last=last, group_name="web")
        assert asked(target=replace(B, rules=(rule,))).verdict == verdict


def test_icmp_has_another_number_in_ipv6() -> None:
    six = [replace(each, addresses=(Address(address=address, subnet=SUBNET6),), rules=(
        Rule(ingress=False, family=6, group_name="d"), Rule(ingress=True, family=6, protocol=1, first=128, group_name="d")
    )) for each, address in ((A, "fd00:1::5"), (B, "fd00:1::6"))]
    assert asked(*six, family=6).verdict == "open"


def test_answers_of_what_is_not_tracked_need_rules_of_their_own() -> None:
    gre = Rule(ingress=True, family=4, protocol=47, group_name="d")
    source, target = replace(A, rules=(OUTWARD,)), replace(B, rules=(gre,))
    assert stopped(asked(source, target, protocol="47")) == ["answers.egress", "answers.ingress"]
    both = (OUTWARD, gre)
    assert asked(replace(A, rules=both), replace(B, rules=both), protocol="47").verdict == "open"


# Between hosts.


@pytest.mark.parametrize(
    ("tunnels", "says"),
    [(("", "192.0.2.2"), "Host hv1"), (("192.0.2.1", ""), "Host hv2"), (("192.0.2.1", "192.0.2.1"), "same"), (("192.0.2.1", "2001:db8::1"), "IPv6")],
)
def test_hosts_that_cannot_reach_each_other_by_vxlan_stop_it(tunnels: tuple[str, str], says: str) -> None:
    one, two = (replace(host, tunnel=tunnel) for host, tunnel in zip((ONE, TWO), tunnels, strict=True))
    found = asked(replace(A, host=one), replace(B, host=two))
    assert stopped(found) == ["transport"] and says in found.summary


def test_a_host_without_the_wire_stops_it() -> None:
    wired = Network(id="n3", name="rack", kind="vlan", segment=12, wire="rack1")
    one, two = replace(ONE, wires=frozenset({"rack1"})), replace(TWO, wires=frozenset({"rack2"}))
    found = asked(replace(A, network=wired, host=one), replace(B, network=wired, host=two))
    assert stopped(found) == ["transport"] and "Not plugged into the wire rack1 of rack: hv2." in found.summary
    fine = asked(replace(A, network=wired, host=one), replace(B, network=wired, host=replace(TWO, wires=frozenset({"rack1"}))))
    assert fine.verdict == "open" and "VLAN 12 on the wire rack1" in hop(fine, "transport").detail


def test_answers_come_back_in_the_network_of_the_source() -> None:
    wired = Network(id="n3", name="rack", kind="flat", wire="rack1")
    found = asked(replace(A, network=wired), C)
    assert stopped(found) == ["transport.back"]


# Between networks.


@pytest.mark.parametrize("which", ["source", "target"])
def test_a_subnet_without_a_router_is_the_missing_link(which: str) -> None:
    loose = {
        "source": replace(A, addresses=(Address(address="10.1.0.5", subnet=replace(SUBNET, router=None)),)),
        "target": replace(C, addresses=(Address(address="10.2.0.6", subnet=replace(FAR, router=None)),)),
    }
    ends: dict[str, Any] = {"source": A, "target": C, which: loose[which]}
    found = asked(**ends)
    cidr = {"source": "10.1.0.0/24", "target": "10.2.0.0/24"}[which]
    assert stopped(found) == {"source": ["route", "router"], "target": ["router", "answers"]}[which]
    assert hop(found, "router").fix == f"Attach {cidr} to the router home."


def test_routers_of_two_networks_are_not_joined() -> None:
    other = replace(FAR, router=Router(id="r2", name="away"))
    found = asked(target=replace(C, addresses=(Address(address="10.2.0.6", subnet=other),)))
    assert stopped(found) == ["router"] and "attached to the router home, 10.2.0.0/24 to away" in found.summary


def test_a_router_that_is_down_leads_nowhere() -> None:
    down = replace(ROUTER, up=False)
    found = asked(
        replace(A, addresses=(Address(address="10.1.0.5", subnet=replace(SUBNET, router=down)),)),
        replace(C, addresses=(Address(address="10.2.0.6", subnet=replace(FAR, router=down)),)),
    )
    assert stopped(found) == ["router"]


def test_a_subnet_without_gateway_gives_no_default_route() -> None:
    bare = replace(A, addresses=(Address(address="10.1.0.5", subnet=replace(SUBNET, gateway="", router=None)),))
    found = asked(bare, C)
    assert "a has no default route: its subnet 10.1.0.0/24 has no gateway" in found.summary


def test_the_same_range_in_two_networks_is_never_routed() -> None:
    twin = Subnet(id="s9", cidr="10.1.0.0/24", gateway="10.1.0.1", router=Router(id="r2", name="away"))
    found = asked(target=replace(C, addresses=(Address(address="10.1.0.77", subnet=twin),)))
    assert stopped(found) == ["route", "router", "answers"] and "own subnet of a" in found.summary


def test_a_host_route_to_somebody_else_makes_it_doubtful() -> None:
    led = replace(SUBNET, routes=(("10.0.0.0/8", "10.1.0.1"), ("10.2.0.0/16", "10.1.0.99")))
    found = asked(replace(A, addresses=(Address(address="10.1.0.5", subnet=led),)), C)
    assert doubted(found) == ["route"] and "10.1.0.99" in found.summary


def test_somebody_elses_router_on_a_wire_makes_it_doubtful() -> None:
    wired = Network(id="n3", name="rack", kind="flat", wire="rack1")
    loose = replace(SUBNET, router=None)
    host = replace(ONE, wires=frozenset({"rack1"}))
    found = asked(replace(A, network=wired, host=host, addresses=(Address(address="10.1.0.5", subnet=loose),)), "198.51.100.7")
    assert doubted(found) == ["route"]


# Out, and in.

WORLD = {"out": (("203.0.113.0/24", "203.0.113.1"),)}
LED = replace(ONE, outside={"out": ("203.0.113.9",)})
LEFT = replace(A, host=LED)


def test_a_guest_leaves_under_an_address_of_its_host() -> None:
    found = asked(LEFT, "198.51.100.7", outside=WORLD)
    assert found.verdict == "open" and [each.name for each in found.hops][3:] == ["route", "router", "nat", "outside"]


def routed(router: Router, **fields: Any) -> Port:
    return replace(LEFT, addresses=(Address(address="10.1.0.5", subnet=replace(SUBNET, router=router), **fields),))


def test_a_router_without_way_out_stops_it() -> None:
    assert stopped(asked(routed(replace(ROUTER, out=None)), "198.51.100.7")) == ["router"]


def test_without_source_nat_the_world_must_know_the_way_back_and_the_hosts_own_way_lets_nobody_out() -> None:
    plain = replace(ROUTER, snat=False)
    assert doubted(asked(routed(plain), "198.51.100.7", outside=WORLD)) == ["nat"]
    own = replace(plain, out=Network(id="host", name="outside", kind="host"))
    assert stopped(asked(routed(own), "198.51.100.7")) == ["nat"]
    assert asked(routed(own, floating="203.0.113.50"), "198.51.100.7").verdict == "open"


@pytest.mark.parametrize(
    ("host", "world"),
    [
        (replace(ONE, lacking={"out": "it is not plugged into uplink"}), WORLD), (replace(LED, problems={"out": "x"}), WORLD), (ONE, WORLD),
        (LED, {"out": (("203.0.113.0/24", ""),)}),
    ],
)
def test_a_host_that_does_not_reach_the_external_network_stops_it(host: Host, world: Any) -> None:
    assert stopped(asked(replace(A, host=host), "198.51.100.7", outside=world)) == ["outside"]


def test_an_address_of_the_own_subnet_that_nobody_has_is_not_looked_for_outside() -> None:
    assert stopped(asked(LEFT, "10.1.0.99", outside=WORLD)) == ["route"]


def test_nobody_outside_reaches_a_port_without_a_floating_ip() -> None:
    assert stopped(asked("198.51.100.7", LEFT, outside=WORLD)) == ["floating"]


def test_a_floating_ip_lets_the_world_in_as_far_as_the_groups_allow() -> None:
    own = routed(ROUTER, floating="203.0.113.50")
    assert asked("198.51.100.7", own, outside=WORLD).verdict == "open"
    assert stopped(asked("198.51.100.7", own, to=22, outside=WORLD)) == ["ingress"]


def test_a_guest_that_comes_by_a_floating_ip_is_seen_under_an_outer_address() -> None:
    friends = Rule(ingress=True, family=4, cidr="203.0.113.9/32", group_name="web")
    inner = replace(friends, cidr="10.1.0.0/24")
    target = replace(routed(ROUTER, floating="203.0.113.50"), id="b", label="b", rules=(friends,))
    asked_for: dict[str, Any] = {"outside": WORLD, "floating": "203.0.113.50"}
    assert asked(LEFT, target, **asked_for).verdict == "open"
    assert stopped(asked(LEFT, replace(target, rules=(inner,)), **asked_for)) == ["ingress"]


def test_what_hosts_are_still_to_be_told_makes_it_doubtful() -> None:
    assert doubted(asked(pending=True)) == ["told"]


# Who is told what.


def test_tenants_learn_no_host_wire_or_segment() -> None:
    wired = Network(id="n3", name="rack", kind="vlan", segment=4012, wire="rack1")
    bad = replace(ONE, problems={"": "tap xyz", "out": "uplink cut"}, lacking={"out": "uplink cut"}, applied=1, up=False, tunnel="")
    sources = (A, replace(A, network=wired), replace(A, host=bad), replace(A, host=replace(bad, up=True, applied=5)))
    targets: tuple[Port | str, ...] = (B, C, replace(B, network=wired), "198.51.100.7")
    for source in sources:
        for target in targets:
            told = str(asked(source, target, hosts_shown=False, outside=WORLD))
            for secret in ("hv1", "hv2", "192.0.2", "rack1", "4012", "1000", "1001", "tap xyz", "uplink", "generation", "manage.py"):
                assert secret not in told


# The question.


def test_what_is_asked_is_a_ping_unless_there_is_a_port() -> None:
    assert traffic("", None, 4) == traffic("icmp", None, 4) == traffic("ping", 8, 4)
    assert traffic("", None, 6).protocol == 58 and traffic("icmp", None, 6).port == 128
    assert traffic("", 80, 4) == traffic("TCP", 80, 4) == traffic("6", 80, 4)


@pytest.mark.parametrize(("protocol", "port", "code"), [
    ("tpc", None, "protocol"), ("256", None, "protocol"), ("-1", None, "protocol"), ("\u0666", None, "protocol"), ("tcp", 0, "port"), ("tcp", 65536, "port"),
    ("icmp", 256, "port"), ("47", 80, "port"),
])  # fmt: skip
def test_traffic_that_is_none_is_refused(protocol: str, port: int | None, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        traffic(protocol, port, 4)
    assert (caught.value.code, caught.value.field) == (f"trace.{code}", code)


ID = "018f0000-0000-7000-8000-000000000001"


@pytest.mark.parametrize(("source", "target", "code", "field"), [
    ("web", ID, "trace.end", "source"), (ID, "web", "trace.end", "target"), (ID, ID, "trace.same", "target"),
    ("192.0.2.1", "192.0.2.2", "trace.no_port", "source"),
])  # fmt: skip
def test_ends_that_are_none_are_refused(source: str, target: str, code: str, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        question.ends(source, target)
    assert (caught.value.code, caught.value.field) == (code, field)
