"""VXLAN: one device of the kernel per network, a port of the bridge. The kernel learns nothing: for each MAC it is told on
which host it is, and unknown ones and broadcasts go to those hosts only that have ports in the network."""

import errno
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from agent.drivers.base import DriverError
from agent.drivers.command import run
from agent.drivers.openvswitch import names
from agent.drivers.openvswitch.routing.settings import deafen
from contracts.network import v2 as network

CODE = "network.tunnel"
EVERYBODY: Final = "00:00:00:00:00:00"
_NUD_PERMANENT: Final = 0x80
_NUD_NOARP: Final = 0x40
_NTF_SELF: Final = 0x02

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Tunnel:
    """One device. `table`: MAC and host, EVERYBODY for floods."""

    name: str
    vni: int
    mtu: int
    local: str
    port: int
    table: frozenset[tuple[str, str]] = field(default_factory=frozenset)


def tunnel(net: network.Network, ports: Iterable[network.Port], *, local: str, port: int) -> Tunnel:
    """What a network's device is to be. `ports`: those of the network, wherever they are; `local`: this host's address."""
    table: set[tuple[str, str]] = set()
    for other in ports:
        if other.here or not other.host or other.host == local:
            continue
        table.add((EVERYBODY, other.host))
        table.update((mac.lower(), other.host) for mac in {other.mac, *(p.mac for p in other.pairs if p.mac)})
    assert net.segment is not None
    return Tunnel(
        name=names.vxlan(net.id), vni=net.segment, mtu=net.mtu, local=local, port=port, table=frozenset(table)
    )


class Tunnels:
    """The devices of one host, in the network namespace of the calling thread."""

    def __init__(self, *, offloads: bool) -> None:
        """`offloads`: False where the switch takes frames only as they are on the wire."""
        self._offloads = offloads
        self._made: dict[str, Tunnel] = {}

    def forget(self) -> None:
        """Look again at what the kernel has, next time."""
        self._made.clear()

    def ensure(self, wanted: Mapping[str, Tunnel]) -> list[tuple[str, DriverError]]:
        """Make the devices be so, by network id; answers what could not be done."""
        failed: list[tuple[str, DriverError]] = []
        missing = {id_: one for id_, one in wanted.items() if self._made.get(id_) != one or not device_index(one.name)}
        if missing:
            with IPRoute() as kernel:
                for id_, one in missing.items():
                    try:
                        self._ensure(kernel, one)
                        self._made[id_] = one
                    except (NetlinkError, OSError) as error:
                        self._made.pop(id_, None)
                        failed.append((id_, DriverError(CODE, f"{one.name} (VNI {one.vni}): {_reason(error)}")))
        return failed

    def remove(self, network_id: str) -> None:
        """Fine when there is none."""
        self._made.pop(network_id, None)
        name = names.vxlan(network_id)
        if device_index(name):
            try:
                with IPRoute() as kernel:
                    for index in kernel.link_lookup(ifname=name):
                        kernel.link("del", index=index)
            except NetlinkError as error:
                raise DriverError(CODE, f"{name}: {_reason(error)}") from error

    def _ensure(self, kernel: IPRoute, wanted: Tunnel) -> None:
        index = next(iter(kernel.link_lookup(ifname=wanted.name)), None)
        if index is not None and not _same(kernel.get_links(index)[0], wanted):
            kernel.link("del", index=index)
            index = None
        if index is None:
            index = self._create(kernel, wanted)
        kernel.link("set", index=index, mtu=wanted.mtu, state="up")
        _fill(kernel, index, wanted.table)

    def _create(self, kernel: IPRoute, wanted: Tunnel) -> int:
        side = "vxlan_local6" if ":" in wanted.local else "vxlan_local"
        attributes = {
            "ifname": wanted.name, "kind": "vxlan", "vxlan_id": wanted.vni, "vxlan_port": wanted.port,
            "vxlan_learning": False, side: wanted.local,
        }  # fmt: skip
        kernel.link("add", **attributes)
        index: int = kernel.link_lookup(ifname=wanted.name)[0]
        deafen(wanted.name)
        if not self._offloads:
            run("ethtool", "-K", wanted.name, "tx", "off", "gro", "off", "gso", "off", "tso", "off", code=CODE)
        return index


def device_index(name: str) -> int:
    """The kernel's number of a device, in the network namespace of the calling thread; 0 if there is none."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return 0


def _same(link: Any, wanted: Tunnel) -> bool:
    data = link.get_nested("IFLA_LINKINFO", "IFLA_INFO_DATA")
    if data is None:
        return False
    local = data.get_attr("IFLA_VXLAN_LOCAL") or data.get_attr("IFLA_VXLAN_LOCAL6")
    port = data.get_attr("IFLA_VXLAN_PORT")
    found = (data.get_attr("IFLA_VXLAN_ID"), local, port, data.get_attr("IFLA_VXLAN_LEARNING"))
    return found == (wanted.vni, wanted.local, wanted.port, 0)


def _fill(kernel: IPRoute, index: int, wanted: frozenset[tuple[str, str]]) -> None:
    present: set[tuple[str, str]] = set()
    for entry in kernel.fdb("dump", ifindex=index):
        mac, host = entry.get_attr("NDA_LLADDR"), entry.get_attr("NDA_DST")
        if entry["ifindex"] == index and mac and host:
            present.add((mac, host))
    options: dict[str, Any] = {"ifindex": index, "flags": _NTF_SELF, "state": _NUD_PERMANENT | _NUD_NOARP}
    # A MAC that moved is added where it is before it goes where it was; one has one host, floods have many.
    for mac, host in sorted(wanted - present):
        verb = "append" if mac == EVERYBODY else "replace"
        kernel.fdb(verb, lladdr=mac, dst=host, **options)
    replaced = {mac for mac, _ in wanted - present if mac != EVERYBODY}
    for mac, host in sorted(present - wanted):
        if mac not in replaced:
            kernel.fdb("del", lladdr=mac, dst=host, ifindex=index)


def _reason(error: Exception) -> str:
    if isinstance(error, NetlinkError) and error.code == errno.EEXIST:
        return "another VXLAN device of this host has this VNI"
    return str(error.args[-1]) if error.args else type(error).__name__
