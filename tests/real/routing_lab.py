"""A host in a namespace of its own, for routing: Linux bridges in place of Open vSwitch, namespaces as guests and world."""

import os
import secrets
import shutil
import socket
import struct
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from agent.drivers.base import Outcome
from agent.drivers.command import run
from agent.drivers.openvswitch import names
from agent.drivers.openvswitch.routing import Routing
from agent.drivers.openvswitch.services.inside import NAMESPACES, inside
from agent.network.desired import Desired
from contracts.network import v2 as network

PORT = 7000
T = TypeVar("T")


def unavailable() -> str:
    """Why routing cannot be tried here; empty if it can."""
    missing = [program for program in ("ip", "nft", "nsenter") if shutil.which(program) is None]
    if os.geteuid() != 0:
        return "needs root"
    return f"needs {', '.join(missing)}" if missing else ""


def an_id() -> str:
    return str(uuid.uuid4())


def a_network(*subnets: network.Subnet, router: str = "") -> network.Network:
    return network.Network(id=an_id(), kind=network.Kind.VXLAN, segment=7, router=router, subnets=list(subnets))


def a_subnet(cidr: str, gateway: str = "", *, routed: bool = True) -> network.Subnet:
    mode = "dhcpv6" if ":" in cidr else ""
    return network.Subnet(id=an_id(), cidr=cidr, gateway=gateway, routed=routed, ipv6_mode=mode)


def a_port(net: network.Network, *addresses: str, here: bool = True, host: str = "") -> network.Port:
    pairs = zip(net.subnets, addresses, strict=True)
    fixed = [network.Address(subnet=subnet.id, address=address) for subnet, address in pairs]
    mac = ":".join(f"{byte:02x}" for byte in b"\xfa\x16\x3e" + secrets.token_bytes(3))
    return network.Port(id=an_id(), network=net.id, mac=mac, addresses=fixed, here=here, host=host)


def desired(*objects: object, generation: int = 1) -> Desired:
    """Each object goes where its kind belongs."""
    kinds = {"networks": network.Network, "ports": network.Port, "routers": network.Router, "floating": network.Floating}
    found = {name: [each for each in objects if isinstance(each, kind)] for name, kind in kinds.items()}
    return Desired.of(network.State(generation=generation, objects=network.Objects(**found)))  # type: ignore[arg-type]


class Host:
    """One host with a world at its `eth0`: 10.77.0.2 and fd77::2, seen from the host's 10.77.0.1 and fd77::1."""

    def __init__(self) -> None:
        tag = secrets.token_hex(3)
        self.name, self.world = f"rt-h-{tag}", f"rt-w-{tag}"
        self._tag, self._stack = tag, ExitStack()
        self._made: set[str] = set()
        self.folder = Path(tempfile.mkdtemp(prefix="cs-routing-"))
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.host_id = an_id()
        self.space(self.name)
        self.space(self.world)
        run("ip", "-n", self.name, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", self.world)
        for space, last in ((self.name, 1), (self.world, 2)):
            addresses = (f"address add 10.77.0.{last}/24 dev eth0", f"address add fd77::{last}/64 dev eth0 nodad")
            self.batch(space, *addresses, "link set eth0 up")
        # Where the kernel has it, bridges would hand guests' frames to the host's rules; Open vSwitch does not.
        settings = [f"net.bridge.bridge-nf-call-{which}=0" for which in ("iptables", "ip6tables")]
        run("sysctl", "-qew", *settings, namespace=self.name)
        self.routing = self.an_agent()

    def an_agent(self) -> Routing:
        """Another process would see no more than this one: what is on the host."""
        return Routing(self.folder / "spaces", owner=self._tag, host_id=self.host_id, vxlan_port=4789)

    def converge(self, wanted: Desired) -> Outcome:
        outcome = inside(self.name, lambda: self.routing.converge(wanted))
        self._plug(wanted)
        return outcome

    def space(self, name: str) -> str:
        run("ip", "netns", "add", name)
        self._stack.callback(run, "ip", "netns", "delete", name)
        self.batch(name, "link set lo up")
        return name

    def batch(self, space: str, *lines: str) -> None:
        run("ip", "-n", space, "-batch", "-", stdin="\n".join(lines))

    def bridge(self, name: str) -> None:
        if name not in self._made:
            self._made.add(name)
            made = (f"link add {name} type bridge", f"link set {name} addrgenmode none", f"link set {name} up")
            self.batch(self.name, *made)

    def guest(self, net: network.Network, port: network.Port) -> str:
        """A namespace with the port's addresses, and default routes by the gateways."""
        space = self.space(f"rt-g-{secrets.token_hex(4)}")
        outer = f"g{secrets.token_hex(4)}"
        self.bridge(_bridge(net))
        run("ip", "-n", self.name, "link", "add", outer, "master", _bridge(net), "type", "veth",
            "peer", "name", "eth0", "address", port.mac, "netns", space)  # fmt: skip
        self.batch(self.name, f"link set {outer} up")
        lines = ["link set eth0 up"]
        for subnet, address in zip(net.subnets, port.addresses, strict=True):
            lines.append(f"address add {address.address}/{subnet.cidr.partition('/')[2]} dev eth0 nodad")
            if subnet.gateway:
                lines.append(f"route add default via {subnet.gateway}")
        self.batch(space, *lines)
        return space

    def outside(self, way: network.WayOut) -> str:
        """A namespace on the wire of an external network, with its gateways' addresses."""
        space = self.space(f"rt-x-{secrets.token_hex(4)}")
        outer = f"x{secrets.token_hex(4)}"
        self.bridge(_bridge(way.network))
        run("ip", "-n", self.name, "link", "add", outer, "master", _bridge(way.network), "type", "veth",
            "peer", "name", "eth0", "netns", space)  # fmt: skip
        self.batch(self.name, f"link set {outer} up")
        lengths = {":" in each: each.partition("/")[2] for each in way.addresses}
        self.batch(space, "link set eth0 up", *(f"address add {g}/{lengths[':' in g]} dev eth0 nodad" for g in way.gateways))
        return space

    def leftovers(self) -> list[str]:
        """What is there of ours after everything was removed."""
        links = run("ip", "-n", self.name, "-brief", "link").split()
        devices = [name.partition("@")[0] for name in links if name.startswith(("cst", "csg", "csx"))]
        tables = [line for line in run("nft", "list", "tables", namespace=self.name).splitlines() if "cloudsite" in line]
        records = [path.name for path in self.folder.iterdir()]
        return devices + tables + records

    def close(self) -> None:
        with self._stack:
            inside(self.name, self.routing.remove_all)

    def _plug(self, wanted: Desired) -> None:
        ways = [router.out.network for router in wanted.routers.values() if router.out and router.out.network.kind != "host"]
        ports = [(names.gateway_port(net.id), net) for net in wanted.networks.values()]
        ports += [(names.outside_port(net.id), net) for net in ways]
        there = run("ip", "-n", self.name, "-brief", "link")
        for device, net in ports:
            if device in there:
                self.bridge(_bridge(net))
                self.batch(self.name, f"link set {device} master {_bridge(net)}")


def _bridge(net: network.Network) -> str:
    return f"b{net.id[-8:]}"


class Server:
    """Answers each TCP connection with the address that it came from, then with what it gets. For a `with`."""

    def __init__(self, space: str, address: str, port: int = PORT) -> None:
        self._socket = inside(space, lambda: socket.create_server((address, port), family=_family(address)))
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, peer = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._echo, args=(connection, peer[0]), daemon=True).start()

    @staticmethod
    def _echo(connection: socket.socket, peer: str) -> None:
        try:
            with connection:
                connection.sendall(f"{peer}\n".encode())
                while data := connection.recv(1000):
                    connection.sendall(data)
        except OSError:
            pass


