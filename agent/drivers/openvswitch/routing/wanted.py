"""What a namespace of a routing domain or external network is to be, as data, and small decisions that both share. Pure."""

import hashlib
import ipaddress
import socket
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.drivers.openvswitch import names
from agent.drivers.openvswitch.routing import rules
from agent.drivers.openvswitch.routing.kernel import Neighbour, Route
from agent.drivers.openvswitch.routing.transit import Transit
from agent.network.desired import Desired
from contracts.network import v2 as network

METADATA, METADATA6 = "169.254.169.254", "fd00:ec2::254"
ROOT = ""
"""The namespace of the host itself."""
# In the namespace of an external network: ways that hold only for what comes in from outside. A router without NAT may
# have any range, also one that others' guests want to reach in the world.
FROM_OUTSIDE, FROM_OUTSIDE_PRIORITY = 100, 1000
Range = ipaddress.IPv4Network | ipaddress.IPv6Network
DEFAULT = {4: "0.0.0.0/0", 6: "::/0"}


@dataclass(frozen=True, kw_only=True)
class Device:
    """`offloads`: may leave checksums to whoever gets the frame; the datapath in user space would pass it on as it is."""

    name: str
    mac: str
    mtu: int
    offloads: bool = False


@dataclass(frozen=True, kw_only=True)
class Pair:
    """`here` is made in the namespace that has the pair, `there` in another one. MACs may be empty: any."""

    here: str
    there: str
    there_space: str
    mac: str
    there_mac: str = ""
    mtu: int


@dataclass(frozen=True, kw_only=True)
class Space:
    """One namespace. `of`: id of the router or network. `addresses`: (device, with prefix length). `proxies`: (device,
    address that it answers for); `announce`: the device on which new ones are announced. `text`: the nftables `table`,
    none if empty. `floating`: what is translated, address → fixed one."""

    name: str
    of: str = ""
    pairs: tuple[Pair, ...] = ()
    devices: tuple[Device, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    addresses: frozenset[tuple[str, str]] = frozenset()
    routes: frozenset[Route] = frozenset()
    neighbours: frozenset[Neighbour] = frozenset()
    proxies: frozenset[tuple[str, str]] = frozenset()
    from_outside: bool = False
    table: str = ""
    text: str = ""
    floating: Mapping[str, str] = field(default_factory=dict)
    announce: str = ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`plugs`: the host's ends of pairs that the bridge takes in, with their MTU."""

    root: Space
    outsides: tuple[Space, ...]
    domains: tuple[Space, ...]
    plugs: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Uplink:
    """A router's way out. `outer_space`: where the world's end of the pair is."""

    router: str
    space: str
    outer_space: str
    mtu: int

    @property
    def pair(self) -> Pair:
        return Pair(
            here=names.transit(self.router),
            there=names.UPLINK,
            there_space=self.space,
            mac=mac_of(f"outer {self.router}"),
            there_mac=mac_of(f"inner {self.router}"),
            mtu=self.mtu,
        )


@dataclass(frozen=True, kw_only=True)
class Site:
    """What the plan depends on beside the desired state. `transits`: router id → its range; `ipv6`: the host has it."""

    host_id: str
    root_table: str
    vxlan_port: int = rules.VXLAN
    ipv6: bool = False
    transits: Mapping[str, Transit] = field(default_factory=dict)


def networks_by_domain(desired: Desired) -> dict[str, list[network.Network]]:
    """Routing domain → its networks."""
    found: defaultdict[str, list[network.Network]] = defaultdict(list)
    for net in sorted(desired.networks.values(), key=lambda net: net.id):
        if net.kind is not network.Kind.HOST:
            found[desired.domain_of(net)].append(net)
    return dict(found)


def behind(up: Mapping[str, Uplink], outer_space: str) -> list[str]:
    return sorted(id_ for id_, each in up.items() if each.outer_space == outer_space)


def is_host(way: network.WayOut) -> bool:
    return way.network.kind is network.Kind.HOST


def has_ipv6(router: network.Router, site: Site) -> bool:
    """Does IPv6 lead anywhere out of this router?"""
    way = router.out
    assert way is not None
    return site.ipv6 if is_host(way) else any(":" in each for each in (*way.addresses, *way.gateways))


def kernel_settings(*, forwards: bool) -> tuple[tuple[str, str], ...]:
    """Kernel settings of a namespace below /proc/sys/net, in the order in which they are to be made."""
    # `ip_forward` sets others, so it is first. Answers may come by another way than questions went: no rp_filter. An
    # address is answered for on its own device only; service addresses are on all.
    both = {
        "ipv4": {"rp_filter": 0, "send_redirects": 0, "accept_redirects": 0, "arp_ignore": 1, "arp_announce": 2},
        "ipv6": {"accept_ra": 0, "accept_redirects": 0, "accept_dad": 0, "addr_gen_mode": 1},
    }
    on = str(int(forwards))
    return (
        ("ipv4/ip_forward", on),
        ("ipv6/conf/all/forwarding", on),
        *(
            (f"{family}/conf/{scope}/{key}", str(value))
            for family, wanted in both.items()
            for scope in ("default", "all")
            for key, value in wanted.items()
            if (scope, key) != ("all", "addr_gen_mode")
        ),
    )


def address_of(text: str) -> str:
    """As the kernel's own are written here."""
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    return socket.inet_ntop(family, socket.inet_pton(family, text))


def range_of(text: str) -> Range:
    return ipaddress.ip_network(text, strict=False)


def overlap(one: Range, other: Range) -> bool:
    return one.version == other.version and one.overlaps(other)


def mac_of(text: str) -> str:
    """Locally administered, always the same for the same text."""
    return (b"\x06" + hashlib.blake2b(text.encode(), digest_size=5).digest()).hex(":")
