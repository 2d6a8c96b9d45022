"""A hypervisor host: a place with its own libvirt, Open vSwitch and agent."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from signal import SIGKILL
from typing import Final

from cloudsite.launcher import keeper
from cloudsite.settings.environment import BASE_DIR
from tests.real.hosts.place import PATH, Place, wait_until

UPLINK, WIRE_NIC, WIRE_BRIDGE = "eth0", "eth1", "br-wire"
PHYSICAL: Final = "physnet1"
_OWN: Final = (
    "/etc/libvirt", "/var/lib/libvirt", "/var/log/libvirt", "/var/cache/libvirt", "/etc/openvswitch", "/var/lib/openvswitch",
    "/var/log/openvswitch",
)
_RUN: Final = ("openvswitch", "libvirt", "cloudsite", "netns", "lock")
_SCHEMA: Final = Path("/usr/share/openvswitch/vswitch.ovsschema")
_DAEMON_WAIT_S: Final = 60.0
# Devices of guests, gateways, tunnels, transits and external networks; patches to wires stay.
_GUESTS: Final = ("tap", "csg", "csv", "cst", "csx")


class Host(Place):
    """`address`: on the underlay; `config`: of its agent, once enrolled, which makes `br-wire` and puts `eth1` in."""

    def __init__(self, name: str, folder: Path, address: str) -> None:
        folder.mkdir(parents=True)
        super().__init__(name, folder, own=_OWN, run=_RUN)
        self.address = address
        self.config = folder / "agent" / "agent.json"
        (folder / "agent").mkdir(mode=0o711)
        self._environment: dict[str, str] = {}
        self._cache: Path | None = None

    def start_daemons(self, cache: Path | None = None) -> None:
        """All four. `cache`: what libvirt has learnt of QEMU in an earlier life."""
        self._cache = cache
        _furnish(self.folder / "etc-libvirt", self.folder / "var-cache-libvirt", cache)
        subprocess.run(["ovsdb-tool", "create", str(self.folder / "conf.db"), str(_SCHEMA)], check=True, env={**os.environ, "PATH": PATH})
        for name in ("ovsdb-server", "virtlogd", "libvirtd"):
            self._start_daemon(name)
        wait_until(lambda: self.takes("/run/openvswitch/db.sock"), f"{self.name}: ovsdb-server answers", _DAEMON_WAIT_S)
        self.run("ovs-vsctl", "--no-wait", "init", "--", "set", "Open_vSwitch", ".", f"external_ids:system-id={self.name}")
        self._start_daemon("ovs-vswitchd")
        wait_until(lambda: self.takes("/run/libvirt/libvirt-sock"), f"{self.name}: libvirtd answers", _DAEMON_WAIT_S)

    def start_agent(self, environment: Mapping[str, str]) -> None:
        """`environment`: of the control plane; what a hypervisor must not know is left out."""
        secret = ("CLOUDSITE_", "DJANGO_", "GRANIAN_")
        self._environment = {name: value for name, value in environment.items() if not name.startswith(secret)}
        self.start_agent_again()

    def start_agent_again(self) -> None:
        self.start("agent", sys.executable, "-m", "agent", "--config", str(self.config), environment=self._environment, cwd=str(BASE_DIR))

    def kill_agent(self) -> None:
        """kill -9."""
        self.end("agent", SIGKILL)

    def restart_switch(self) -> None:
        """ovs-vswitchd ends and starts again: with its datapath in user space all flows and connections are gone meanwhile."""
        self.end("ovs-vswitchd")
        self._start_daemon("ovs-vswitchd")
        self.run("ovs-vsctl", "--timeout=30", "set", "Open_vSwitch", ".", "other_config:restarted=true", timeout_s=40)

    def _start_daemon(self, name: str) -> None:
        self.start(name, *keeper.COMMANDS[name].format(ovs=self.folder).split())

    # --- what it has ----------------------------------------------------------------------------------------------

    def vsctl(self, *command: str) -> str:
        return self.run("ovs-vsctl", "--timeout=30", *command, timeout_s=40)

    def devices(self) -> set[str]:
        return set(self.run("ls", "/sys/class/net").split())

    def namespaces(self) -> set[str]:
        return {path.name for path in self.path("/run/netns").iterdir()}

    def domains(self) -> set[str]:
        return set(self.run("virsh", "-q", "list", "--all", "--name").split())


    def leftovers(self) -> list[str]:
        """Everything that no guest may leave behind once the last of a host is gone."""
        found = {f"namespace {name}" for name in self.namespaces()} | {f"domain {name}" for name in self.domains()}
        found |= {f"device {name}" for name in self.devices() if name.startswith(_GUESTS)}
        found |= {f"port {name}" for name in self.vsctl("list-ports", "br-int").split() if name.startswith(_GUESTS)}
        below = self.folder / "agent"
        found |= {f"file {path}" for folder in ("instances", "network/cards") for path in (below / folder).glob("*")}
        return sorted(found)

    def close(self) -> None:
        """What libvirt has learnt is kept for the next life."""
        learnt = self.folder / "var-cache-libvirt" / "qemu"
        if self._cache is not None and learnt.exists() and not any(self._cache.iterdir()):
            shutil.copytree(learnt, self._cache / "qemu", dirs_exist_ok=True)
        super().close()


def _furnish(etc: Path, cached: Path, cache: Path | None) -> None:
    """libvirt's settings as installed, without any network or guest of the machine's own."""
    installed = Path("/etc/libvirt")
    for path in installed.glob("*.conf"):
        shutil.copy(path, etc)
    if cache is not None and cache.exists():
        shutil.copytree(cache, cached, dirs_exist_ok=True)
