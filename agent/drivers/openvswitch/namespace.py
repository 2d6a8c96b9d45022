"""One network namespace per network: the gateway address, and the way out to the rest of the world.

    guests ── bridge ── csg<id> ═ gw0 [namespace cs-<id>] up0 ═ cst<id> ── root namespace ── world
                                 10.64.0.1            169.254.x.y/30

`<id>` is the last 8 hex digits of the network's id, random ones (the first are the time), so two networks or two installations on one machine
do not meet. Packets outward are masqueraded twice: in the namespace, because tenants' ranges overlap, and in the root
namespace, because nobody outside knows the transit range. Nothing here needs a file: what exists says what exists.
"""

import fcntl
import hashlib
import ipaddress
import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.drivers.base import DriverError
from agent.drivers.command import run
from contracts.network import v1 as network

CODE = "network.namespace"
NAMESPACES = Path("/run/netns")
# Installations on one machine choose transit ranges one at a time.
TRANSIT_LOCK = Path("/run/lock/cloudsite-transit")
GATEWAY_DEVICE, UPLINK_DEVICE = "gw0", "up0"
# 169.254.1.0 to 169.254.254.255 in ranges of four, 169.254.169.0/24 (clouds' own services) left out.
_FIRST, _RANGES = int(ipaddress.IPv4Address("169.254.1.0")), 254 * 64
_TAKEN_BY_CLOUDS = ipaddress.IPv4Network("169.254.169.0/24")

_transit_mutex = threading.Lock()


@dataclass(frozen=True)
class Names:
    """What things of one network are called on the host."""

    namespace: str
    gateway_port: str
    transit: str
    table: str

    @classmethod
    def of(cls, network_id: str) -> "Names":
        short = network_id[-8:]
        return cls(f"cs-{short}", f"csg{short}", f"cst{short}", f"cs_{short}")


def ensure(net: network.Network) -> Names:
    """Make namespace, gateway and, when wanted, the way out. The gateway's device is not yet on the bridge.

    Raises DriverError `network.namespace`.
    """
    names = Names.of(net.id)
    _ensure_namespace(names.namespace)
    _ensure_gateway(net, names)
    if net.nat:
        _ensure_way_out(net, names)
    return names


def exists(network_id: str) -> bool:
    """True when namespace and gateway device are there (a cheap look, no program is run)."""
    names = Names.of(network_id)
    return _is_mounted(NAMESPACES / names.namespace) and Path("/sys/class/net", names.gateway_port).exists()


def remove(network_id: str) -> None:
    """Take everything of the network away, processes inside included; fine when there is nothing."""
    names = Names.of(network_id)
    path = NAMESPACES / names.namespace
    if _is_mounted(path):
        for pid in run("ip", "netns", "pids", names.namespace, code=CODE).split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
    run("nft", "-f", "-", stdin=f"add table ip {names.table}\ndelete table ip {names.table}\n", code=CODE)
    for device in (names.transit, names.gateway_port):
        _delete_device(device)
    if _is_mounted(path):
        run("ip", "netns", "delete", names.namespace, code=CODE)
    else:
        path.unlink(missing_ok=True)


def gateway_mac(network_id: str) -> str:
    """The same on every host and after every rebuild, so that guests' ARP caches stay right."""
    digest = hashlib.blake2b(network_id.encode(), digest_size=5).digest()
    return ":".join(f"{byte:02x}" for byte in b"\x0a" + digest)


def transit_ranges(network_id: str) -> Iterator[ipaddress.IPv4Network]:
    """Every candidate, beginning at a place that the network's id gives."""
    start = int.from_bytes(hashlib.blake2b(network_id.encode(), digest_size=4).digest(), "big")
    for step in range(_RANGES):
        candidate = ipaddress.IPv4Network((_FIRST + (start + step) % _RANGES * 4, 30))
        if not candidate.subnet_of(_TAKEN_BY_CLOUDS):
            yield candidate


def _ensure_namespace(name: str) -> None:
    path = NAMESPACES / name
    if _is_mounted(path):
        return
    # An `ip netns add` that was killed half-way leaves a plain file, which is no namespace.
    path.unlink(missing_ok=True)
    run("ip", "netns", "add", name, code=CODE)