class Client:
    """One connection; `seen_as`: the address that the server saw. Raises OSError where there is no way."""

    def __init__(self, space: str, address: str, port: int = PORT, timeout_s: float = 3.0) -> None:
        self.socket = inside(space, lambda: socket.create_connection((address, port), timeout=timeout_s))
        self.seen_as = self.socket.makefile("r").readline().strip()

    def echo(self, text: str) -> str:
        self.socket.sendall(text.encode())
        return self.socket.recv(1000).decode()

    def close(self) -> None:
        self.socket.close()


def reached_as(space: str, address: str, port: int = PORT) -> str:
    """The address under which a server was reached."""
    client = Client(space, address, port, timeout_s=20)
    client.close()
    return client.seen_as


def is_reached(space: str, address: str, port: int = PORT, timeout_s: float = 20) -> bool:
    try:
        Client(space, address, port, timeout_s).close()
    except OSError:
        return False
    return True


def is_out_of_reach(space: str, address: str, port: int = PORT) -> bool:
    """For the moment that a connection takes, with some to spare."""
    return not is_reached(space, address, port, 0.7)


class Wire:
    """Hears the frames that arrive at a device, from when it is made. For a `with`."""

    def __init__(self, space: str, device: str = "eth0") -> None:
        def listen() -> socket.socket:
            wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            wire.bind((device, 0))
            return wire

        self._socket = inside(space, listen)

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def heard(self, is_it: Callable[[bytes], bool], within_s: float) -> bool:
        until = time.monotonic() + within_s
        while (left := until - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                frame, source = self._socket.recvfrom(2000)
            except OSError:
                return False
            if source[2] != socket.PACKET_OUTGOING and is_it(frame):
                return True
        return False


def is_gratuitous_arp(address: str, mac: str) -> Callable[[bytes], bool]:
    packed = socket.inet_aton(address)

    def is_it(frame: bytes) -> bool:
        return (
            struct.unpack_from("!H", frame, 12)[0] == 0x0806
            and frame[28:32] == frame[38:42] == packed
            and frame[22:28].hex(":") == mac
        )

    return is_it


def is_unsolicited_advertisement(address: str) -> Callable[[bytes], bool]:
    packed = socket.inet_pton(socket.AF_INET6, address)
    return lambda frame: frame[12:14] == b"\x86\xdd" and frame[20] == 58 and frame[54] == 136 and frame[62:78] == packed


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def namespace_exists(domain_id: str) -> bool:
    return (NAMESPACES / names.namespace(domain_id)).exists()
