"""Integration bridges of several hosts on one machine, each with an Open vSwitch of its own, for tests of what passes.

A host is a network namespace; a guest is one too, whose `eth0` is plugged in the way libvirt plugs a tap; so is the gateway
of a network, which stands for what routing makes. Hosts share an underlay for tunnels and a wire for VLANs, both Linux
bridges in a namespace of their own. All names are random; `close` removes all.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from pyroute2.netns import setns

from agent.config import Config, HostIdentity, Wire
from agent.drivers.command import run
from agent.drivers.openvswitch import names
from agent.drivers.openvswitch.allotment import Allotment
from agent.drivers.openvswitch.switch.flows.flow import cookie
from agent.drivers.openvswitch.switch.switch import Findings, Switch
from agent.network.desired import Desired
from agent.network.store import Cards
from contracts.network import v2 as network
from tests.real.hosts import frames

PROGRAMS = ("ip", "ethtool", "ovs-vsctl", "ovs-ofctl", "ovs-appctl", "ovsdb-server", "ovs-vswitchd", "ovsdb-tool")
PHYSICAL: Final = "wire"
SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
T = TypeVar("T")


def unavailable() -> str:
    """Why this cannot be tried here; empty when it can."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    return f"not installed: {', '.join(missing)}" if missing else ""