def _ensure_gateway(net: network.Network, names: Names) -> None:
    subnet = net.subnet
    prefix = ipaddress.IPv4Network(subnet.cidr).prefixlen
    if not Path("/sys/class/net", names.gateway_port).exists():
        # The far end is made inside the namespace, so there is never a half-moved pair.
        mac = ("address", gateway_mac(net.id))
        far = ("peer", "name", GATEWAY_DEVICE, "netns", names.namespace, *mac)
        mtu = ("mtu", str(net.mtu))
        run("ip", "link", "add", names.gateway_port, *mtu, "up", "type", "veth", *far, code=CODE)
    else:
        run("ip", "link", "set", names.gateway_port, "mtu", str(net.mtu), "up", code=CODE)
    inside = [
        "link set lo up",
        f"link set {GATEWAY_DEVICE} mtu {net.mtu} up",
        f"address replace {subnet.gateway}/{prefix} brd + dev {GATEWAY_DEVICE}",
    ]
    run("ip", "-n", names.namespace, "-batch", "-", stdin="\n".join(inside), code=CODE)
    # The user-space datapath passes frames on as they are: a checksum left to the "hardware" would never be computed.
    run("ethtool", "-K", GATEWAY_DEVICE, "tx", "off", namespace=names.namespace, code=CODE)
    settings = ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.disable_ipv6=1"]
    run("sysctl", "-q", "-e", "-w", *settings, namespace=names.namespace, code=CODE)


def _ensure_way_out(net: network.Network, names: Names) -> None:
    host_end, inner_end = _transit_addresses(net.id, names)
    inside = [
        f"link set {UPLINK_DEVICE} up",
        f"address replace {inner_end}/30 dev {UPLINK_DEVICE}",
        f"route replace default via {host_end}",
    ]
    run("ip", "-n", names.namespace, "-batch", "-", stdin="\n".join(inside), code=CODE)
    run("nft", "-f", "-", stdin=_inner_rules(net.subnet.cidr), namespace=names.namespace, code=CODE)
    transit = ipaddress.IPv4Network(f"{host_end}/30", strict=False)
    run("nft", "-f", "-", stdin=_outer_rules(names, transit), code=CODE)
    # Never switched off again: others on the machine may have come to rely on it.
    forwarding = Path("/proc/sys/net/ipv4/ip_forward")
    if forwarding.read_text().strip() != "1":
        forwarding.write_text("1")


def _transit_addresses(network_id: str, names: Names) -> tuple[str, str]:
    """Ensure the transit pair with an address on the host's end; answer both ends' addresses."""
    with _one_at_a_time():
        in_use = _addresses()
        mine = [address for device, address in in_use if device == names.transit]
        if not mine:
            taken = [ipaddress.IPv4Network(f"{address}/30", strict=False) for _, address in in_use]
            chosen = next((net for net in transit_ranges(network_id) if net not in taken), None)
            if chosen is None:
                raise DriverError(CODE, "no transit range is free in 169.254.0.0/16")
            if not Path("/sys/class/net", names.transit).exists():
                far = ("peer", "name", UPLINK_DEVICE, "netns", names.namespace)
                run("ip", "link", "add", names.transit, "type", "veth", *far, code=CODE)
            mine = [str(chosen[1])]
            run("ip", "address", "replace", f"{mine[0]}/30", "dev", names.transit, code=CODE)
        run("ip", "link", "set", names.transit, "up", code=CODE)
    return mine[0], str(ipaddress.IPv4Address(mine[0]) + 1)


def _inner_rules(cidr: str) -> str:
    """In the namespace: guests go out under the transit address; nobody comes in unasked."""
    return f"""
add table ip cloudsite
delete table ip cloudsite
table ip cloudsite {{
  chain postrouting {{
    type nat hook postrouting priority srcnat;
    oifname "{UPLINK_DEVICE}" masquerade
  }}
  chain forward {{
    type filter hook forward priority filter;
    iifname "{UPLINK_DEVICE}" ct state established,related accept
    iifname "{UPLINK_DEVICE}" drop
    ip saddr != {cidr} drop
  }}
}}
"""


def _outer_rules(names: Names, transit: ipaddress.IPv4Network) -> str:
    """In the root namespace: the transit range is known to nobody outside."""
    return f"""
add table ip {names.table}
delete table ip {names.table}
table ip {names.table} {{
  chain postrouting {{
    type nat hook postrouting priority srcnat;
    ip saddr {transit} oifname != "{names.transit}" masquerade
  }}
}}
"""


def _addresses() -> list[tuple[str, str]]:
    """(device, IPv4 address) of the root namespace."""
    links: list[dict[str, Any]] = json.loads(run("ip", "-4", "-j", "address", "show", code=CODE) or "[]")
    return [
        (link["ifname"], address["local"])
        for link in links
        for address in link.get("addr_info", [])
        if "ifname" in link
    ]


def _delete_device(name: str) -> None:
    if not Path("/sys/class/net", name).exists():
        return
    try:
        run("ip", "link", "delete", name, code=CODE)
    except DriverError:
        # Gone in the meantime: with its far end, or with the namespace that this was in.
        if Path("/sys/class/net", name).exists():
            raise


def _is_mounted(path: Path) -> bool:
    """True for a real namespace handle, false for nothing and for the plain file it would be mounted on."""
    try:
        return path.stat().st_dev != path.parent.stat().st_dev
    except OSError:
        return False


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    with _transit_mutex, TRANSIT_LOCK.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
