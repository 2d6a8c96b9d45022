"""By which port a frame came in: its network, and what is asked of it next. And what may come from other hosts."""

from agent.drivers.openvswitch.switch.flows.flow import (
    METADATA4,
    METADATA6,
    NET,
    POLICY,
    SOURCE,
    UNTAGGED,
    ZONE,
    Flows,
    Source,
    Table,
    actions,
    cookie,
    goto,
    load,
)
from agent.drivers.openvswitch.switch.plan import Guest, Plan, Segment, link_local
from contracts.network.v2 import Kind


def add(flows: Flows, plan: Plan) -> None:
    # Whoever is not known says nothing. These two also are what makes a table exist, and so be counted.
    flows.add(Table.CLASSIFY, 0, "", "drop")
    _from_out_of_any_network(flows)
    for segment in plan.segments:
        whose = cookie(segment.net.id)
        net = load(NET, segment.number)
        for port, source in ((segment.gateway, Source.GATEWAY), (segment.outside, Source.OUTSIDE)):
            if port is not None:
                steps = actions(net, load(SOURCE, source), goto(Table.FORWARD))
                flows.add(Table.CLASSIFY, 50, f"in_port={port}", steps, whose=whose)
        _entry(flows, segment)
        _from_out(flows, segment, plan.host_mac)
        for guest in segment.guests:
            _guest(flows, segment, guest)


def _guest(flows: Flows, segment: Segment, guest: Guest) -> None:
    own = f"in_port={guest.ofport}"
    whose = cookie(guest.id)
    # A tag could lead a frame out of its network, and the gateway's MAC is the host's; port security or not.
    flows.add(Table.CLASSIFY, 60, [own, f"dl_src={segment.gateway_mac}"], "drop", whose=whose)
    source = Source.GUEST if guest.port.security else Source.OPEN
    steps = actions(
        load(NET, segment.number),
        load(SOURCE, source),
        load(ZONE, guest.zone),
        load(POLICY, guest.policy),
        goto(Table.GUARD if guest.port.security else Table.FORWARD),
    )
    flows.add(Table.CLASSIFY, 50, [own, UNTAGGED], steps, whose=whose)


def _entry(flows: Flows, segment: Segment) -> None:
    """Frames of the network from other hosts."""
    if segment.out is None:
        return
    steps = [load(NET, segment.number), load(SOURCE, Source.WIRE), goto(Table.FROM_OUT)]
    match = [f"in_port={segment.out}"]
    if segment.net.kind is Kind.VLAN:
        match.append(f"dl_vlan={segment.net.segment}")
        steps.insert(0, "pop_vlan")
    else:
        match.append(UNTAGGED)
    flows.add(Table.CLASSIFY, 50, match, actions(*steps), whose=cookie(segment.net.id))


def _from_out_of_any_network(flows: Flows) -> None:
    """Every host serves its own guests: whatever others serve is not for them."""
    flows.add(Table.FROM_OUT, 0, "", goto(Table.FORWARD))
    for what in ("udp,tp_src=67,tp_dst=68", "udp6,tp_src=547,tp_dst=546", "icmp6,icmp_type=134", "icmp6,icmp_type=137"):
        flows.add(Table.FROM_OUT, 70, what, "drop")


def _from_out(flows: Flows, segment: Segment, host_mac: str) -> None:
    if segment.out is None:
        return
    net, whose = f"{NET}={segment.number}", cookie(segment.net.id)
    gateway = segment.gateway_mac

    def drop(*match: str) -> None:
        flows.add(Table.FROM_OUT, 60, [net, *match], "drop", whose=whose)

    drop(f"dl_src={gateway}")
    drop(f"dl_dst={gateway}")
    drop(f"dl_src={host_mac}")
    for address in [*segment.gateways(4), METADATA4]:
        drop("arp", f"arp_spa={address}")
        drop("arp", f"arp_tpa={address}")
    for address in [*segment.gateways(6), METADATA6, link_local(gateway)]:
        drop("icmp6,icmp_type=136", f"nd_target={address}")
        drop("icmp6,icmp_type=135", f"nd_target={address}")
        drop("icmp6,icmp_type=135", f"ipv6_src={address}")
    # What the gateway asked under this host's MAC is answered to that.
    back, to = f"set_field:{gateway}->eth_dst", f"dl_dst={host_mac}"
    answer = actions(back, f"set_field:{gateway}->arp_tha", goto(Table.FORWARD))
    flows.add(Table.FROM_OUT, 51, [net, "arp", to], answer, whose=whose)
    flows.add(Table.FROM_OUT, 50, [net, to], actions(back, goto(Table.FORWARD)), whose=whose)