def inside(namespace: str, call: Callable[[], T]) -> T:
    """Call in a thread that lives in a network namespace; what it opens stays there."""
    results: list[T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            setns(namespace)
            results.append(call())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


class Guest:
    """One end of a port. `wire` is a raw socket on its `eth0`."""

    def __init__(self, host: "Host", port: network.Port, namespace: str) -> None:
        self.host, self.port, self.namespace = host, port, namespace
        self.wire = inside(namespace, _raw_socket)

    def close(self) -> None:
        self.wire.close()
        # At once, while a namespace's devices go some time after it.
        self.run("ip", "link", "delete", "eth0")
        subprocess.run(["ip", "netns", "delete", self.namespace], check=False, capture_output=True)

    def run(self, *args: str, timeout_s: float = 20.0) -> str:
        return run(*args, namespace=self.namespace, timeout_s=timeout_s)

    def send(self, *frames: bytes) -> None:
        for frame in frames:
            self.wire.send(frame)

    def forget(self) -> None:
        """What was heard so far."""
        self.heard(0.0)

    def heard(self, within_s: float = 0.6, until: Callable[[bytes], bool] | None = None) -> list[bytes]:
        """All frames that come in time; less if one comes that `until` is true of."""
        ends = time.monotonic() + within_s
        found: list[bytes] = []
        while True:
            self.wire.settimeout(max(0.001, ends - time.monotonic()))
            try:
                frame, address = self.wire.recvfrom(65536)
            except (TimeoutError, BlockingIOError):
                return found
            if address[2] != socket.PACKET_OUTGOING:
                found.append(frame)
                if until and until(frame):
                    return found

    def hears(self, frame: bytes, within_s: float = 20.0) -> bool:
        """Does exactly this frame come?"""
        return frame in self.heard(within_s, lambda heard: heard == frame)

    def configure(self) -> None:
        """Set its addresses up by hand."""
        for address in self.port.addresses:
            six = ":" in address.address
            length, extra = ("64", ("nodad",)) if six else ("24", ())
            self.run("ip", "address", "add", f"{address.address}/{length}", "dev", "eth0", *extra)

    def pings(self, address: str, *, within_s: float = 20.0) -> bool:
        """Is an echo request answered? Asks again as ping does: a switch's cache follows its flows some milliseconds later."""
        six, token = ":" in address, os.urandom(16)
        family, protocol = (socket.AF_INET6, socket.IPPROTO_ICMPV6) if six else (socket.AF_INET, socket.IPPROTO_ICMP)
        with inside(self.namespace, lambda: socket.socket(family, socket.SOCK_RAW, protocol)) as raw:
            until = time.monotonic() + within_s
            while (now := time.monotonic()) < until:
                if _answered(raw, address, token, until=min(until, now + 0.2)):
                    return True
        return False

    def socket(self, family: int, kind: int) -> socket.socket:
        """In its namespace."""
        return inside(self.namespace, lambda: socket.socket(family, kind))


def all_heard(*guests: Guest, within_s: float = 0.6) -> list[list[bytes]]:
    """What each hears until one moment. Frames wait in the sockets, so nobody has to be waited for alone."""
    ends = time.monotonic() + within_s
    return [guest.heard(ends - time.monotonic()) for guest in guests]


def _answered(raw: socket.socket, address: str, token: bytes, *, until: float) -> bool:
    """Sends one echo request; false also when the kernel knows no way."""
    six = ":" in address
    try:
        raw.sendto(frames.echo_request(token, six=six), (address, 0))
        while (left := until - time.monotonic()) > 0:
            raw.settimeout(left)
            if frames.is_echo_reply(raw.recv(2048), token, six=six):
                return True
    except TimeoutError:
        pass
    except OSError:
        time.sleep(max(0.0, until - time.monotonic()))
    return False


def _raw_socket() -> socket.socket:
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    wire.bind(("eth0", 0))
    return wire


class Host:
    """`switch` is the thing under test; `converge` has it make what `yard.objects` say, as seen from this host."""

    def __init__(self, yard: "Yard", number: int) -> None:
        self.yard, self.number = yard, number
        self.id = str(uuid.uuid4())
        self.namespace = f"csy{yard.short}h{number}"
        self.address = f"10.79.0.{number}"
        self.rundir = yard.folder / f"ovs{number}"
        self.guests: dict[str, Guest] = {}
        self.gateways: dict[str, Guest] = {}
        self.findings = Findings()
        self._make_namespace()
        self._start_switch()
        self.config = Config(
            hosts=[HostIdentity(id=self.id, name=self.namespace, private_key="")],
            control_key="", broker_url="", state_dir=str(yard.folder / f"state{number}"), bridge="br-int",
            tunnel_address=self.address, physical={PHYSICAL: Wire(bridge="br-wire", interface="eth1")},
        )  # fmt: skip
        self.cards = Cards(Path(self.config.state_dir) / "cards")
        self.woken = threading.Event()
        self.switch = self.new_switch()

    def new_switch(self) -> Switch:
        """What a restarted agent would have."""
        state = Path(self.config.state_dir)
        switch = Switch(self.config, self.cards, Allotment(state / "numbers.json"), ovs_rundir=str(self.rundir))
        switch.woken = self.woken.set
        return switch

    def restart_agent(self) -> None:
        inside(self.namespace, self.switch.close)
        self.switch = self.new_switch()

    def restart_ovs(self) -> None:
        self._kill("ovs-vswitchd.pid")
        self._start_vswitchd()

    def converge(self) -> Findings:
        """Raises what a real driver would report as a problem of the whole."""
        desired = self.yard.desired(self)
        self.findings = Findings()

        def both() -> None:
            self.switch.converge_devices(desired, self.findings)
            self.switch.look(self.findings)
            self.switch.converge_flows(desired, self.findings)

        inside(self.namespace, both)
        return self.findings

    def plug(self, port: network.Port) -> Guest:
        """A guest in place of a tap."""
        tap, namespace = names.tap(port.id), f"{self.namespace}g{port.id[-6:]}"
        self.yard.namespaces.append(namespace)
        run("ip", "netns", "add", namespace)
        _veth(self.namespace, tap, namespace, "eth0", port.mac)
        instance_id = port.instance or str(uuid.uuid4())
        self.cards.save(network.Card(id=port.id, network=port.network, mac=port.mac, mtu=1450), instance_id)
        ids = {"iface-id": port.id, "attached-mac": port.mac, "vm-id": instance_id, "iface-status": "active"}
        self.vsctl(
            "--may-exist", "add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev", "fail_mode=secure",
            "--", "add-port", "br-int", tap, "--", "set", "Interface", tap, *(f"external_ids:{k}=\"{v}\"" for k, v in ids.items()),
        )
        self.guests[port.id] = Guest(self, port, namespace)
        return self.guests[port.id]

    def add_gateway(self, net: network.Network) -> Guest:
        """What routing makes: a device of the bridge, and its other end with the gateway's MAC."""
        namespace = f"{self.namespace}w{net.id[-6:]}"
        self.yard.namespaces.append(namespace)
        run("ip", "netns", "add", namespace)
        _veth(self.namespace, names.gateway_port(net.id), namespace, "eth0", names.gateway_mac(net.id))
        fake = network.Port(id=net.id, network=net.id, mac=names.gateway_mac(net.id))
        self.gateways[net.id] = Guest(self, fake, namespace)
        return self.gateways[net.id]

    def unplug(self, guest: Guest) -> None:
        """As if its instance had gone."""
        self.guests.pop(guest.port.id).close()
        self.cards.forget(guest.port.id)
        self.vsctl("--if-exists", "del-port", "br-int", names.tap(guest.port.id))

    def clear(self) -> None:
        for guest in list(self.guests.values()):
            self.unplug(guest)
        while self.gateways:
            self.gateways.popitem()[1].close()

    def ofctl(self, *args: str) -> str:
        return run("ovs-ofctl", "-O", "OpenFlow14", *args, env={"OVS_RUNDIR": str(self.rundir)})

    def connections(self) -> str:
        """What conntrack knows, of all zones."""
        return run("ovs-appctl", "dpctl/dump-conntrack", "netdev@ovs-netdev", env={"OVS_RUNDIR": str(self.rundir)})

    def fdb(self) -> str:
        return run("bridge", "fdb", "show", namespace=self.namespace)

    def oldest_flow_s(self) -> float:
        return max(float(line.split("duration=")[1].split("s")[0]) for line in self.switch.openflow.dump())

    def vsctl(self, *args: str) -> str:
        return run("ovs-vsctl", "--timeout=60", *args, env={"OVS_RUNDIR": str(self.rundir)}, timeout_s=70)

    def dropped(self, guest: Guest) -> int:
        """Frames of a guest that were found to be lies."""
        lines = self.switch.openflow.dump()
        mine = [line for line in lines if f"cookie={cookie(guest.port.id):#x}," in line and "table=10," in line and "drop" in line]
        return sum(int(line.split("n_packets=")[1].split(",")[0]) for line in mine)

    def _make_namespace(self) -> None:
        run("ip", "netns", "add", self.namespace)
        self.yard.namespaces.append(self.namespace)
        for device, bridge in (("eth0", "underlay"), ("eth1", "wire")):
            _veth(self.yard.ground, f"{bridge}{self.number}", self.namespace, device, "")
            run("ip", "link", "set", f"{bridge}{self.number}", "master", bridge, namespace=self.yard.ground)
        run("ip", "address", "add", f"{self.address}/24", "dev", "eth0", namespace=self.namespace)

    def _start_switch(self) -> None:
        self.rundir.mkdir()
        run("ovsdb-tool", "create", self.rundir / "conf.db", SCHEMA)
        run(
            "ovsdb-server", str(self.rundir / "conf.db"), f"--remote=punix:{self.rundir}/db.sock", "--detach", "-vsyslog:off",
            f"--pidfile={self.rundir}/ovsdb-server.pid", f"--unixctl={self.rundir}/ovsdb.ctl", "-vconsole:off",
            namespace=self.namespace, env={"OVS_RUNDIR": str(self.rundir)},
        )  # fmt: skip
        self._start_vswitchd()

    def _start_vswitchd(self) -> None:
        run(
            "ovs-vswitchd", f"unix:{self.rundir}/db.sock", "--detach", "-vsyslog:off", "-vconsole:off",
            f"--pidfile={self.rundir}/ovs-vswitchd.pid", f"--log-file={self.rundir}/vswitchd.log",
            namespace=self.namespace, env={"OVS_RUNDIR": str(self.rundir)},
        )  # fmt: skip

    def _kill(self, pid_file: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.rundir / pid_file).read_text())
            os.kill(pid, signal.SIGKILL)
            until = time.monotonic() + 10
            while Path(f"/proc/{pid}/stat").exists() and time.monotonic() < until:
                if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
                    break
                time.sleep(0.01)

    def close(self) -> None:
        self.clear()
        inside(self.namespace, self.switch.close)
        self._kill("ovs-vswitchd.pid")
        self._kill("ovsdb-server.pid")


