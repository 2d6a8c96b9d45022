"""nftables of a router, of an external network and of the host, as text; pure.

Base chains accept and end in a rule that drops: a chain whose policy drops would drop everything for the moment in which
it is there and its rules are not yet. Each text is one table, which replaces the former one in one transaction; NAT of
running connections is in the kernel's table of connections and stays.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from agent.drivers.openvswitch import names

# What hosts believe of one another comes by this port; no guest may send there, whatever port this host uses itself.
VXLAN = 4789


@dataclass(frozen=True, kw_only=True)
class Router:
    """`floating`: address → fixed one, those that this host answers for. `out`: it has a way out that is open for guests
    with a floating address; `snat`: and for the others, under an address of the host; `plain`: under their own."""

    routed: tuple[str, ...] = ()
    floating: Mapping[str, str] = field(default_factory=dict)
    out: bool = False
    snat: bool = False
    plain: bool = False


@dataclass(frozen=True, kw_only=True)
class World:
    """The other side of routers' ways out. `transits`: device → its ranges; `plain`: ranges of routers without NAT."""

    transits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    floating: tuple[str, ...] = ()
    plain: tuple[str, ...] = ()


def router(table: str, wanted: Router) -> str:
    """For the namespace of a routing domain."""
    up, gateways = f'"{names.UPLINK}"', '"gw*"'
    routed4, routed6 = _by_family(wanted.routed)
    inward: dict[int, dict[str, str]] = {4: {}, 6: {}}
    for address, fixed in wanted.floating.items():
        inward[ip_address(address).version][address] = fixed
    open_: list[str] = []
    known = "ct state established,related accept"
    if wanted.out:
        if wanted.snat or wanted.plain:
            open_ += [f"iifname {gateways} oifname {up} accept"]
        else:
            open_ += [f"iifname {gateways} oifname {up} {ip} saddr @fixed{n} accept" for ip, n in _IP]
        open_ += [f"iifname {up} {known}", f"iifname {up} ct status dnat accept"]
    if wanted.out and wanted.plain:
        open_ += [f"iifname {up} oifname {gateways} {ip} daddr @routed{n} accept" for ip, n in _IP]
    within = [f"iifname {gateways} {ip} daddr @routed{n} fib daddr type != local notrack" for ip, n in _IP]
    to_self = f"iifname {gateways} oifname {gateways} ct status dnat"
    own = [(f"snat {ip} to {ip} saddr map @out{n}") for ip, n in _IP]
    return _table(table, [
        *_sets("routed", routed4, routed6, "flags interval"),
        *(line for n, kind in _KINDS for line in _map(f"in{n}", kind, inward[n])),
        *(line for n, kind in _KINDS for line in _map(f"out{n}", kind, {b: a for a, b in inward[n].items()})),
        *_sets("fixed", inward[4].values(), inward[6].values()),
        # Answers may come by another host's router: between its networks a router keeps no state. What was translated
        # here is answered to an address of the router itself.
        *_chain("untracked", "filter hook prerouting priority raw", within),
        *_chain("inward", "nat hook prerouting priority dstnat", [f"dnat {ip} to {ip} daddr map @in{n}" for ip, n in _IP]),
        *_chain("outward", "nat hook postrouting priority srcnat", [
            # A guest that reaches one of its own router by the floating address: the answer must come back through here.
            *(f"{to_self} {each}" for each in own),
            f"{to_self} masquerade",
            *(f"oifname {up} {each}" for each in own),
            *([f"oifname {up} masquerade"] if wanted.snat else []),
        ]),
        *_chain("through", "filter hook forward priority filter", [
            *(f"iifname {gateways} {ip} saddr != @routed{n} drop" for ip, n in _IP),
            *([f"iifname {gateways} oifname {gateways} accept"] if wanted.routed else []),
            *open_,
            "drop",
        ]),
        *_chain("local", "filter hook input priority filter", [
            f"iifname {gateways} accept", "iifname lo accept", known, _NEIGHBOURS, "drop",
        ]),
    ])  # fmt: skip


def outside(table: str, wanted: World, *, vxlan_port: int) -> str:
    """For the namespace of an external network."""
    external = f'"{names.EXTERNAL}"'
    return _table(table, [
        *_world_sets(wanted),
        *_sets("plain", *_by_family(wanted.plain), "flags interval"),
        *_chain("outward", "nat hook postrouting priority srcnat", _MASQUERADE),
        *_chain("through", "filter hook forward priority filter", [
            _no_vxlan(vxlan_port),
            *(f"iifname @transit {ip} saddr != @ranges{n} {ip} saddr != @floating{n} {ip} saddr != @plain{n} drop"
              for ip, n in _IP),
            *_inward(wanted),
            *(f"oifname @transit {ip} daddr @plain{n} accept" for ip, n in _IP),
            f"iifname @transit oifname {external} accept",
            "drop",
        ]),
        *_chain("local", "filter hook input priority filter", [
            "iifname lo accept", "ct state established,related accept", _NEIGHBOURS,
            "icmp type echo-request accept", "icmpv6 type echo-request accept", "drop",
        ]),
    ])  # fmt: skip


