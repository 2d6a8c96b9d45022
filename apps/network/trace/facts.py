"""What a trace looks at: rows, read together, as plain data. Pure."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from apps.network.states import NetworkKind

ICMP, ICMPV6, TCP, UDP, SCTP = 1, 58, 6, 17, 132
PING = {4: 8, 6: 128}
Range = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What is asked about. `port`: destination port, or ICMP type; None: no port in particular, so only rules for all fit."""

    protocol: int
    family: int
    port: int | None = None

    @property
    def text(self) -> str:
        version = f"IPv{self.family}"
        if self.protocol in (ICMP, ICMPV6):
            return f"ping ({version})" if self.port == PING[self.family] else f"ICMP type {self.port} ({version})"
        name = {TCP: "tcp", UDP: "udp", SCTP: "sctp"}.get(self.protocol, f"protocol {self.protocol}")
        return f"{name} port {self.port} ({version})" if self.port is not None else f"{name} ({version})"


@dataclass(frozen=True, kw_only=True)
class Network:
    """`wire`: name of its physical network, "" without."""

    id: str
    name: str
    kind: str
    segment: int | None = None
    wire: str = ""

    @property
    def on_wire(self) -> bool:
        return self.kind in (NetworkKind.FLAT, NetworkKind.VLAN)


@dataclass(frozen=True, kw_only=True)
class Router:
    """`out`: the external network that is its way out."""

    id: str
    name: str
    up: bool = True
    snat: bool = True
    out: Network | None = None


@dataclass(frozen=True, kw_only=True)
class Subnet:
    """`routes`: (destination, next hop), as guests are told; `router`: the one that it is attached to."""

    id: str
    cidr: str
    gateway: str = ""
    routes: tuple[tuple[str, str], ...] = ()
    router: Router | None = None

    @cached_property
    def range(self) -> Range:
        return ipaddress.ip_network(self.cidr)


@dataclass(frozen=True, kw_only=True)
class Address:
    """One of a port's; `floating`: the one that stands for it outside, "" without."""

    address: str
    subnet: Subnet
    floating: str = ""

    @property
    def family(self) -> int:
        return 6 if ":" in self.address else 4


@dataclass(frozen=True, kw_only=True)
class Host:
    """`up`: it is heard of. `speaks`: its agent understands networks. `told`, `applied`: generations of its networking.
    `problems`: what it could not do, by the id of what that is about ("": of nothing in particular). `lacking`: what it could
    not be given, by external network. `outside`: its addresses on external networks, by network."""

    id: str
    name: str
    up: bool = True
    speaks: bool = True
    tunnel: str = ""
    wires: frozenset[str] = frozenset()
    told: int = 0
    applied: int = 0
    problems: Mapping[str, str] = field(default_factory=dict)
    lacking: Mapping[str, str] = field(default_factory=dict)
    outside: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """As `models.Rule`. `remote`: id of the group whose members are the other side, with its name."""

    ingress: bool
    family: int
    protocol: int | None = None
    first: int | None = None
    last: int | None = None
    cidr: str = ""
    remote: str = ""
    remote_name: str = ""
    group_name: str = ""


@dataclass(frozen=True, kw_only=True)
class Port:
    """`device_kind`: as in the model; `groups`: names; `rules`: of all of them."""

    id: str
    label: str
    network: Network
    device_kind: str = "instance"
    host: Host | None = None
    up: bool = True
    security: bool = True
    addresses: tuple[Address, ...] = ()
    groups: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()

    def addresses_of(self, family: int) -> tuple[Address, ...]:
        return tuple(each for each in self.addresses if each.family == family)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """One question with all that bears on it: from `source` to `target`, each a port or an address outside.

    `members`: ids of groups → which of the addresses in question their members have. `outside`: external network → its
    subnets (CIDR, gateway). `floating`: the target was named by this floating address. `pending`: something of all this has
    changed, and hosts are still to be told. `hosts_shown`: may the answer name hosts, wires and segments?
    """

    source: Port | str
    target: Port | str
    traffic: Traffic
    members: Mapping[str, frozenset[str]] = field(default_factory=dict)
    outside: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    floating: str = ""
    pending: bool = False
    hosts_shown: bool = False


@dataclass(frozen=True, kw_only=True)
class Hop:
    """One thing on the way. `ok`: None if the database cannot tell. `fix`: what to do about it, "" if nothing is wrong."""

    name: str
    ok: bool | None
    detail: str
    fix: str = ""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """`verdict`: `open`, `closed` or `unsure`; `summary`: the same as a sentence with the first reason."""

    verdict: str
    summary: str
    hops: tuple[Hop, ...]