class Yard:
    """`objects`: what is desired; each port says by `host` where it is."""

    def __init__(self, hosts: int) -> None:
        self.short = uuid.uuid4().hex[:4]
        self.folder = Path(tempfile.mkdtemp(prefix="cs-switchyard-"))
        self.ground = f"csy{self.short}"
        self.namespaces: list[str] = [self.ground]
        self.networks: dict[str, network.Network] = {}
        self.ports: dict[str, network.Port] = {}
        self.groups: dict[str, network.Group] = {}
        self.routers: dict[str, network.Router] = {}
        self._generation = 0
        self.hosts: list[Host] = []
        self._closing = contextlib.ExitStack()
        self._closing.callback(self._remove_namespaces)
        self._closing.callback(shutil.rmtree, self.folder, ignore_errors=True)
        try:
            self._make(hosts)
        except BaseException:
            self.close()
            raise

    def _make(self, hosts: int) -> None:
        run("ip", "netns", "add", self.ground)
        for bridge in ("underlay", "wire"):
            run("ip", "link", "add", bridge, "type", "bridge", "forward_delay", "0", "mcast_snooping", "0", namespace=self.ground)
            run("ip", "link", "set", bridge, "up", namespace=self.ground)
        for number in range(1, hosts + 1):
            self.hosts.append(Host(self, number))
            self._closing.callback(self.hosts[-1].close)

    def desired(self, host: Host) -> Desired:
        """The state as `host` would be told it."""
        self._generation += 1
        ports = [
            _replace(port, here=port.host == host.address, groups=port.groups if port.host == host.address else [])
            for port in self.ports.values()
        ]
        members = [
            network.Member(id=f"{group}/{port.id}", group=group, addresses=[a.address for a in port.addresses])
            for port in self.ports.values()
            for group in port.groups
        ]
        objects = network.Objects(
            networks=list(self.networks.values()), ports=ports, members=members,
            groups=list(self.groups.values()), routers=list(self.routers.values()),
        )  # fmt: skip
        return Desired.of(network.State(generation=self._generation, objects=objects))

    def converge(self) -> None:
        for host in self.hosts:
            host.converge()

    def a_network(self, kind: network.Kind = network.Kind.VXLAN, segment: int | None = 1001, **more: Any) -> network.Network:
        made = network.Network(
            id=str(uuid.uuid4()), kind=kind, segment=segment, physical="" if kind is network.Kind.VXLAN else PHYSICAL,
            subnets=[
                network.Subnet(id="four", cidr="10.64.0.0/24", gateway="10.64.0.1", routed=True),
                network.Subnet(id="six", cidr="fd00:64::/64", gateway="fd00:64::1", routed=True, ipv6_mode="dhcpv6"),
            ],
            **more,
        )  # fmt: skip
        self.networks[made.id] = made
        return made

    def a_port(self, net: network.Network, number: int, host: Host, **more: Any) -> network.Port:
        """With the addresses `10.64.0.<number>` and `fd00:64::<number>`."""
        port = network.Port(
            id=str(uuid.uuid4()), network=net.id, mac=f"fa:16:3e:{os.urandom(2).hex(':')}:{number:02x}",
            addresses=[
                network.Address(subnet="four", address=f"10.64.0.{number}"),
                network.Address(subnet="six", address=f"fd00:64::{number:x}"),
            ],
            host=host.address, **more,
        )  # fmt: skip
        self.ports[port.id] = port
        return port

    def a_guest(self, net: network.Network, number: int, host: Host, **more: Any) -> Guest:
        return host.plug(self.a_port(net, number, host, **more))

    def a_group(self, *rules: network.Rule) -> str:
        """Its id."""
        made = network.Group(id=str(uuid.uuid4()), rules=list(rules))
        self.groups[made.id] = made
        return made.id

    def change(self, port: network.Port, **fields: Any) -> network.Port:
        self.ports[port.id] = _replace(self.ports[port.id], **fields)
        return self.ports[port.id]

    def clear(self) -> None:
        """Nothing is desired any more, and no guest is there."""
        for kept in (self.networks, self.ports, self.groups, self.routers):
            kept.clear()
        for host in self.hosts:
            host.clear()

    def close(self) -> None:
        self._closing.close()

    def _remove_namespaces(self) -> None:
        for namespace in self.namespaces:
            subprocess.run(["ip", "netns", "delete", namespace], check=False, capture_output=True)


def _replace(struct: T, **fields: Any) -> T:
    return msgspec.structs.replace(struct, **fields)  # type: ignore[type-var]


def _veth(here: str, device: str, there: str, other: str, mac: str) -> None:
    run("ip", "link", "add", device, "type", "veth", "peer", "name", other, "netns", there, namespace=here)
    for namespace, name in ((here, device), (there, other)):
        run("ethtool", "-K", name, "tx", "off", namespace=namespace)
        run("sysctl", "-qw", f"net.ipv6.conf.{name}.accept_dad=0", namespace=namespace)
        if name == other and mac:
            run("ip", "link", "set", name, "address", mac, namespace=namespace)
        run("ip", "link", "set", name, "up", namespace=namespace)
    run("ip", "link", "set", "lo", "up", namespace=there)


@contextlib.contextmanager
def a_yard(hosts: int) -> Iterator[Yard]:
    yard = Yard(hosts)
    try:
        yield yard
    finally:
        yard.close()
