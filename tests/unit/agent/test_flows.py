"""The filter rules of one port, checked by a small model of how the switch picks a flow."""

import uuid

import pytest

from agent.drivers.openvswitch import flows
from agent.drivers.openvswitch.flows import Flow
from contracts.network import v1 as network

NET = network.Network(
    id=str(uuid.UUID(int=10)),
    subnet=network.Subnet(id=str(uuid.UUID(int=11)), cidr="10.64.0.0/20", gateway="10.64.0.1"),
)
MAC, ADDRESS, OTHER_MAC, OTHER = "fa:16:3e:00:00:05", "10.64.0.5", "fa:16:3e:00:00:06", "10.64.0.6"
PORT = network.Port(id=str(uuid.UUID(int=1)), network=NET, mac=MAC, address=ADDRESS, prefix_length=20)
OFPORT, GATEWAY = 5, 2
TABLE = [*flows.base_flows(), *flows.network_flows(NET.id, GATEWAY), *flows.port_flows(PORT, OFPORT, GATEWAY)]
PROTOCOLS = {"ip", "arp", "udp", "ipv6"}
ANY = {"in_port": str(OFPORT), "vlan_tci": "0x0000/0x1fff", "dl_src": MAC}


def matches(flow: Flow, frame: dict[str, str]) -> bool:
    """True when the frame has everything that the flow asks for."""
    for term in filter(None, flow.match.split(",")):
        name, _, value = term.partition("=")
        if name in PROTOCOLS:
            if name not in frame["protocols"].split():
                return False
        elif frame.get(name) != value:
            return False
    return True


def verdict(**fields: str) -> str:
    """What happens to a frame of the guest, as far as it differs from an ordinary one."""
    frame = {**ANY, **fields}
    return max((flow for flow in TABLE if matches(flow, frame)), key=lambda flow: flow.priority).actions


def ip(**fields: str) -> str:
    return verdict(protocols="ip", **{"nw_src": ADDRESS, **fields})


def udp(**fields: str) -> str:
    return verdict(protocols="ip udp", **{"nw_src": ADDRESS, **fields})


def arp(**fields: str) -> str:
    return verdict(protocols="arp", **{"arp_spa": ADDRESS, "arp_sha": MAC, **fields})


def test_a_guest_may_speak_as_itself() -> None:
    assert ip() == "NORMAL"
    assert udp(tp_src="5000", tp_dst="53") == "NORMAL"
    assert arp() == "NORMAL"


def test_a_guest_may_not_use_anothers_address_or_mac() -> None:
    assert ip(nw_src=OTHER) == "drop"
    assert ip(dl_src=OTHER_MAC) == "drop"


@pytest.mark.parametrize(
    "lie", [{"arp_spa": OTHER}, {"arp_sha": OTHER_MAC}, {"dl_src": OTHER_MAC}, {"arp_spa": "10.64.0.1"}]
)
def test_a_guest_may_not_speak_arp_for_others(lie: dict[str, str]) -> None:
    assert arp(**lie) == "drop"


def test_dhcp_requests_go_to_the_gateway_and_to_nobody_else() -> None:
    asks = {"nw_dst": "255.255.255.255", "tp_src": "68", "tp_dst": "67"}
    assert udp(nw_src="0.0.0.0", **asks) == f"output:{GATEWAY}"
    assert udp(**asks) == f"output:{GATEWAY}"
    assert udp(nw_dst="10.64.0.1", tp_src="68", tp_dst="67") == f"output:{GATEWAY}"


def test_without_an_address_a_guest_may_only_ask_for_one() -> None:
    assert udp(nw_src="0.0.0.0", nw_dst="255.255.255.255", tp_src="68", tp_dst="53") == "drop"
    assert udp(nw_src="0.0.0.0", nw_dst="10.64.0.6", tp_src="68", tp_dst="67") == "drop"


def test_a_guest_is_no_dhcp_server() -> None:
    assert udp(tp_src="67", tp_dst="68") == "drop"


def test_tagged_frames_and_ipv6_are_dropped() -> None:
    assert ip(vlan_tci="0x1007") == "drop"
    assert verdict(protocols="ipv6") == "drop"


def test_unknown_ports_are_dropped() -> None:
    assert ip(in_port="99") == "drop"


def test_the_gateway_is_trusted() -> None:
    assert ip(in_port=str(GATEWAY), dl_src="0a:00:00:00:00:01") == "NORMAL"


def test_all_flows_of_a_port_carry_its_own_cookie() -> None:
    cookies = {flow.cookie for flow in flows.port_flows(PORT, OFPORT, GATEWAY)}
    assert cookies == {flows.port_cookie(PORT.id)}
    assert flows.owner(cookies.pop()) == flows.PORT


def test_cookies_of_ports_and_networks_never_meet() -> None:
    ids = [str(uuid.UUID(int=number)) for number in range(1000)]
    cookies = {flows.port_cookie(one) for one in ids} | {flows.network_cookie(one) for one in ids}
    assert len(cookies) == 2000
    assert all(cookie < 2**64 for cookie in cookies)


def test_a_flow_as_the_switch_reads_it() -> None:
    flow = Flow(cookie=0xC1, priority=10, match="in_port=5", actions="drop")
    assert flow.text() == "cookie=0xc1,table=0,priority=10,in_port=5,actions=drop"
    assert flows.of_cookie(0xC1) == "cookie=0xc1/-1"