def host(
    table: str, wanted: World, *, vxlan_port: int, plugs: Iterable[str] = (), peers: Iterable[str] | None = None
) -> str:
    """For the host itself, whose other traffic is none of our business.

    `plugs`: devices that lead into the bridge; with the datapath in user space the host sees their frames, too.
    `peers`: hosts that may send VXLAN here; None: no network of that kind is here.
    """
    to_us: list[str] = []
    if peers is not None:
        to_us = [f"udp dport {vxlan_port} {ip} saddr != @peers{n} drop" for ip, n in _IP]
    return _table(table, [
        *_world_sets(wanted),
        *_set("plugs", "ifname", sorted(f'"{each}"' for each in plugs)),
        *_sets("peers", *_by_family(peers or ())),
        *_chain("outward", "nat hook postrouting priority srcnat", _MASQUERADE),
        *_chain("through", "filter hook forward priority filter", [
            "iifname @plugs drop",
            f"iifname @transit {_no_vxlan(vxlan_port)}",
            *(f"iifname @transit {ip} saddr != @ranges{n} {ip} saddr != @floating{n} drop" for ip, n in _IP),
            *_inward(wanted),
            "oifname @transit drop",
        ]),
        *_chain("local", "filter hook input priority filter", [
            "iifname @plugs drop",
            "iifname @transit ct state established,related accept",
            f"iifname @transit {_NEIGHBOURS}",
            "iifname @transit drop",
            *to_us,
        ]),
    ])  # fmt: skip


def digest_of_table(text: str) -> str:
    """What the table says of itself, so that an agent that starts sees whether it is the one that it would write."""
    return text.partition('comment "')[2].partition('"')[0] or "none"


_IP = (("ip", 4), ("ip6", 6))
_KINDS = ((4, "ipv4_addr"), (6, "ipv6_addr"))
_MASQUERADE = [f"iifname @transit {ip} saddr @ranges{n} masquerade" for ip, n in _IP]
_NEIGHBOURS = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept"


def _table(name: str, lines: list[str]) -> str:
    body = "\n".join(f"  {line}" for line in lines)
    digest = hashlib.blake2b(body.encode(), digest_size=12).hexdigest()
    return f"""\
add table inet {name}
delete table inet {name}
table inet {name} {{
  comment "cloudsite {digest}"
{body}
}}
"""


def _no_vxlan(port: int) -> str:
    return f"udp dport {{ {', '.join(map(str, sorted({VXLAN, port})))} }} drop"


def _inward(wanted: World) -> list[str]:
    """Nobody comes in to a router but by a floating address, or with an answer."""
    return [
        "oifname @transit ct state established,related accept",
        *(f"oifname @transit {ip} daddr @floating{n} accept" for ip, n in _IP),
    ]


def _world_sets(wanted: World) -> list[str]:
    ranges = [each for ranges in wanted.transits.values() for each in ranges]
    return [
        *_set("transit", "ifname", sorted(f'"{device}"' for device in wanted.transits)),
        *_sets("ranges", *_by_family(ranges), "flags interval"),
        *_sets("floating", *_by_family(wanted.floating)),
    ]


def _sets(name: str, four: Iterable[str], six: Iterable[str], flags: str = "") -> list[str]:
    return [*_set(f"{name}4", "ipv4_addr", four, flags), *_set(f"{name}6", "ipv6_addr", six, flags)]


def _set(name: str, kind: str, elements: Iterable[str], flags: str = "") -> list[str]:
    listed = ", ".join(sorted(elements))
    inside = [f"type {kind};", f"{flags}; auto-merge;" if flags else "", f"elements = {{ {listed} }}" if listed else ""]
    return [f"set {name} {{ {' '.join(inside)}", "}"]


def _map(name: str, kind: str, elements: Mapping[str, str]) -> list[str]:
    listed = ", ".join(f"{key} : {value}" for key, value in sorted(elements.items()))
    inside = [f"type {kind} : {kind};", f"elements = {{ {listed} }}" if listed else ""]
    return [f"map {name} {{ {' '.join(inside)}", "}"]


def _chain(name: str, hook: str, lines: Iterable[str]) -> list[str]:
    return [f"chain {name} {{ type {hook};", *(f"  {line}" for line in lines), "}"]


def _by_family(ranges: Iterable[str]) -> tuple[list[str], list[str]]:
    """IPv4 and IPv6, addresses or ranges."""
    four: list[str] = []
    six: list[str] = []
    for each in ranges:
        (four if ip_network(each).version == 4 else six).append(each)
    return four, six
