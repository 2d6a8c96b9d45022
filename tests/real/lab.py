"""An installation's host side of its own, on this machine, for one test module; removed to the last trace by `close`.

Everything bears names of its own (bridge, state folder, host id, network ids), so other installations and test runs on
the machine are neither seen nor touched. Contacted are only addresses inside namespaces that were made here.
"""

import base64
import contextlib
import functools
import hashlib
import http.server
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from agent.config import Config, HostIdentity
from agent.drivers.base import DriverError
from agent.drivers.command import run
from agent.drivers.openvswitch import flows
from agent.drivers.openvswitch.driver import OpenvswitchNetwork, tap_name
from agent.drivers.openvswitch.namespace import Names
from agent.images import ImageCache
from agent.trace import Trace
from agent.undo import Undo
from apps.images.demo import COMMAND_LINE, DemoImage
from contracts.compute import v1 as compute
from contracts.network import v1 as network

if TYPE_CHECKING:
    from agent.drivers.libvirt.driver import LibvirtDriver

PROGRAMS = ("ip", "nft", "ethtool", "sysctl", "dnsmasq", "ovs-vsctl", "ovs-ofctl", "qemu-img")
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
# One echo request; status 0 when it is answered within two seconds. The machine need not have a ping program.
_PING = """
import os, socket, struct, sys
def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
wire = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
wire.settimeout(2)
body = struct.pack("!HH", os.getpid() & 0xFFFF, 1) + bytes(16)
sum_ = checksum(b"\\x08\\0\\0\\0" + body)
wire.sendto(b"\\x08\\0" + struct.pack("!H", sum_) + body, (sys.argv[1], 0))
while True:
    answer, (source, _) = wire.recvfrom(2048)
    if source == sys.argv[1] and answer[20] == 0 and answer[24:28] == body[:4]:
        break
"""


def network_unavailable() -> str:
    """Why there can be no real network here; empty when there can."""
    if os.geteuid() != 0:
        return "needs root"
    if missing := [name for name in PROGRAMS if not shutil.which(name)]:
        return f"not installed: {', '.join(missing)}"
    try:
        run("ovs-vsctl", "--timeout=3", "show")
    except DriverError as error:
        return f"Open vSwitch does not answer: {error}"
    return ""


def hypervisor_unavailable() -> str:
    """Why there can be no real guests here; empty when there can."""
    try:
        import libvirt
    except ImportError:
        return "python's libvirt binding is not installed"
    try:
        libvirt.open("qemu:///system").close()
    except libvirt.libvirtError as error:
        return f"libvirt does not answer: {error}"
    return network_unavailable()


