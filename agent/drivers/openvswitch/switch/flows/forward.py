"""Where a frame for one MAC goes; and how frames leave for other hosts. Nothing is learned."""

from collections import defaultdict

from agent.drivers.openvswitch.switch.flows.flow import (
    DEST,
    MANY,
    NET,
    POLICY,
    SOURCE,
    ZONE,
    Flows,
    Source,
    Table,
    actions,
    ask,
    cookie,
    goto,
    load,
    outputs,
)
from agent.drivers.openvswitch.switch.flows.guard import identities
from agent.drivers.openvswitch.switch.plan import Guest, Plan, Segment
from contracts.network.v2 import Kind


def add(flows: Flows, plan: Plan) -> None:
    flows.add(Table.FORWARD, 100, f"dl_dst={MANY}", goto(Table.SPREAD))
    # What came from other hosts never goes back to them: they all got it.
    flows.add(Table.OUT, 100, f"{SOURCE}={Source.WIRE.value}", "drop")
    for segment in plan.segments:
        _out(flows, segment, plan.host_mac)
        _guests(flows, segment)
        _others(flows, segment)


def _guests(flows: Flows, segment: Segment) -> None:
    net = f"{NET}={segment.number}"
    holders: defaultdict[str, list[Guest]] = defaultdict(list)
    for guest in segment.guests:
        for mac in {guest.port.mac, *(mac for mac, _ in identities(guest))}:
            holders[mac].append(guest)
    for mac, guests in holders.items():
        # A MAC of its own belongs to one; an allowed one may be shared, and then all that hold it get the frame.
        own = [guest for guest in guests if guest.port.mac == mac] or guests
        steps = ",".join(_deliver(guest) for guest in own)
        flows.add(Table.FORWARD, 50, f"{net},dl_dst={mac}", steps, whose=cookie(own[0].id))
    for port in segment.down:
        flows.add(Table.FORWARD, 49, f"{net},dl_dst={port.mac}", "drop", whose=cookie(port.id))


def _deliver(guest: Guest) -> str:
    if not guest.port.security:
        return actions(load(DEST, guest.ofport), ask(Table.DELIVER))
    return actions(
        load(DEST, guest.ofport), load(ZONE, guest.zone), load(POLICY, guest.policy), ask(Table.INGRESS)
    )


def _others(flows: Flows, segment: Segment) -> None:
    net, whose = f"{NET}={segment.number}", cookie(segment.net.id)
    if segment.gateway is not None:
        flows.add(Table.FORWARD, 60, f"{net},dl_dst={segment.gateway_mac}", f"output:{segment.gateway}", whose=whose)
    else:
        flows.add(Table.FORWARD, 60, f"{net},dl_dst={segment.gateway_mac}", "drop", whose=whose)
    if segment.outside is not None and segment.outside_mac:
        flows.add(Table.FORWARD, 55, f"{net},dl_dst={segment.outside_mac}", f"output:{segment.outside}", whose=whose)
    if segment.tunnelled:
        for port in segment.remote:
            if port.host:
                for mac in {port.mac, *(pair.mac for pair in port.pairs if pair.mac)}:
                    flows.add(Table.FORWARD, 40, f"{net},dl_dst={mac}", goto(Table.OUT), whose=cookie(port.id))
    # MACs that nobody told of: behind ports without security there may be any.
    open_ports = outputs(guest.ofport for guest in segment.guests if not guest.port.security)
    onward = goto(Table.OUT) if segment.faraway and segment.out is not None else ""
    flows.add(Table.FORWARD, 10, net, actions(*open_ports, onward), whose=whose)


def _out(flows: Flows, segment: Segment, host_mac: str) -> None:
    """To the wire or tunnel. The gateway's MAC never leaves the host: it is the same on all of them."""
    if segment.out is None:
        return
    net, whose = f"{NET}={segment.number}", cookie(segment.net.id)
    tag = ""
    if segment.net.kind is Kind.VLAN and segment.net.segment is not None:
        tag = f"push_vlan:0x8100,set_field:{0x1000 | segment.net.segment}->vlan_vid"
    send, mine = actions(tag, f"output:{segment.out}"), f"dl_src={segment.gateway_mac}"
    disguise = f"set_field:{host_mac}->eth_src"
    arp = actions(disguise, f"set_field:{host_mac}->arp_sha", send)
    flows.add(Table.OUT, 61, f"{net},{mine},arp", arp, whose=whose)
    discovery = actions(disguise, f"set_field:{host_mac}->nd_sll", send)
    flows.add(Table.OUT, 61, f"{net},{mine},icmp6,icmp_type=135", discovery, whose=whose)
    flows.add(Table.OUT, 60, f"{net},{mine}", actions(disguise, send), whose=whose)
    flows.add(Table.OUT, 50, net, send, whose=whose)
