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
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from agent.config import Config, HostIdentity
from agent.drivers.base import DriverError
from agent.drivers.command import run
from agent.drivers.openvswitch import names
from agent.drivers.openvswitch.driver import OpenvswitchNetwork
from agent.images import ImageCache
from agent.network.desired import Desired
from agent.trace import Trace
from agent.undo import Undo
from apps.images.demo import COMMAND_LINE, DemoImage
from contracts.compute import v1 as compute1
from contracts.compute import v2 as compute
from contracts.network import v2 as network

if TYPE_CHECKING:
    from agent.drivers.libvirt.driver import LibvirtDriver

PROGRAMS = ("ip", "nft", "dnsmasq", "ovs-vsctl", "ovs-ofctl", "qemu-img")
ANYTHING = [network.Rule(ingress=way, family=family) for way in (False, True) for family in (4, 6)]


def network_unavailable() -> str:
    """Why there can be no real network here; empty when there can."""
    if os.geteuid() != 0:
        return "needs root"
    if missing := [name for name in PROGRAMS if not shutil.which(name)]:
        return f"not installed: {', '.join(missing)}"
    try:
        run("ovs-vsctl", "--timeout=30", "show", timeout_s=40)
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
    """`config`, `network` and `driver` of a host that exists for the test; `desired` is what it is told of networks."""

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
            tunnel_address="127.0.0.1",
            vxlan_port=20000 + int(self.short[:3], 16),
        )
        self._demo = demo
        self._server = _serve(demo.disk.parent) if demo else None
        self._networks: dict[str, network.Network] = {}
        self._instances: list[str] = []
        self._addresses = itertools.count(5)
        self._vni = itertools.count(int(self.short, 16) % 10_000_000 + 1000)
        self._group = network.Group(id=str(uuid.uuid4()), rules=ANYTHING)
        self._ports: dict[str, network.Port] = {}
        self._generation = itertools.count(1)
        self.desired = Desired()
        self._woken, self._closing = threading.Event(), threading.Event()
        self.network = self.new_network()
        self._mutex, self._converging = threading.Lock(), threading.Lock()
        self._converger = threading.Thread(target=self._converge, name="lab-converger", daemon=True)
        self._converger.start()

    @functools.cached_property
    def driver(self) -> "LibvirtDriver":
        """The agent's."""
        return self._driver_on(self.network)

    def new_driver(self) -> "LibvirtDriver":
        """What a restarted agent would have; the one before it is at an end."""
        with self._converging:
            self.network.close()
            self.network = self.new_network()
            self.driver = self._driver_on(self.network)
        self._woken.set()
        return self.driver

    def new_network(self) -> OpenvswitchNetwork:
        made = OpenvswitchNetwork(self.config, run_dir=self.run_dir)
        made.wake = self._woken.set
        return made

    def _driver_on(self, network_driver: OpenvswitchNetwork) -> "LibvirtDriver":
        # Networks alone can be tested where there is no libvirt.
        from agent.drivers.libvirt import record
        from agent.drivers.libvirt.driver import LibvirtDriver
        from agent.drivers.openvswitch.services import Services

        images = ImageCache.from_config(self.config)
        driver = LibvirtDriver(self.config, images=images, network=network_driver, run_dir=self.run_dir)
        network_driver.services = Services(self.run_dir / "names", record.finder(driver.folders.of), b"k" * 32)
        return driver

    # --- what to ask for ------------------------------------------------------------------------------------------

    def a_network(self) -> network.Network:
        """With a router of its own, an IPv4 and an IPv6 subnet."""
        id_ = str(uuid.uuid4())
        four = network.Subnet(id=str(uuid.uuid4()), cidr="10.64.0.0/20", gateway="10.64.0.1", routed=True)
        six = network.Subnet(id=str(uuid.uuid4()), cidr="fd64::/64", gateway="fd64::1", routed=True, ipv6_mode="dhcpv6")
        made = network.Network(
            id=id_,
            kind=network.Kind.VXLAN,
            segment=next(self._vni),
            router=str(uuid.uuid4()),
            subnets=[four, six],
        )
        self._networks[id_] = made
        return made

    def a_card(self, on: network.Network | None = None, *, ipv6: bool = False) -> network.Card:
        net, number = on or self.a_network(), next(self._addresses)
        addresses = [network.CardAddress(address=f"10.64.0.{number}", prefix_length=20, gateway="10.64.0.1")]
        if ipv6:
            six = f"fd64::{number:x}"
            addresses.append(network.CardAddress(address=six, prefix_length=64, gateway="fd64::1", mode="dhcpv6"))
        mac = f"fa:16:3e:{os.urandom(3).hex(':')}"
        return network.Card(id=str(uuid.uuid4()), network=net.id, mac=mac, mtu=net.mtu, addresses=addresses)

    def an_instance_id(self) -> str:
        self._instances.append(str(uuid.uuid4()))
        return self._instances[-1]

    def a_build(self, *, script: str = "", cards: list[network.Card] | None = None, disk_gb: int = 1) -> compute.Build:
        """A demo guest; `script` runs in it once it has its address."""
        assert self._demo is not None
        return compute.Build(
            instance_id=self.an_instance_id(),
            project_id=str(uuid.uuid4()),
            name="Real Guest",
            vcpus=1,
            memory_mb=128,
            disk_gb=disk_gb,
            image=self._image(self._demo.disk, compute1.DiskFormat.QCOW2),
            kernel=self._image(self._demo.kernel, compute1.DiskFormat.KERNEL),
            ramdisk=self._image(self._demo.ramdisk, compute1.DiskFormat.RAMDISK),
            kernel_args=COMMAND_LINE,
            cards=[self.a_card()] if cards is None else cards,
            user_data=base64.b64encode(f"#!/bin/sh\n{script}\n".encode()).decode() if script else "",
        )

    def _image(self, path: Path, disk_format: compute1.DiskFormat) -> compute1.Image:
        assert self._server is not None
        content = path.read_bytes()
        return compute1.Image(
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
        for card in command.cards:
            self.tell(card, command.instance_id)
        try:
            (driver or self.driver).build(command, timeline, undo)
        except BaseException:
            undo.run(Trace())
            self.forget(command.instance_id)
            raise
        return timeline

    def delete(self, command: compute.Build) -> None:
        self.driver.delete(compute.Delete(instance_id=command.instance_id), Trace())
        self.forget(command.instance_id)

    def attach(self, command: compute.Build, card: network.Card) -> None:
        self.tell(card, command.instance_id)
        undo = Undo()
        try:
            self.driver.attach(compute.Attach(instance_id=command.instance_id, card=card), Trace(), undo)
        except BaseException:
            undo.run(Trace())
            raise

    def detach(self, command: compute.Build, card: network.Card) -> None:
        self.driver.detach(compute.Detach(instance_id=command.instance_id, card=card.id), Trace())
        self.forget(command.instance_id, card.id)

    def power(self, command: compute.Build, action: compute1.PowerAction, grace_s: float = 30.0) -> None:
        self.driver.power(compute1.Power(instance_id=command.instance_id, action=action, grace_s=grace_s), Trace())

    def console(self, command: compute.Build) -> str:
        return self.driver.console(compute1.Console(instance_id=command.instance_id)).text.replace("\r", "")

    def wait_for(self, command: compute.Build, line: str, *, times: int = 1, within_s: float = 200.0) -> str:
        """The console, once it has `line` so many times."""
        until = time.monotonic() + within_s
        while (text := self.console(command)).count(line) < times:
            assert time.monotonic() < until, f"no {line!r} on the console:\n{text}"
            time.sleep(0.02)
        return text

    # --- networks, as the control plane tells them -----------------------------------------------------------------

    def tell(self, card: network.Card, instance_id: str) -> None:
        """A port for the card, in a group that allows everything."""
        subnets = {(":" in one.cidr): one.id for one in self._networks[card.network].subnets}
        addresses = [network.Address(subnet=subnets[":" in one.address], address=one.address) for one in card.addresses]
        with self._mutex:
            self._ports[card.id] = network.Port(
                id=card.id,
                network=card.network,
                mac=card.mac,
                addresses=addresses,
                here=True,
                instance=instance_id,
                name="real-guest",
                groups=[self._group.id],
            )
            self._tell()

    def forget(self, instance_id: str, card_id: str = "") -> None:
        """Its ports, or the one of a card."""
        with self._mutex:
            for id_, port in list(self._ports.items()):
                if port.instance == instance_id and card_id in ("", id_):
                    del self._ports[id_]
            self._tell()

    def _tell(self) -> None:
        nets = [net for net in self._networks.values() if any(port.network == net.id for port in self._ports.values())]
        objects = network.Objects(
            networks=nets,
            ports=list(self._ports.values()),
            groups=[self._group],
            routers=[network.Router(id=net.router) for net in nets],
        )
        self.desired = Desired.of(network.State(generation=next(self._generation), objects=objects))
        self._woken.set()

    def _converge(self) -> None:
        while not self._closing.is_set():
            self._woken.wait()
            self._woken.clear()
            if self.desired.generation and not self._closing.is_set():
                with self._converging:
                    self.network.converge(self.desired)

    # --- what remains ---------------------------------------------------------------------------------------------

    def leftovers(self) -> list[str]:
        """Everything of this lab that exists and that no instance may leave behind."""
        self.settle()
        return sorted({*self._domains(), *self._processes(), *self._network_things(), *self._files()})

    def settle(self) -> None:
        """Bring the host to what is desired now."""
        if self.desired.generation:
            with self._converging:
                outcome = self.network.converge(self.desired)
            assert outcome.problems == [], outcome.problems

    def _domains(self) -> set[str]:
        names_ = {f"cs-{instance_id}" for instance_id in self._instances}
        if not names_ or not self._demo:
            return set()
        return {f"domain {name}" for name in run("virsh", "-q", "list", "--all", "--name").split() if name in names_}

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
        devices, spaces = set(os.listdir("/sys/class/net")), set(os.listdir("/run/netns"))
        for net in self._networks.values():
            found |= {
                f"namespace {one}" for one in (names.namespace(net.router), names.namespace(net.id)) if one in spaces
            }
            mine = {names.gateway_port(net.id), names.vxlan(net.id), names.transit(net.router)}
            found |= {f"device {one}" for one in mine & devices}
        bridge = self.network.switch.database.interfaces(self.config.bridge)
        return found | {f"port {name}" for name in bridge if name != self.config.bridge}

    def _files(self) -> set[str]:
        state = Path(self.config.state_dir)
        below = [*state.glob("instances/*"), *state.glob("instances/.*"), *state.glob("network/cards/*")]
        logs = [f"/var/log/libvirt/qemu/cs-{one}.log" for one in self._instances]
        found = {str(path) for path in below} | {path for path in logs if Path(path).exists()}
        return found | {str(path) for path in (self.run_dir / "names").glob("*")}

    def close(self) -> None:
        """Remove everything, whatever state it is in."""
        self._closing.set()
        self._woken.set()
        self._converger.join(30)
        with contextlib.ExitStack() as stack:
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            stack.callback(shutil.rmtree, self.run_dir, ignore_errors=True)
            stack.callback(self.network.close)
            stack.callback(self.network.remove)
            if self._server:
                stack.callback(self._server.server_close)
                stack.callback(self._server.shutdown)
            if self._demo:
                stack.callback(self.driver.folders.release)
            for instance_id in self._instances if self._demo else []:
                stack.callback(self.driver.delete, compute.Delete(instance_id=instance_id), Trace())


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


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def _serve(folder: Path) -> http.server.ThreadingHTTPServer:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server
