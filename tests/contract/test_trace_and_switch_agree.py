"""What a trace says of security groups is what the switch of a host does: the same rules and packets, through both."""

import ipaddress
import random
from typing import Any

import pytest

from agent.drivers.openvswitch.switch.flows import rules as switch_rules
from agent.drivers.openvswitch.switch.flows.flow import Flow, Flows, Table
from agent.drivers.openvswitch.switch.plan import Plan
from agent.drivers.openvswitch.switch.switch import TRACKED_BY_KERNEL
from apps.network.trace import rules
from apps.network.trace.facts import Rule, Traffic
from contracts.network import v2

GROUP, FRIENDS = "group", "friends"
ADDRESSES = {4: ["10.1.0.5", "10.1.0.77", "192.0.2.9"], 6: ["fd00::5", "fd00::77", "2001:db8::9"]}
CIDRS = {4: ["", "10.1.0.0/24", "10.1.0.5/32", "192.0.0.0/8"], 6: ["", "fd00::/64", "fd00::5/128", "2001:db8::/32"]}
MEMBERS = frozenset({"10.1.0.5", "fd00::5", "2001:db8::9"})
PORTS = [1, 22, 79, 80, 81, 443, 1024, 65535]


def some_rule(chance: random.Random) -> Rule:
    family = chance.choice([4, 6])
    protocol = chance.choice([None, 6, 6, 17, 132, 47, 1 if family == 4 else 58])
    first = last = None
    if protocol in (6, 17, 132) and chance.random() < 0.8:
        first, last = sorted(chance.choices(PORTS, k=2))
    elif protocol in (1, 58) and chance.random() < 0.7:
        first, last = chance.choice([0, 8, 128]), chance.choice([None, 0, 1])
    remote = chance.random() < 0.3
    return Rule(
        ingress=chance.random() < 0.5, family=family, protocol=protocol, first=first, last=last,
        cidr="" if remote else chance.choice(CIDRS[family]), remote=FRIENDS if remote else "", group_name="g",
    )


def some_traffic(chance: random.Random) -> Traffic:
    family = chance.choice([4, 6])
    protocol = chance.choice([6, 17, 132, 47, 1 if family == 4 else 58])
    if protocol in (1, 58):
        return Traffic(protocol=protocol, family=family, port=8 if family == 4 else 128)
    return Traffic(protocol=protocol, family=family, port=None if protocol == 47 else chance.choice(PORTS))


def flows_of(rule: Rule) -> list[Flow]:
    told = v2.Rule(
        ingress=rule.ingress, family=rule.family, protocol=rule.protocol, first=rule.first, last=rule.last, cidr=rule.cidr, group=rule.remote
    )
    plan = Plan(
        segments=[], policies={1: (GROUP,)}, conjunctions={FRIENDS: 7}, groups={GROUP: v2.Group(id=GROUP, rules=[told])},
        members={address: [FRIENDS] for address in MEMBERS}, host_mac="", tracked=TRACKED_BY_KERNEL,
    )
    flows = Flows()
    switch_rules.add(flows, plan)
    return flows.all()


def allows(flows: list[Flow], traffic: Traffic, other: str, *, ingress: bool) -> bool:
    """A whole packet, the first of its connection, as the switch would look at it."""
    tracked = traffic.protocol in TRACKED_BY_KERNEL
    tables = {True: (Table.RULES_INGRESS, Table.PLAIN_INGRESS), False: (Table.RULES_EGRESS, Table.PLAIN_EGRESS)}
    table = tables[ingress][0 if tracked else 1]
    hits = [flow for flow in flows if flow.table == table and "conj_id" not in flow.match and _matches(flow.match, traffic, other, ingress)]
    halves = {each for flow in hits for each in flow.actions.split("conjunction") if "/2" in each}
    return any("conjunction" not in flow.actions for flow in hits) or {"1/2" in each for each in halves} == {True, False}


def _matches(match: str, traffic: Traffic, other: str, ingress: bool) -> bool:
    return all(_term(term, traffic, other, ingress) for term in match.split(","))


def _term(term: str, traffic: Traffic, other: str, ingress: bool) -> bool:
    name, _, value = term.partition("=")
    icmp = traffic.protocol in (1, 58)
    known: dict[str, Any] = {
        "reg4": lambda: value == "1", "ip": lambda: traffic.family == 4, "ipv6": lambda: traffic.family == 6, "ct_state": lambda: True,
        "nw_proto": lambda: int(value) == traffic.protocol, "nw_frag": lambda: False,
        "tp_src": lambda: icmp and int(value) == traffic.port, "tp_dst": lambda: int(value) == 0 if icmp else _masked(value, traffic.port),
    }
    side = "src" if ingress else "dst"
    plain = name.removeprefix("ct_") if name != "ct_state" else name
    if plain in (f"nw_{side}", f"ipv6_{side}"):
        return ipaddress.ip_address(other) in ipaddress.ip_network(value)
    return bool(known[plain]())


def _masked(value: str, port: int | None) -> bool:
    wanted, _, mask = value.partition("/")
    return port is not None and port & int(mask or "0xffff", 0) == int(wanted, 0)


@pytest.mark.parametrize("seed", range(8))
def test_a_rule_allows_in_a_trace_what_it_allows_on_a_host(seed: int) -> None:
    chance = random.Random(seed)
    allowed = 0
    for _ in range(250):
        rule = some_rule(chance)
        flows = flows_of(rule)
        for _ in range(8):
            traffic = some_traffic(chance)
            other = chance.choice(ADDRESSES[traffic.family])
            said = not rules.misses(rule, traffic, other, {FRIENDS: MEMBERS})
            assert said == allows(flows, traffic, other, ingress=rule.ingress), (rule, traffic, other, [each.text() for each in flows])
            allowed += said
    assert 50 < allowed < 1500  # both answers were tried


def test_both_sides_track_the_same_protocols() -> None:
    assert rules.TRACKED == TRACKED_BY_KERNEL
