"""The flows of the bridge as data, pure functions of the plan.

A frame's way: CLASSIFY says by its port of entry which network it is in; GUARD (guests) or FROM_OUT (wires, tunnels) drops
what its sender may not say; EGRESS asks the sender's security groups; FORWARD finds by MAC whose it is, SPREAD does so for
broadcasts; INGRESS asks the receiver's security groups; DELIVER hands it over, OUT sends it to other hosts. Nothing is
learned: who is where comes from the desired state.
"""

from agent.drivers.openvswitch.switch.flows import classify, forward, guard, ingress, rules, spread
from agent.drivers.openvswitch.switch.flows.flow import Flow, Flows
from agent.drivers.openvswitch.switch.plan import Plan


def flows(plan: Plan) -> list[Flow]:
    """All flows of the bridge."""
    made = Flows()
    for part in (classify, guard, rules, forward, spread, ingress):
        part.add(made, plan)
    return made.all()
