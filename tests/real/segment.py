"""A network's services alone on a machine: the namespaces that the routing part would make, and guests that are namespaces.

The guests' wire is a plain Linux bridge: nothing here is about the switch. All names are random; `close` removes all.
"""

import contextlib
import json
import os
import subprocess
import uuid
from pathlib import Path

from agent.drivers.command import run
from agent.drivers.openvswitch import names
from agent.drivers.openvswitch.services.plan import METADATA, METADATA6
from agent.network.desired import Desired
from contracts.network import v2 as network

# What busybox' client calls: it writes all that it was given into a file, and changes nothing by itself.
_EVENT = """#!/bin/sh
[ "$1" = bound ] || exit 0
env > "$OUT.new" && mv "$OUT.new" "$OUT"
"""


def unavailable() -> str:
    """Why this cannot be tried here; empty when it can."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [name for name in ("ip", "dnsmasq", "busybox", "nsenter") if not _installed(name)]
    return f"not installed: {', '.join(missing)}" if missing else ""


class Client:
    """A guest's end of one port, in a namespace of its own."""

    def __init__(self, port: network.Port, namespace: str, folder: Path) -> None:
        self.port = port
        self.namespace = namespace
        self._folder = folder

    def run(self, *args: str, timeout_s: float = 20.0) -> str:
        return run(*args, namespace=self.namespace, timeout_s=timeout_s)

    def dhcp(self, *options: str) -> dict[str, str]:
        """What a real DHCP client is given, as its script sees it; empty when nobody answers to 20 questions. `options`: of udhcpc."""
        script, out = self._folder / "event", self._folder / f"{self.namespace}.lease"
        script.write_text(_EVENT)
        script.chmod(0o755)
        out.unlink(missing_ok=True)
        wanted = ("-O", "mtu", "-O", "staticroutes", "-O", "domain", "-O", "hostname")
        command = ["nsenter", f"--net=/run/netns/{self.namespace}", "busybox", "udhcpc", "-f", "-q", "-n"]
        fixed = ["-i", "eth0", "-s", str(script), "-T", "1", "-t", "20", *wanted, *options]
        subprocess.run([*command, *fixed], env={**os.environ, "OUT": str(out)}, capture_output=True, check=False)
        if not out.exists():
            return {}
        return dict(line.partition("=")[::2] for line in out.read_text().splitlines() if "=" in line)

    def gets_no_lease(self) -> bool:
        """To two questions, a second apart."""
        return not self.dhcp("-t", "2")

    def configure(self, lease: dict[str, str]) -> None:
        """Take address and routes over, as a guest does."""
        self.run("ip", "address", "replace", f"{lease['ip']}/{lease['mask']}", "dev", "eth0")
        words = lease.get("staticroutes", "").split()
        for destination, via in zip(words[::2], words[1::2], strict=True):
            way = ("dev", "eth0") if via == "0.0.0.0" else ("via", via)
            self.run("ip", "route", "replace", destination, *way)

    def http(self, path: str, *, host: str = METADATA, **options: str) -> tuple[int, bytes]:
        """Status and body. `options`: `method`, and headers with underscores for hyphens."""
        arguments = json.dumps({"host": host, "path": path, **options})
        out = run("python3", "-c", _FETCH, arguments, namespace=self.namespace)
        status, _, body = out.partition("\n")
        return int(status), bytes.fromhex(body.strip())


_FETCH = """
import http.client, json, sys
told = json.loads(sys.argv[1])
host, path, method = told.pop("host"), told.pop("path"), told.pop("method", "GET")
connection = http.client.HTTPConnection(host, 80, timeout=15)
connection.request(method, path, headers={name.replace("_", "-"): value for name, value in told.items()})
answer = connection.getresponse()
print(answer.status)
print(answer.read().hex())
"""


class Segment:
    """One routing domain with its networks' devices; `client` plugs in a guest."""

    def __init__(self, folder: Path, desired: Desired) -> None:
        self._folder = folder
        self._made: list[str] = []
        self._bridges: dict[str, str] = {}
        self.desired = desired
        for net in desired.networks.values():
            self._make(net)

    def client(self, port: network.Port) -> Client:
        namespace = self._namespace(f"csc{uuid.uuid4().hex[:8]}")
        wire = self._bridges[port.network]
        inner = f"v{uuid.uuid4().hex[:8]}"
        far = ("peer", "name", "eth0", "address", port.mac, "netns", namespace)
        run("ip", "-n", wire, "link", "add", inner, "type", "veth", *far)
        run("ip", "-n", wire, "link", "set", inner, "master", "br0", "up")
        # Settings of the guest are its kernel's defaults, but that it need not wait for anybody to object to its address.
        for name, value in (("accept_dad", "0"), ("accept_ra", "1")):
            run("sysctl", "-q", "-w", f"net.ipv6.conf.eth0.{name}={value}", namespace=namespace)
        run("ip", "-n", namespace, "link", "set", "lo", "up")
        run("ip", "-n", namespace, "link", "set", "eth0", "up")
        return Client(port, namespace, self._folder)

    def gateway_namespace(self, network_id: str) -> str:
        return names.namespace(self.desired.domain_of(self.desired.networks[network_id]))

    def remake(self, network_id: str) -> None:
        """The device of a network, gone and made anew."""
        run("ip", "-n", self.gateway_namespace(network_id), "link", "delete", names.gateway(network_id))
        self._plug(self.desired.networks[network_id])

    def close(self) -> None:
        for namespace in reversed(self._made):
            with contextlib.suppress(Exception):
                run("ip", "netns", "delete", namespace)

    def _make(self, net: network.Network) -> None:
        inside = self._namespace(self.gateway_namespace(net.id))
        run("sysctl", "-q", "-w", "net.ipv6.conf.all.forwarding=1", "net.ipv4.ip_forward=1", namespace=inside)
        self._bridges[net.id] = self._namespace(f"csw{uuid.uuid4().hex[:8]}")
        run("ip", "-n", self._bridges[net.id], "link", "add", "br0", "type", "bridge")
        run("ip", "-n", self._bridges[net.id], "link", "set", "br0", "up")
        self._plug(net)

    def _plug(self, net: network.Network) -> None:
        inside, device = self.gateway_namespace(net.id), names.gateway(net.id)
        wire = self._bridges[net.id]
        far = ("peer", "name", device, "address", names.gateway_mac(net.id), "netns", inside)
        run("ip", "-n", wire, "link", "add", "gate", "type", "veth", *far)
        run("ip", "-n", wire, "link", "set", "gate", "master", "br0", "up")
        run("sysctl", "-q", "-w", f"net.ipv6.conf.{device}.accept_dad=0", namespace=inside)
        run("ip", "-n", inside, "link", "set", device, "mtu", str(net.mtu), "up")
        own = [f"{METADATA}/32", f"{METADATA6}/128"]
        own += [f"{one.gateway}/{one.cidr.partition('/')[2]}" for one in net.subnets if one.routed]
        for address in own:
            run("ip", "-n", inside, "address", "add", address, "dev", device, *(["nodad"] if ":" in address else []))
        for one in net.subnets:
            if not one.routed:
                run("ip", "-n", inside, "route", "replace", one.cidr, "dev", device)

    def _namespace(self, name: str) -> str:
        if name not in self._made:
            run("ip", "netns", "add", name)
            self._made.append(name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        return name


def _installed(name: str) -> bool:
    try:
        run("which", name)
    except Exception:
        return False
    return True
