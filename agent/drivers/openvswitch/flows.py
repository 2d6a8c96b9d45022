"""Which frames may enter the bridge, as data; pure functions.

A port that is not listed sends nothing. A guest sends only from its own MAC and IPv4 address, speaks ARP only for
itself, asks DHCP only of the host (the request goes to the gateway's device and nowhere else), answers no DHCP, and
sends neither VLAN tags nor IPv6. What is let in is forwarded as the bridge's local VLANs say (`NORMAL`), one per
network, so that two networks on one bridge never meet.

Every flow carries a cookie made from the id of its port or network: 8 bits that say whose it is, 56 bits of hash.
With it the flows of one port are deleted, and those of vanished ones found, exactly.
"""

import hashlib
from dataclasses import dataclass

from contracts.network import v1 as network

BASE, PORT, NETWORK = 0xC0, 0xC1, 0xC2
_SHIFT = 56


@dataclass(frozen=True, kw_only=True)
class Flow:
    """One OpenFlow entry of table 0 in ovs-ofctl's words."""

    cookie: int
    priority: int
    match: str
    actions: str

    def text(self) -> str:
        match = f",{self.match}" if self.match else ""
        return f"cookie={self.cookie:#x},table=0,priority={self.priority}{match},actions={self.actions}"


def port_cookie(port_id: str) -> int:
    return _cookie(PORT, port_id)


def network_cookie(network_id: str) -> int:
    return _cookie(NETWORK, network_id)


def owner(cookie: int) -> int:
    """BASE, PORT or NETWORK for a cookie of ours, anything else for others'."""
    return cookie >> _SHIFT


def of_cookie(cookie: int) -> str:
    """The match that deletes exactly the flows with this cookie."""
    return f"cookie={cookie:#x}/-1"


def base_flows() -> list[Flow]:
    """Unknown ports: dropped, and counted."""
    return [Flow(cookie=_cookie(BASE, "drop"), priority=0, match="", actions="drop")]


def network_flows(network_id: str, gateway: int) -> list[Flow]:
    """The gateway's own device (OpenFlow number `gateway`): the host speaks for itself."""
    cookie = network_cookie(network_id)
    return [Flow(cookie=cookie, priority=100, match=f"in_port={gateway}", actions="NORMAL")]


def port_flows(port: network.Port, ofport: int, gateway: int) -> list[Flow]:
    """What the guest behind OpenFlow port `ofport` may send. `gateway`: number of its network's gateway device."""
    cookie = port_cookie(port.id)
    # OpenFlow's "ip" also matches inside a VLAN tag, so tags are excluded by hand.
    own = f"in_port={ofport},vlan_tci=0x0000/0x1fff,dl_src={port.mac}"
    source = f"nw_src={port.address}"
    to_dhcp = f"output:{gateway}"

    def flow(priority: int, match: str, actions: str) -> Flow:
        return Flow(cookie=cookie, priority=priority, match=match, actions=actions)

    return [
        flow(130, f"in_port={ofport},udp,tp_src=67", "drop"),
        flow(120, f"{own},udp,nw_src=0.0.0.0,nw_dst=255.255.255.255,tp_src=68,tp_dst=67", to_dhcp),
        flow(120, f"{own},udp,{source},tp_src=68,tp_dst=67", to_dhcp),
        flow(100, f"{own},ip,{source}", "NORMAL"),
        flow(100, f"{own},arp,arp_spa={port.address},arp_sha={port.mac}", "NORMAL"),
        # Not needed for safety (table 0 ends in a drop): it counts what this very guest tried.
        flow(10, f"in_port={ofport}", "drop"),
    ]


def of_in_port(ofport: int) -> str:
    """The match that deletes whatever was installed for an OpenFlow number, whoever had it before."""
    return f"in_port={ofport}"


def _cookie(kind: int, text: str) -> int:
    digest = hashlib.blake2b(text.encode(), digest_size=7).digest()
    return (kind << _SHIFT) | int.from_bytes(digest, "big")