class Lab:
    """`config`, `network` and `driver` of a host that exists for the test; `world` is a place beyond the host."""

    def __init__(self, demo: DemoImage | None = None) -> None:
        """`demo`: served over HTTP on the loopback address; not needed for networks alone."""
        self.short = uuid.uuid4().hex[:6]
        # mkdtemp's mode is 0700: QEMU, which does not run as root, must manage below such a folder.
        self.folder = Path(tempfile.mkdtemp(prefix=f"cslab-{self.short}-"))
        state = self.folder / "var"
        state.mkdir()
        self.run_dir = Path("/run") / f"cslab-{self.short}"
        self.config = Config(
            hosts=[HostIdentity(id=str(uuid.uuid4()), name=f"lab-{self.short}", private_key="")],
            control_key="",
            broker_url="",
            state_dir=str(state),
            bridge=f"br-t{self.short}",
        )
        self._forwarding = FORWARDING.read_text()
        self._demo = demo
        self._server = _serve(demo.disk.parent) if demo else None
        self._networks: list[network.Network] = []
        self._instances: list[str] = []
        self._addresses = itertools.count(5)
        self._octets = itertools.count(int(self.short[:2], 16) % 200)
        self.network = OpenvswitchNetwork(self.config, run_dir=self.run_dir)
        self._make_world()

    @functools.cached_property
    def driver(self) -> "LibvirtDriver":
        """The agent's."""
        return self.new_driver()

    def new_driver(self) -> "LibvirtDriver":
        """What a restarted agent would have."""
        # Networks alone can be tested where there is no libvirt.
        from agent.drivers.libvirt.driver import LibvirtDriver

        network_driver = OpenvswitchNetwork(self.config, run_dir=self.run_dir)
        images = ImageCache.from_config(self.config)
        return LibvirtDriver(self.config, images=images, network=network_driver, run_dir=self.run_dir)

    # --- what to ask for ------------------------------------------------------------------------------------------

    def a_network(self) -> network.Network:
        subnet = network.Subnet(id=str(uuid.uuid4()), cidr="10.64.0.0/20", gateway="10.64.0.1", dns=[self.beyond])
        made = network.Network(id=str(uuid.uuid4()), subnet=subnet)
        self._networks.append(made)
        return made

    def a_port(self, on: network.Network | None = None, *, address: str = "") -> network.Port:
        address = address or f"10.64.0.{next(self._addresses)}"
        random = os.urandom(3).hex(":")
        return network.Port(
            id=str(uuid.uuid4()),
            network=on or self.a_network(),
            mac=f"fa:16:3e:{random}",
            address=address,
            prefix_length=20,
        )

    def an_instance_id(self) -> str:
        self._instances.append(str(uuid.uuid4()))
        return self._instances[-1]

    def a_build(self, *, script: str = "", ports: list[network.Port] | None = None, disk_gb: int = 1) -> compute.Build:
        """A demo guest; `script` runs in it once it has its address."""
        assert self._demo is not None
        return compute.Build(
            instance_id=self.an_instance_id(),
            project_id=str(uuid.uuid4()),
            name="Real Guest",
            vcpus=1,
            memory_mb=128,
            disk_gb=disk_gb,
            image=self._image(self._demo.disk, compute.DiskFormat.QCOW2),
            kernel=self._image(self._demo.kernel, compute.DiskFormat.KERNEL),
            ramdisk=self._image(self._demo.ramdisk, compute.DiskFormat.RAMDISK),
            kernel_args=COMMAND_LINE,
            ports=[self.a_port()] if ports is None else ports,
            user_data=base64.b64encode(f"#!/bin/sh\n{script}\n".encode()).decode() if script else "",
        )

    def _image(self, path: Path, disk_format: compute.DiskFormat) -> compute.Image:
        assert self._server is not None
        content = path.read_bytes()
        return compute.Image(
            id=path.name,
            url=f"http://127.0.0.1:{self._server.server_port}/{path.name}",
            sha256=hashlib.sha256(content).hexdigest(),
            size_bytes=len(content),
            disk_format=disk_format,
        )

    # --- what to do -----------------------------------------------------------------------------------------------

    def build(
        self, command: compute.Build, *, driver: "LibvirtDriver | None" = None, trace: Trace | None = None
    ) -> Trace:
        """As the agent does it: undone when it fails. Returns the timeline."""
        timeline, undo = trace or Trace(), Undo()
        try:
            (driver or self.driver).build(command, timeline, undo)
        except BaseException:
            undo.run(Trace())
            raise
        return timeline

    def delete(self, command: compute.Build) -> None:
        self.driver.delete(compute.Delete(instance_id=command.instance_id, ports=command.ports), Trace())

    def power(self, command: compute.Build, action: compute.PowerAction, grace_s: float = 30.0) -> None:
        self.driver.power(compute.Power(instance_id=command.instance_id, action=action, grace_s=grace_s), Trace())

    def console(self, command: compute.Build) -> str:
        return self.driver.console(compute.Console(instance_id=command.instance_id)).text.replace("\r", "")

    def wait_for(self, command: compute.Build, line: str, *, times: int = 1, within_s: float = 90.0) -> str:
        """The console, once it has `line` so many times."""
        until = time.monotonic() + within_s
        while (text := self.console(command)).count(line) < times:
            assert time.monotonic() < until, f"no {line!r} on the console:\n{text}"
            time.sleep(0.02)
        return text

    def pings(self, namespace: str, address: str) -> bool:
        """Is an echo request from a namespace answered?"""
        try:
            run(sys.executable, "-c", _PING, address, namespace=namespace)
        except DriverError:
            return False
        return True

    # --- what remains ---------------------------------------------------------------------------------------------

    def leftovers(self) -> list[str]:
        """Everything of this lab that exists and that no instance may leave behind."""
        return sorted({*self._domains(), *self._processes(), *self._network_things(), *self._files()})

    def _domains(self) -> set[str]:
        names = {f"cs-{instance_id}" for instance_id in self._instances}
        if not names or not self._demo:
            return set()
        return {f"domain {name}" for name in run("virsh", "-q", "list", "--all", "--name").split() if name in names}

    def _processes(self) -> set[str]:
        found = set()
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                text = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if any(f"cs-{one}" in text for one in self._instances) or str(self.run_dir) in text:
                    found.add(f"process {text[:60]}")
        return found

    def _network_things(self) -> set[str]:
        found = set()
        devices, tables = os.listdir("/sys/class/net"), run("nft", "list", "tables")
        for names in map(Names.of, (net.id for net in self._networks)):
            if Path("/run/netns", names.namespace).exists():
                found.add(f"namespace {names.namespace}")
            found |= {f"device {name}" for name in devices if name in (names.gateway_port, names.transit)}
            found |= {f"table {line}" for line in tables.splitlines() if line.endswith(names.table)}
        if self.network.bridge.exists():
            found |= {f"port {interface.name}" for interface in self.network.bridge.interfaces()}
            kinds = (flows.PORT, flows.NETWORK)
            installed = self.network.bridge.flows()
            found |= {f"flow {one.cookie:#x} of {one.in_port}" for one in installed if flows.owner(one.cookie) in kinds}
        return found

    def _files(self) -> set[str]:
        state = Path(self.config.state_dir)
        below = [*state.glob("instances/*"), *state.glob("instances/.*"), *state.glob("network/*/*")]
        logs = [f"/var/log/libvirt/qemu/cs-{one}.log" for one in self._instances]
        found = {str(path) for path in below} | {path for path in logs if Path(path).exists()}
        return found | {str(path) for path in self.run_dir.glob("*")}

    def close(self) -> None:
        """Remove everything, whatever state it is in."""
        with contextlib.ExitStack() as stack:
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            stack.callback(shutil.rmtree, self.run_dir, ignore_errors=True)
            stack.callback(FORWARDING.write_text, self._forwarding)
            stack.callback(self._remove_world)
            stack.callback(self.network.bridge.remove)
            if self._server:
                stack.callback(self._server.server_close)
                stack.callback(self._server.shutdown)
            if self._demo:
                stack.callback(self.driver.folders.release)
            for record in self.network._records.ports():
                stack.callback(self.network.remove_port, record.port, record.instance_id)
            for instance_id in self._instances if self._demo else []:
                stack.callback(self.driver.delete, compute.Delete(instance_id=instance_id), Trace())

    # --- the world ------------------------------------------------------------------------------------------------

    def _make_world(self) -> None:
        """A namespace that stands for all that lies beyond the host; it knows no way back but the host's address."""
        self.world = f"cslab-{self.short}"
        octet = next(self._octets)
        self.here, self.beyond = f"10.77.{octet}.1", f"10.77.{octet}.2"
        run("ip", "netns", "add", self.world)
        run("ip", "link", "add", f"cw{self.short}", "type", "veth", "peer", "name", "eth0", "netns", self.world)
        run("ip", "address", "add", f"{self.here}/30", "dev", f"cw{self.short}")
        run("ip", "link", "set", f"cw{self.short}", "up")
        run("ip", "-n", self.world, "address", "add", f"{self.beyond}/30", "dev", "eth0")
        run("ip", "-n", self.world, "link", "set", "eth0", "up")

    def _remove_world(self) -> None:
        subprocess.run(["ip", "link", "delete", f"cw{self.short}"], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "delete", self.world], check=False, capture_output=True)


def qemus(instance_id: str) -> list[int]:
    """Process ids of QEMU for an instance, those that only wait to be reaped left out."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"guest=cs-{instance_id}".encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def tap_of(port: network.Port) -> str:
    return tap_name(port.id)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def _serve(folder: Path) -> http.server.ThreadingHTTPServer:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server
