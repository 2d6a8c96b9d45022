"""What a host must know of networks, version 2: its whole desired state, changes to it, and what it says back.

Objects are whole and keyed by `id`; the newest replaces. Which objects a host knows: for each port that is on it, the
routing domain of that port (a router with all its networks, or a network without router) with all ports in it wherever
they are; the security groups of its own ports; and as members whoever is in the groups that these name. A port that is on
no host is in no state.

Envelopes of states and changes belong to no operation; their `generation` is the body's. Past its deadline one is dropped,
and the host asks. What is at its default is left out on the wire. What is too large for one envelope comes as several
(`parts`), each with some of the objects: `part` counts from 0, and nothing is taken before all of them are here.
"""

import enum

import msgspec


class Kind(enum.StrEnum):
    """How frames travel between hosts. HOST: they do not; the host's own way out."""

    FLAT = "flat"
    VLAN = "vlan"
    VXLAN = "vxlan"
    HOST = "host"


class Route(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    destination: str
    nexthop: str


class Subnet(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`gateway` is empty where there is none. `routed`: the network's router has its gateway, so the host serves it.

    `ipv6_mode`: empty (IPv4), `dhcpv6` or `slaac`. `dns` empty: guests ask their host, at the gateway address.
    """

    id: str
    cidr: str
    gateway: str = ""
    routed: bool = False
    dns: list[str] = []
    routes: list[Route] = []
    dhcp: bool = True
    ipv6_mode: str = ""


class Network(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One layer-2 domain. `segment`: VLAN id or VNI. `physical`: the wire's name in the agent's configuration.

    `router`: id of the router that joins it, empty without. `domain`: DNS domain of its guests' names.
    """

    id: str
    kind: Kind
    segment: int | None = None
    physical: str = ""
    mtu: int = 1450
    router: str = ""
    domain: str = ""
    subnets: list[Subnet] = []


class Pair(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Addresses beyond its own that a port may use; `mac` empty: its own."""

    cidr: str
    mac: str = ""


class Address(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    subnet: str
    address: str


class Port(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One plug. `here`: it is on the host that is told, which alone knows its `groups`; otherwise `host` is the tunnel
    address of the one that has it (empty: not known). `instance`: what holds it, empty if no instance does.
    """

    id: str
    network: str
    mac: str
    addresses: list[Address] = []
    here: bool = False
    host: str = ""
    instance: str = ""
    name: str = ""
    groups: list[str] = []
    pairs: list[Pair] = []
    security: bool = True
    up: bool = True


class Member(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A port in a `group` that rules of this host's groups name, with its addresses. `id`: `<group>/<port>`."""

    id: str
    group: str
    addresses: list[str] = []


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Allows. `protocol`: number, None for any. `first`, `last`: ports, or ICMP type and code; None: any.

    The other side: `cidr`, or members of `group`, or anybody (both empty).
    """

    ingress: bool
    family: int
    protocol: int | None = None
    first: int | None = None
    last: int | None = None
    cidr: str = ""
    group: str = ""


class Group(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    rules: list[Rule] = []


class WayOut(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A router's external network as this host reaches it. `network`: as above, its kind may be `host`.

    `addresses`: this host's own there, with prefix length (`203.0.113.9/24`); none for kind `host`. `gateways`: next hops,
    at most one of each family. `mac`: of this host's device there.
    """

    network: Network
    addresses: list[str] = []
    gateways: list[str] = []
    mac: str = ""


class Router(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`snat`: guests without a floating address leave under one of the host's."""

    id: str
    out: WayOut | None = None
    snat: bool = True
    up: bool = True


class Floating(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A floating address: one to one with `fixed`, an address of `port`. Its port's host answers for it."""

    id: str
    address: str
    fixed: str
    port: str
    router: str


class Objects(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    networks: list[Network] = []
    ports: list[Port] = []
    members: list[Member] = []
    groups: list[Group] = []
    routers: list[Router] = []
    floating: list[Floating] = []


class State(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that the host should have, as of `generation`; what is not in it goes."""

    generation: int
    objects: Objects
    part: int = 0
    parts: int = 1


class Gone(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Ids of objects that this host need not know any more; they go before those of the same change come.

    A network takes its ports with it, a router its floating addresses. `named`: groups that no rule here names any more; all
    their members go.
    """

    networks: list[str] = []
    ports: list[str] = []
    members: list[str] = []
    named: list[str] = []
    groups: list[str] = []
    routers: list[str] = []
    floating: list[str] = []


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """From `base` to `generation`. A host that is not at `base` does nothing and asks for its state."""

    base: int
    generation: int
    objects: Objects = Objects()
    gone: Gone = Gone()
    part: int = 0
    parts: int = 1


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that could not be brought about; `object`: id of what it is about, may be empty."""

    code: str
    message: str
    object: str = ""


class Told(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a host says of its networking, unasked: after it has converged (at most once a second), and when it `asks`.

    `generation`: what it has applied. `mended`: drift that it found and put right, in words.
    """

    generation: int
    asks: bool = False
    took_ms: float | None = None
    problems: list[Problem] = []
    mended: list[str] = []


class CardAddress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An address with what a guest needs to set it up by itself (config drive). `mode`: `dhcp`, `static`, `dhcpv6`, `slaac`."""

    address: str
    prefix_length: int
    gateway: str = ""
    dns: list[str] = []
    routes: list[Route] = []
    mode: str = "dhcp"


class Card(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A port as the hypervisor plugs it in. What the network must do for it comes in the desired state."""

    id: str
    network: str
    mac: str
    mtu: int
    addresses: list[CardAddress] = []
