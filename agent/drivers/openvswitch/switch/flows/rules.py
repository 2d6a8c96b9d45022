"""The security groups. Ports with the same set of groups have one policy number, and share its flows.

A rule that names a group is half a conjunction: its other half are the addresses of the group's members, which all rules
naming the group share. So the number of flows is rules plus members, never rules times members.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from agent.drivers.openvswitch.switch.flows.flow import ALLOWED, POLICY, Flows, Table, cookie, load
from agent.drivers.openvswitch.switch.flows.ranges import masks
from agent.drivers.openvswitch.switch.plan import Plan, family_of
from contracts.network import v2 as network

_ALLOW = load(ALLOWED, 1)
_ICMP = (1, 58)
_WITH_PORTS = (6, 17, 132)


@dataclass(frozen=True, slots=True)
class Fields:
    """How a table's flows name what they look at: the connection's first packet, or the packet itself."""

    prefix: str
    ingress: bool

    def family(self, family: int) -> str:
        state = "ct_state=+trk-inv," if self.prefix else ""  # or its fields may not be looked at
        return state + ("ip" if family == 4 else "ipv6")

    def address(self, family: int, cidr: str) -> str:
        """The other side's address."""
        side = "src" if self.ingress else "dst"
        return f"{self.prefix}{'nw' if family == 4 else 'ipv6'}_{side}={cidr}"


_TABLES = {
    Table.RULES_EGRESS: Fields("ct_", ingress=False),
    Table.RULES_INGRESS: Fields("ct_", ingress=True),
    Table.PLAIN_EGRESS: Fields("", ingress=False),
    Table.PLAIN_INGRESS: Fields("", ingress=True),
}


def add(flows: Flows, plan: Plan) -> None:
    for table, fields in _TABLES.items():
        halves: dict[str, set[int]] = {}
        for policy, groups in sorted(plan.policies.items()):
            for id_ in groups:
                for rule in plan.groups[id_].rules if id_ in plan.groups else ():
                    if rule.ingress == fields.ingress:
                        _rule(flows, table, plan, policy, id_, rule, halves)
        _conjunctions(flows, table, plan, halves)


def _rule(
    flows: Flows, table: Table, plan: Plan, policy: int, group: str, rule: network.Rule, halves: dict[str, set[int]]
) -> None:
    fields = _TABLES[table]
    for terms in _protocols(rule, fields, plan.tracked):
        match = ",".join([f"{POLICY}={policy}", fields.family(rule.family), *terms])
        if rule.group:
            halves.setdefault(match, set()).add(plan.conjunctions[rule.group])
        else:
            other = f",{fields.address(rule.family, rule.cidr)}" if rule.cidr and not rule.cidr.endswith("/0") else ""
            flows.add(table, 50, match + other, _ALLOW, whose=cookie(group))


def _protocols(rule: network.Rule, fields: Fields, tracked: frozenset[int]) -> Iterator[list[str]]:
    """The terms that name protocol and ports; several where a range of ports takes several masks; none if not of here."""
    # The same protocol has another number in IPv6.
    protocol = 58 if rule.family == 6 and rule.protocol == 1 else rule.protocol
    here = not fields.prefix
    if protocol is None:
        yield []
        return
    if (protocol not in tracked) != here:
        return
    base = f"{fields.prefix}nw_proto={protocol}"
    if protocol in _ICMP and rule.first is not None:
        code = [] if rule.last is None else [f"ct_tp_dst={rule.last}"]
        yield [base, f"ct_tp_src={rule.first}", *code]
    elif protocol in _WITH_PORTS and rule.first is not None:
        last = rule.first if rule.last is None else rule.last
        for value in masks(rule.first, last):
            yield [base, f"{fields.prefix}tp_dst={value}"]
    else:
        yield [base]
        return
    # Pieces of a packet after its first show no ports. Without the first, which does, nobody can make use of them.
    yield [base, "nw_frag=later"]


def _conjunctions(flows: Flows, table: Table, plan: Plan, halves: dict[str, set[int]]) -> None:
    fields = _TABLES[table]
    used = set().union(*halves.values()) if halves else set()
    for match, numbers in halves.items():
        flows.add(table, 40, match, ",".join(f"conjunction({number},1/2)" for number in sorted(numbers)))
    for number in sorted(used):
        flows.add(table, 40, f"conj_id={number}", _ALLOW)
    for address, groups in plan.members.items():
        numbers = {plan.conjunctions[id_] for id_ in groups} & used
        if numbers:
            family = family_of(address)
            match = f"{fields.family(family)},{fields.address(family, address)}"
            flows.add(table, 40, match, ",".join(f"conjunction({number},2/2)" for number in sorted(numbers)))
