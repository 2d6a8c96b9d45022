"""What security groups say to one connection, as the switch on the host decides it. Pure."""

import ipaddress
from collections.abc import Mapping

from apps.network.trace.facts import ICMP, ICMPV6, PING, SCTP, TCP, UDP, Facts, Hop, Port, Rule, Traffic

# Answers to these come back by themselves; of everything else each packet is asked about.
TRACKED = frozenset({ICMP, ICMPV6, TCP, UDP, SCTP})
_WITH_PORTS = frozenset({TCP, UDP, SCTP})
_NAMES = {TCP: "tcp", UDP: "udp", SCTP: "sctp", ICMP: "icmp", ICMPV6: "icmpv6"}


def asked(facts: Facts, port: Port, *, ingress: bool, other: str | None, name: str = "") -> Hop:
    """What the port's groups say. `other`: address of the other side; None: not known."""
    direction, towards = ("ingress", "from") if ingress else ("egress", "to")
    name, traffic = name or direction, facts.traffic
    if not port.security:
        return Hop(name=name, ok=True, detail=f"Port security of {port.label} is off: everything passes.")
    rules = [rule for rule in port.rules if rule.ingress == ingress]
    what = f"{traffic.text} {towards} {other or 'outside'}"
    doubtful = None
    for rule in rules:
        missed = misses(rule, traffic, other, facts.members)
        if not missed:
            return Hop(name=name, ok=True, detail=f"Allowed by {told(rule)} of the security group {rule.group_name}.")
        if other is None and missed == ["other side"] and doubtful is None:
            doubtful = rule
    if doubtful is not None:
        return Hop(
            name=name, ok=None, detail=f"Only {told(doubtful)} of the security group {doubtful.group_name} may fit: it depends on the "
            "address under which the packet arrives.",
        )
    groups = ", ".join(port.groups)
    if not groups:
        nothing = f"{port.label} is in no security group, so nothing is let {'in' if ingress else 'out'}."
        return Hop(name=name, ok=False, detail=nothing, fix="Put the port into a security group that allows this.")
    none = f"None of the {len(rules)} {direction} rules of {groups} allows {what}." if rules else f"{groups}: no {direction} rules."
    return Hop(
        name=name, ok=False, detail=f"{none}{_nearest(rules, traffic, other, facts.members)}",
        fix=f"Add an {direction} rule to a security group of {port.label}: {_needed(traffic, other)}.",
    )


def misses(rule: Rule, traffic: Traffic, other: str | None, members: Mapping[str, frozenset[str]]) -> list[str]:
    """Which of the rule's terms do not fit; none: it allows this."""
    found = []
    if rule.family != traffic.family:
        found.append("family")
    # The same protocol has another number in IPv6.
    protocol = ICMPV6 if rule.family == 6 and rule.protocol == ICMP else rule.protocol
    if protocol is not None and protocol != traffic.protocol:
        found.append("protocol")
    elif not _fits_ports(rule, protocol, traffic):
        found.append("port")
    if not _fits_other(rule, other, members):
        found.append("other side")
    return found


def told(rule: Rule) -> str:
    """A rule in words: `ingress IPv4 tcp 22 from 192.0.2.0/24`."""
    direction, towards = ("ingress", "from") if rule.ingress else ("egress", "to")
    protocol = "any protocol" if rule.protocol is None else _NAMES.get(rule.protocol, f"protocol {rule.protocol}")
    ports = ""
    if rule.first is not None:
        if rule.protocol in (ICMP, ICMPV6):
            ports = f" type {rule.first}" + ("" if rule.last is None else f" code {rule.last}")
        else:
            ports = f" {rule.first}" if rule.last in (None, rule.first) else f" {rule.first}-{rule.last}"
    other = rule.cidr or (f"members of {rule.remote_name or rule.remote}" if rule.remote else "anybody")
    return f"{direction} IPv{rule.family} {protocol}{ports} {towards} {other}"


def _fits_ports(rule: Rule, protocol: int | None, traffic: Traffic) -> bool:
    if protocol is None or rule.first is None:
        return True
    if protocol in (ICMP, ICMPV6):
        code = 0 if traffic.port == PING[traffic.family] else None
        return rule.first == traffic.port and rule.last in (None, code)
    if protocol not in _WITH_PORTS:
        return True
    return traffic.port is not None and rule.first <= traffic.port <= (rule.first if rule.last is None else rule.last)


def _fits_other(rule: Rule, other: str | None, members: Mapping[str, frozenset[str]]) -> bool:
    if rule.remote:
        return other is not None and other in members.get(rule.remote, ())
    if not rule.cidr or rule.cidr.endswith("/0"):
        return True
    return other is not None and ipaddress.ip_address(other) in ipaddress.ip_network(rule.cidr)


def _nearest(rules: list[Rule], traffic: Traffic, other: str | None, members: Mapping[str, frozenset[str]]) -> str:
    if not rules:
        return ""
    # What is wrong about the nearest counts less the more particular it is: the wrong port is nearer than the wrong family.
    order = ("other side", "port", "protocol", "family")
    nearest = min(rules, key=lambda rule: _distance(misses(rule, traffic, other, members), order))
    wrong = misses(nearest, traffic, other, members)
    who = f"{other} is no member of {nearest.remote_name or nearest.remote}" if nearest.remote else f"{other} is not in {nearest.cidr}"
    says = {"family": "it is for the other family", "protocol": "it is for another protocol", "port": "it is for other ports"}
    if traffic.protocol in (ICMP, ICMPV6):
        says["port"] = "it is for another ICMP type or code"
    reasons = " and ".join(who if each == "other side" else says[each] for each in wrong)
    return f" The nearest is {told(nearest)} of {nearest.group_name}, but {reasons}."


def _distance(missed: list[str], order: tuple[str, ...]) -> tuple[int, int]:
    return len(missed), sum(order.index(each) for each in missed)


def _needed(traffic: Traffic, other: str | None) -> str:
    length = 32 if traffic.family == 4 else 128
    protocol = _NAMES.get(traffic.protocol, f"protocol {traffic.protocol}")
    port = "" if traffic.port is None else f" {traffic.port}"
    return f"IPv{traffic.family} {protocol}{port}, other side {other}/{length} or wider" if other else f"IPv{traffic.family} {protocol}{port}"
