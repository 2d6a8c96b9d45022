"""A thin wrapper over ovs-vsctl and ovs-ofctl for one bridge. Knows no networks and no instances."""

import json
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.drivers.base import DriverError
from agent.drivers.command import run
from agent.drivers.openvswitch.flows import Flow, base_flows

CODE = "network.switch"
TIMEOUT_S = 10
_COOKIE = re.compile(r"cookie=(0x[0-9a-f]+)")
_IN_PORT = re.compile(r"[ ,]in_port=(\d+)")
_PACKETS = re.compile(r"n_packets=(\d+)")


@dataclass(frozen=True, kw_only=True)
class Interface:
    """One interface on the bridge. `ofport` is None while the switch has not opened the device."""

    name: str
    ofport: int | None
    external_ids: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Installed:
    """One flow as the switch tells it."""

    cookie: int
    in_port: int | None
    packets: int
    text: str


class Bridge:
    """One bridge. All methods raise DriverError `network.switch`."""

    def __init__(self, name: str, *, rundir: str = "") -> None:
        """`rundir`: folder of Open vSwitch's sockets; empty: $OVS_RUNDIR, or what the programs were built with.

        libvirt calls ovs-vsctl too, so libvirtd must see the same OVS_RUNDIR in its environment.
        """
        self.name = name
        self._env = {"OVS_RUNDIR": rundir} if rundir else {}

    def ensure(self) -> None:
        """Create the bridge unless it is there. Without flows it forwards nothing (`fail_mode=secure`)."""
        wanted = ["set", "bridge", self.name, "fail_mode=secure", "other_config:disable-in-band=true"]
        if not self.exists():
            wanted.append(f"datapath_type={'system' if kernel_datapath() else 'netdev'}")
        self._vsctl("--may-exist", "add-br", self.name, "--", *wanted)
        self.change_flows(add=base_flows())

    def exists(self) -> bool:
        return self.name in self._vsctl("list-br").split()

    def datapath(self) -> str:
        """`netdev` (user space) or `system` (the kernel's); of the bridge to come while there is none."""
        text = self._vsctl("--if-exists", "get", "Bridge", self.name, "datapath_type").strip().strip('"')
        return text or ("system" if self.exists() or kernel_datapath() else "netdev")

    def remove(self) -> None:
        self._vsctl("--if-exists", "del-br", self.name)

    def add_port(self, device: str, *, tag: int, external_ids: dict[str, str]) -> int:
        """Ensure a port for an existing device in local VLAN `tag`; answer its OpenFlow number."""
        ids = [f"external_ids:{key}={value}" for key, value in external_ids.items()]
        self._vsctl(
            *("--may-exist", "add-port", self.name, device),
            *("--", "set", "Port", device, f"tag={tag}"),
            *("--", "set", "Interface", device, *ids),
        )
        return self.ofport(device)

    def del_port(self, device: str) -> None:
        """Take a port away; nothing happens when there is none, or when it is on another bridge."""
        self._vsctl("--if-exists", "del-port", self.name, device)

    def ofport(self, device: str) -> int:
        """OpenFlow number of an interface. Raises DriverError `network.device_missing` while it has none."""
        text = self._vsctl("--if-exists", "get", "Interface", device, "ofport").strip()
        if not text.isdigit():
            state = text or "absent"
            raise DriverError("network.device_missing", f"{device}: not a working port of {self.name}: {state}")
        return int(text)

    def set_external_ids(self, device: str, external_ids: dict[str, str]) -> None:
        ids = [f"external_ids:{key}={value}" for key, value in external_ids.items()]
        self._vsctl("--if-exists", "set", "Interface", device, *ids)

    def interfaces(self) -> list[Interface]:
        """Every interface of this bridge, its own internal one left out."""
        text = self._vsctl(
            *("--format=json", "--", "list-ifaces", self.name),
            *("--", "--columns=name,ofport,external_ids", "list", "Interface"),
        )
        names_text, brace, rest = text.partition("{")
        names = set(names_text.split())
        found = (_interface(row) for row in json.loads(brace + rest)["data"])
        return [interface for interface in found if interface.name in names]

    def tags(self) -> set[int]:
        """Local VLANs in use on this bridge."""
        text = self._vsctl(
            *("--format=json", "--", "list-ports", self.name), *("--", "--columns=name,tag", "list", "Port")
        )
        names_text, brace, rest = text.partition("{")
        names = set(names_text.split())
        rows = json.loads(brace + rest)["data"]
        return {tag for name, tag in rows if name in names and isinstance(tag, int)}

    def change_flows(self, *, add: list[Flow] | None = None, delete: list[str] | None = None) -> None:
        """Delete by match (such as `cookie=0x…/-1`), then add, as one transaction of the switch."""
        lines = [f"delete {match}" for match in delete or []] + [f"add {flow.text()}" for flow in add or []]
        if lines:
            self._ofctl("--bundle", "add-flows", self.name, "-", stdin="\n".join(lines) + "\n")

    def flows(self) -> list[Installed]:
        """What the switch has."""
        lines = self._ofctl("--no-names", "dump-flows", self.name).splitlines()
        return [_installed(line) for line in lines if "cookie=" in line]

    def _vsctl(self, *args: str) -> str:
        return run("ovs-vsctl", f"--timeout={TIMEOUT_S}", *args, timeout_s=TIMEOUT_S + 5, code=CODE, env=self._env)

    def _ofctl(self, *args: str, stdin: str | None = None) -> str:
        # 1.4 is the first version with bundles.
        options = ("-O", "OpenFlow14", f"--timeout={TIMEOUT_S}")
        return run("ovs-ofctl", *options, *args, stdin=stdin, timeout_s=TIMEOUT_S + 5, code=CODE, env=self._env)


def kernel_datapath() -> bool:
    """True when the kernel has Open vSwitch's module (loading it when it can be loaded)."""
    module = Path("/sys/module/openvswitch")
    if not module.exists():
        with suppress(DriverError):
            run("modprobe", "-q", "openvswitch", code=CODE)
    return module.exists()


def _interface(row: list[Any]) -> Interface:
    name, ofport, external_ids = row
    number = ofport if isinstance(ofport, int) and ofport > 0 else None
    return Interface(name=name, ofport=number, external_ids=dict(external_ids[1]))


def _installed(line: str) -> Installed:
    cookie, in_port, packets = _COOKIE.search(line), _IN_PORT.search(line), _PACKETS.search(line)
    return Installed(
        cookie=int(cookie[1], 16) if cookie else 0,
        in_port=int(in_port[1]) if in_port else None,
        packets=int(packets[1]) if packets else 0,
        text=line.strip(),
    )
