"""Which driver the local host gets: libvirt where a guest can run, otherwise simulated, and the reason in one line."""

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from cloudsite.launcher.programs import LaunchError
from cloudsite.settings.environment import Environment

_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
# Program → the Debian package that brings it.
_NEEDED = {
    "qemu-system-x86_64": "qemu-system-x86",
    "libvirtd": "libvirt-daemon-system",
    "virtlogd": "libvirt-daemon-system",
    "ovs-vswitchd": "openvswitch-switch",
    "ovsdb-server": "openvswitch-switch",
    "dnsmasq": "dnsmasq-base",
    "ethtool": "ethtool",
    "ip": "iproute2",
    "nft": "nftables",
}


@dataclass(frozen=True)
class Choice:
    """`driver`: libvirt or simulated; `reason`: why it is not libvirt, empty if it is or was not asked for."""

    driver: str
    reason: str = ""


def choose(env: Environment) -> Choice:
    """What CLOUDSITE_DRIVER says; `auto` looks. Raises LaunchError if libvirt was demanded and cannot be."""
    if env.driver == "simulated":
        return Choice("simulated", "CLOUDSITE_DRIVER=simulated")
    reason = obstacle()
    if not reason:
        return Choice("libvirt")
    if env.driver == "libvirt":
        raise LaunchError(f"CLOUDSITE_DRIVER=libvirt, but {reason}.")
    return Choice("simulated", reason)


def obstacle() -> str:
    """Why no guest can run on this machine; empty if nothing speaks against it."""
    if os.geteuid() != 0:
        return "bridges and taps need root"
    missing = sorted({package for program, package in _NEEDED.items() if shutil.which(program, path=_PATH) is None})
    if missing:
        return f"these packages are missing: {' '.join(missing)}"
    # Asked in another process: the control plane itself never loads libvirt.
    if subprocess.run([sys.executable, "-c", "import libvirt"], check=False, capture_output=True).returncode:
        return "Python's libvirt binding is not installed"
    return ""


def own_bridge(var: Path) -> str:
    """A name for the bridge that no other installation on this machine has, unless the operator gave one."""
    return f"br-{hashlib.sha256(str(var).encode()).hexdigest()[:8]}"
