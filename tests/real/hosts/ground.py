"""What lies between hosts and around them: the underlay, the wire that carries VLANs, and the world outside."""

import os
import random
import subprocess
from pathlib import Path
from typing import Final

from tests.real.hosts.place import PATH, Place

UNDERLAY, WIRE = "underlay", "wire"
# The provider's network on the wire, where the world's router has these addresses, and an address of the world beyond.
PUBLIC4, PUBLIC6 = "203.0.113.0/24", "2001:db8:113::/64"
GATEWAY4, GATEWAY6 = "203.0.113.1", "2001:db8:113::1"
WORLD4, WORLD6 = "198.51.100.1", "2001:db8:ffff::1"


class Ground(Place):
    """Two Linux bridges. `control`: the address on the underlay that belongs to the tests' own network namespace."""

    def __init__(self, folder: Path, short: str) -> None:
        super().__init__("ground", folder)
        self._device = f"csy{short}"
        self.octet = _free_octet()
        self.control = self.underlay(1)
        self.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        for name in (UNDERLAY, WIRE):
            self.run("ip", "link", "add", name, "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
            self.run("ip", "link", "set", name, "up")
        self.join(UNDERLAY, os.getpid(), self._device)
        for command in (("address", "add", f"{self.control}/24", "dev", self._device), ("link", "set", self._device, "up")):
            subprocess.run(["ip", *command], check=True, env={**os.environ, "PATH": PATH})

    def underlay(self, number: int) -> str:
        return f"10.77.{self.octet}.{number}"

    def underlay6(self, number: int) -> str:
        return f"fd77:{self.octet}::{number}"

    def join(self, bridge: str, pid: int, device: str) -> None:
        """Plug a new device of that process's network namespace into a bridge."""
        port = f"{bridge[0]}{pid}"
        # Without -p: the pid is one of out here.
        subprocess.run(
            ["nsenter", "-t", str(self.pid), "-n", "--", "ip", "-batch", "-"], check=True, text=True, env={**os.environ, "PATH": PATH},
            input=f"link add {port} type veth peer name {device} netns {pid}\nlink set {port} master {bridge} up\n",
        )

    def plug(self, place: Place, *, number: int) -> None:
        """`eth0` on the underlay, with an address and the world behind its default route; `eth1` on the wire, without."""
        self.join(UNDERLAY, place.pid, "eth0")
        self.join(WIRE, place.pid, "eth1")
        batch = [
            f"address add {self.underlay(number)}/24 dev eth0", f"address add {self.underlay6(number)}/64 dev eth0 nodad",
            "link set eth0 up", "link set eth1 up",
        ]
        if number != OUTSIDE:
            batch += [f"route add default via {self.underlay(OUTSIDE)}", f"route add ::/0 via {self.underlay6(OUTSIDE)}"]
        place.run("sysctl", "-qw", "net.ipv6.conf.eth1.disable_ipv6=1")
        place.run("ip", "-batch", "-", stdin="\n".join(batch) + "\n")


OUTSIDE: Final = 254


class Outside(Place):
    """The world: the router of the provider's network on the wire, and of the underlay, with an address beyond both."""

    def __init__(self, folder: Path, ground: Ground) -> None:
        super().__init__("outside", folder)
        ground.plug(self, number=OUTSIDE)
        self.run("sysctl", "-qw", "net.ipv6.conf.eth1.disable_ipv6=0")
        batch = [
            f"address add {GATEWAY4}/24 dev eth1", f"address add {GATEWAY6}/64 dev eth1 nodad",
            f"address add {WORLD4}/32 dev lo", f"address add {WORLD6}/128 dev lo nodad",
        ]
        self.run("ip", "-batch", "-", stdin="\n".join(batch) + "\n")
        # Sums are left to hardware that a switch in user space does not have.
        self.run("ethtool", "-K", "eth1", "tx", "off")


def _free_octet() -> int:
    """So that 10.77.<it>.0/24 is nobody's on this machine."""
    taken = subprocess.run(["ip", "-4", "-o", "address"], check=True, capture_output=True, text=True, env={**os.environ, "PATH": PATH}).stdout
    free = [octet for octet in range(205, 255) if f" 10.77.{octet}." not in taken]
    return random.choice(free)
