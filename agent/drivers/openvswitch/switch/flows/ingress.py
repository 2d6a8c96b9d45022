"""Connection tracking on both sides: a connection is asked about as its first packet was, on every packet, whichever way it
goes. So a rule that goes ends at once what it alone had allowed, and cuts nothing else."""

from agent.drivers.openvswitch.switch.flows.flow import (
    ALLOWED,
    DEST,
    METADATA4,
    METADATA6,
    SOURCE,
    ZONE,
    Flows,
    Source,
    Table,
    actions,
    ask,
    goto,
    load,
)
from agent.drivers.openvswitch.switch.plan import Plan

_NAMES = {1: ("icmp",), 58: ("icmp6",), 6: ("tcp", "tcp6"), 17: ("udp", "udp6"), 132: ("sctp", "sctp6")}
_ZONE = f"NXM_NX_{ZONE.upper()}[0..15]"


def add(flows: Flows, plan: Plan) -> None:
    _always(flows)
    _side(
        flows, plan, (Table.EGRESS, Table.EGRESS_TRACKED, Table.EGRESS_VERDICT), Table.FORWARD,
        own=Table.RULES_EGRESS, other=Table.RULES_INGRESS, plain=Table.PLAIN_EGRESS,
    )  # fmt: skip
    _side(
        flows, plan, (Table.INGRESS, Table.INGRESS_TRACKED, Table.INGRESS_VERDICT), Table.DELIVER,
        own=Table.RULES_INGRESS, other=Table.RULES_EGRESS, plain=Table.PLAIN_INGRESS,
    )  # fmt: skip
    flows.add(Table.DELIVER, 0, "", f"output:NXM_NX_{DEST.upper()}[0..15]")


def _always(flows: Flows) -> None:
    """What reaches a guest whatever its security groups say, and what never does."""
    gateway, through = f"{SOURCE}={Source.GATEWAY.value}", goto(Table.DELIVER)
    for what in ("udp,tp_src=67,tp_dst=68", "udp6,tp_src=547,tp_dst=546", "icmp6,icmp_type=134"):
        flows.add(Table.INGRESS, 80, f"{gateway},{what}", through)
        flows.add(Table.INGRESS, 70, what, "drop")
    flows.add(Table.INGRESS, 70, "icmp6,icmp_type=137", "drop")
    flows.add(Table.INGRESS, 80, f"{gateway},tcp,nw_src={METADATA4},tp_src=80", through)
    flows.add(Table.INGRESS, 80, f"{gateway},tcp6,ipv6_src={METADATA6},tp_src=80", through)
    for what in ("icmp6,icmp_type=135", "icmp6,icmp_type=136", "arp"):
        flows.add(Table.INGRESS, 60, what, through)


def _side(
    flows: Flows,
    plan: Plan,
    tables: tuple[Table, Table, Table],
    onward: Table,
    *,
    own: Table,
    other: Table,
    plain: Table,
) -> None:
    """`own`: rules of the direction in which frames pass here; `other`: of the opposite one."""
    first, tracked, verdict = tables
    for protocol in sorted(plan.tracked):
        for name in _NAMES[protocol]:
            flows.add(first, 40, name, f"ct(table={tracked.value},zone={_ZONE})")
    for family in ("ip", "ipv6"):
        # No connection to look up: each packet by itself.
        flows.add(first, 30, family, actions(load(ALLOWED, 0), ask(plain), goto(verdict)))
    for priority, state, asked in (
        (95, "+trk+rel", [own, other]),
        (90, "+trk+new", [own]),
        (90, "+trk+est-rpl", [own]),
        (90, "+trk+est+rpl", [other]),
    ):
        steps = actions(load(ALLOWED, 0), *map(ask, asked), goto(verdict))
        flows.add(tracked, priority, f"ct_state={state}", steps)
    flows.add(tracked, 100, "ct_state=+trk+inv", "drop")
    for family in ("ip", "ipv6"):
        commit = actions(f"ct(commit,zone={_ZONE})", goto(onward))
        flows.add(verdict, 20, f"{ALLOWED}=1,ct_state=+trk+new,{family}", commit)
    flows.add(verdict, 10, f"{ALLOWED}=1", goto(onward))
