"""DHCP, router advertisements, DHCPv6, names and metadata, asked by guests that are network namespaces."""

import base64
import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.drivers.command import run
from agent.drivers.openvswitch import names
from agent.drivers.openvswitch.services import Services, dhcp6
from agent.drivers.openvswitch.services.frames import link_local
from agent.drivers.openvswitch.services.inside import inside
from agent.drivers.openvswitch.services.nameserver import NameServer
from agent.drivers.openvswitch.services.plan import METADATA, METADATA6
from agent.metadata import server as metadata
from agent.network.desired import Desired
from contracts.compute import v1 as compute1
from contracts.compute import v2 as compute
from contracts.network import v2 as network
from tests.real.segment import Client, Segment, unavailable

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(120),
    pytest.mark.skipif(bool(unavailable()), reason=unavailable()),
]

TOKEN_TTL, TOKEN = "X-aws-ec2-metadata-token-ttl-seconds", "X-aws-ec2-metadata-token"
SECRET = b"#!/bin/sh\nsecret of web\xff\n"


def an_id() -> str:
    return str(uuid.uuid4())


class World:
    """Three networks: `plain` and `custom` behind one router, `alone` behind none; `web`, `db`, `cache`, `lone` on them."""

    def __init__(self, folder: Path) -> None:
        self.router = network.Router(id=an_id())
        self.plain = network.Network(
            id=an_id(),
            kind=network.Kind.VXLAN,
            mtu=1400,
            router=self.router.id,
            subnets=[
                network.Subnet(id="p4", cidr="10.64.0.0/20", gateway="10.64.0.1", routed=True),
                network.Subnet(id="p6", cidr="fd64::/64", gateway="fd64::1", routed=True, ipv6_mode="dhcpv6"),
            ],
        )
        routes = [network.Route(destination="172.16.0.0/12", nexthop="10.65.0.9")]
        self.custom = network.Network(
            id=an_id(),
            kind=network.Kind.VXLAN,
            router=self.router.id,
            domain="shop.example",
            subnets=[
                network.Subnet(
                    id="c4", cidr="10.65.0.0/24", gateway="10.65.0.1", routed=True, dns=["9.9.9.9"], routes=routes
                ),
                network.Subnet(
                    id="c6", cidr="fd65::/64", gateway="fd65::1", routed=True, ipv6_mode="slaac", dns=["fd65::53"]
                ),
                network.Subnet(id="quiet", cidr="10.66.0.0/24", gateway="10.66.0.1", routed=True, dhcp=False),
            ],
        )
        self.alone = network.Network(
            id=an_id(),
            kind=network.Kind.VXLAN,
            subnets=[
                network.Subnet(id="a4", cidr="10.64.0.0/20", gateway="10.64.0.1"),
                network.Subnet(id="a6", cidr="fd64::/64", gateway="fd64::1", ipv6_mode="dhcpv6"),
            ],
        )
        self.web = self.port(self.plain, "Web Server", p4="10.64.0.5", p6="fd64::5")
        self.db = self.port(self.custom, "db", c4="10.65.0.5", quiet="10.66.0.5")
        self.cache = self.port(self.plain, "", p4="10.64.0.6")
        self.mute = self.port(self.custom, "mute", quiet="10.66.0.6")
        self.lone = self.port(self.alone, "lone", a4="10.64.0.5", a6="fd64::5")
        self.builds = {port.instance: self.build(port) for port in (self.web, self.db, self.cache, self.lone)}
        self.desired = self.state(1)
        self.segment = Segment(folder, self.desired)
        self.services = self.new_services(folder)
        self.folder = folder

    def new_services(self, folder: Path) -> Services:
        return Services(folder / "names", self.builds.get, b"k" * 32)

    def port(self, net: network.Network, name: str, **addresses: str) -> network.Port:
        return network.Port(
            id=an_id(),
            network=net.id,
            mac="fa:16:3e:" + os.urandom(3).hex(":"),
            addresses=[network.Address(subnet=subnet, address=address) for subnet, address in addresses.items()],
            here=True,
            instance=an_id(),
            name=name,
        )

    def build(self, port: network.Port) -> compute.Build:
        card = network.Card(id=port.id, network=port.network, mac=port.mac, mtu=1400)
        return compute.Build(
            instance_id=port.instance,
            project_id=an_id(),
            name=port.name,
            vcpus=1,
            memory_mb=128,
            disk_gb=1,
            image=compute1.Image(id="i", url="", sha256="", size_bytes=0, disk_format=compute1.DiskFormat.RAW),
            cards=[card],
            user_data=base64.b64encode(SECRET).decode() if port.name == "Web Server" else "",
            public_keys={"mine": "ssh-ed25519 AAAA me"},
        )

    def state(self, generation: int, *extra: network.Port) -> Desired:
        ports = [self.web, self.db, self.cache, self.mute, self.lone, *extra]
        objects = network.Objects(networks=[self.plain, self.custom, self.alone], ports=ports, routers=[self.router])
        return Desired.of(network.State(generation=generation, objects=objects))

    def converge(self, desired: Desired) -> None:
        outcome = self.services.converge(desired)
        assert outcome.problems == []
        self.desired = desired


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("services")
    for each in (folder, *list(folder.parents)[:-2]):  # the name server gives up root's rights
        each.chmod(0o755)
    made = World(folder)
    try:
        made.converge(made.desired)
        yield made
        made.services.remove()
        assert not (folder / "names").exists()
    finally:
        made.services.remove()
        made.segment.close()


@pytest.fixture(scope="module")
def web(world: World) -> Client:
    return configured(world, world.web)


@pytest.fixture(scope="module")
def db(world: World) -> Client:
    return configured(world, world.db)


@pytest.fixture(scope="module")
def lone(world: World) -> Client:
    return configured(world, world.lone)


@pytest.fixture(scope="module")
def cache(world: World) -> Client:
    return configured(world, world.cache)


def configured(world: World, port: network.Port) -> Client:
    client = world.segment.client(port)
    client.configure(client.dhcp())
    return client


def pairs(lease: dict[str, str]) -> set[tuple[str, str]]:
    words = lease["staticroutes"].split()
    return set(zip(words[::2], words[1::2], strict=True))


def until(what: Callable[[], Any], within_s: float = 15.0) -> Any:
    end = time.monotonic() + within_s
    while not (found := what()):
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)
    return found


# --- DHCP ---------------------------------------------------------------------------------------------------------


def test_a_guest_is_given_exactly_what_the_database_says(world: World, web: Client) -> None:
    lease = web.dhcp()
    told = {name: lease[name] for name in ("ip", "mask", "router", "dns", "mtu", "domain", "hostname", "serverid")}
    assert told == {
        "ip": "10.64.0.5",
        "mask": "20",
        "router": "10.64.0.1",
        "dns": "10.64.0.1",
        "mtu": "1400",
        "domain": "cloud.internal",
        "hostname": "web-server",
        "serverid": "10.64.0.1",
    }
    assert pairs(lease) == {(f"{METADATA}/32", "10.64.0.1"), ("0.0.0.0/0", "10.64.0.1")}
    assert int(lease["lease"]) >= 3600


def test_a_subnets_own_name_servers_domain_and_routes_are_passed_on(db: Client) -> None:
    lease = db.dhcp()
    assert (lease["ip"], lease["dns"], lease["domain"]) == ("10.65.0.5", "9.9.9.9", "shop.example")
    assert ("172.16.0.0/12", "10.65.0.9") in pairs(lease)


def test_a_network_without_router_has_addresses_and_metadata_and_no_gateway(lone: Client) -> None:
    lease = lone.dhcp()
    assert (lease["ip"], lease["mask"], lease.get("router"), lease["dns"]) == ("10.64.0.5", "20", None, METADATA)
    assert pairs(lease) == {(f"{METADATA}/32", "0.0.0.0")}


def test_a_guest_that_asks_for_anothers_address_is_given_its_own(web: Client) -> None:
    assert web.dhcp("-r", "10.64.0.6")["ip"] == "10.64.0.5"


def test_a_client_that_wants_broadcasts_and_calls_itself_something_else_is_given_the_same(web: Client) -> None:
    assert web.dhcp("-B", "-C", "-x", "0x3d:ff0102030405")["ip"] == "10.64.0.5"


def test_a_subnet_without_dhcp_and_a_stranger_get_no_answer(world: World) -> None:
    assert world.segment.client(world.mute).dhcp() == {}
    stranger = msgspec.structs.replace(world.web, mac="fa:16:3e:00:00:01")
    assert world.segment.client(stranger).dhcp() == {}


def test_a_renewal_is_answered_at_the_servers_own_address(world: World, web: Client) -> None:
    """The client now has its address, and writes to the server alone."""
    script, out = world.folder / "renew", world.folder / "renewed"
    script.write_text(f'#!/bin/sh\n[ "$1" = deconfig ] || echo "$1 $ip" >> {out}\n')
    script.chmod(0o755)
    command = [
        "nsenter",
        f"--net=/run/netns/{web.namespace}",
        "busybox",
        "udhcpc",
        "-f",
        "-i",
        "eth0",
        "-s",
        str(script),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as client:
        try:
            until(lambda: out.exists() and out.read_text() == "bound 10.64.0.5\n")
            client.send_signal(signal.SIGUSR1)  # renew
            until(lambda: out.read_text() == "bound 10.64.0.5\nrenew 10.64.0.5\n")
        finally:
            client.kill()


def test_an_address_given_to_another_port_is_its_own_at_once(world: World) -> None:
    old = world.port(world.plain, "old", p4="10.64.0.77")
    new = world.port(world.plain, "new", p4="10.64.0.77")
    world.converge(world.state(2, old))
    assert world.segment.client(old).dhcp()["ip"] == "10.64.0.77"
    world.converge(world.state(3, new))
    assert world.segment.client(new).dhcp()["ip"] == "10.64.0.77"
    assert world.segment.client(old).dhcp() == {}
    world.converge(world.state(4))


# --- IPv6 ---------------------------------------------------------------------------------------------------------


def routes6(client: Client) -> list[dict[str, Any]]:
    return list(json.loads(client.run("ip", "-6", "-j", "route", "show")))


def addresses6(client: Client) -> set[str]:
    devices = json.loads(client.run("ip", "-6", "-j", "address", "show", "dev", "eth0", "scope", "global"))
    return {one["local"] for device in devices for one in device.get("addr_info", []) if one}


def test_the_router_of_a_managed_subnet_makes_no_addresses(world: World, web: Client) -> None:
    default = until(lambda: [one for one in routes6(web) if one["dst"] == "default"])
    assert default[0]["gateway"] == link_local(names.gateway_mac(world.plain.id))
    assert any(one["dst"] == "fd64::/64" for one in routes6(web))
    assert addresses6(web) <= {"fd64::5"}
    assert web.run("cat", "/proc/sys/net/ipv6/conf/eth0/mtu").strip() == "1400"


def test_guests_of_an_autonomous_subnet_make_their_own(world: World, db: Client) -> None:
    expected = link_local(world.db.mac).replace("fe80::", "fd65::")
    assert until(lambda: addresses6(db)) == {expected}


def test_without_router_the_prefix_is_on_the_link_and_nothing_leads_out(lone: Client) -> None:
    until(lambda: any(one["dst"] == "fd64::/64" for one in routes6(lone)))
    assert not any(one["dst"] == "default" for one in routes6(lone))
    assert any(one["dst"] == METADATA6 for one in routes6(lone))


def ask6(client: Client, kind: int, *options: tuple[int, bytes], client_id: bytes = b"\0\4duid") -> Any:
    """(message type, [(option, value)]) of the answer, None when there is none."""

    def ask() -> bytes:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as wire:
            wire.settimeout(1.5)
            device = socket.if_nametoindex("eth0")
            wire.bind(("::", 546))
            sent = [(1, client_id), *options]
            content = b"".join(struct.pack("!HH", code, len(value)) + value for code, value in sent)
            wire.sendto(bytes([kind]) + b"\1\2\3" + content, ("ff02::1:2", 547, 0, device))
            return wire.recv(2048)

    try:
        answer = inside(client.namespace, ask)
    except TimeoutError:
        return None
    assert answer[1:4] == b"\1\2\3"
    return answer[0], list(dhcp6._options(answer[4:]))


def given(options: list[tuple[int, bytes]]) -> list[tuple[str, int]]:
    """(address, valid seconds) of all associations."""
    found = []
    for code, value in options:
        if code == 3:
            for inner, content in dhcp6._options(value[12:]):
                if inner == 5:
                    found.append(
                        (socket.inet_ntop(socket.AF_INET6, content[:16]), *struct.unpack("!I", content[20:24]))
                    )
    return found


IA = (3, b"\0\0\0\7" + bytes(8))


@pytest.mark.parametrize("client_id", [b"\0\4one", b"\0\4another, after a new installation"])
def test_dhcpv6_gives_the_ports_address_whatever_the_guest_calls_itself(web: Client, client_id: bytes) -> None:
    kind, options = ask6(web, 1, IA, client_id=client_id)
    assert (kind, given(options)) == (2, [("fd64::5", dhcp6.VALID_S)])
    kind, options = ask6(web, 3, IA, (2, dict(options)[2]), client_id=client_id)
    assert (kind, given(options)) == (7, [("fd64::5", dhcp6.VALID_S)])
    assert dict(options)[23] == socket.inet_pton(socket.AF_INET6, "fd64::1")
    assert dict(options)[24] == b"\5cloud\x08internal\0"


def test_dhcpv6_in_one_exchange_and_on_a_network_without_router(lone: Client) -> None:
    kind, options = ask6(lone, 1, IA, (14, b""))
    assert (kind, given(options), 14 in dict(options)) == (7, [("fd64::5", dhcp6.VALID_S)], True)


def test_dhcpv6_takes_an_address_away_that_is_the_ports_no_more(web: Client) -> None:
    server = dict(ask6(web, 1, IA)[1])[2]
    stale = struct.pack("!HH", 5, 24) + socket.inet_pton(socket.AF_INET6, "fd64::99") + bytes(8)
    _, options = ask6(web, 5, (3, IA[1] + stale), (2, server))
    assert given(options) == [("fd64::5", dhcp6.VALID_S), ("fd64::99", 0)]
    _, options = ask6(web, 4, (3, IA[1] + stale))
    assert dict(options)[13][:2] == b"\0\4"  # not on this link


def test_dhcpv6_meant_for_another_server_is_not_answered(web: Client) -> None:
    assert ask6(web, 3, IA, (2, b"\0\3\0\1another")) is None


# --- names --------------------------------------------------------------------------------------------------------


def lookup(client: Client, name: str, server: str) -> str:
    with contextlib.suppress(Exception):
        return client.run("busybox", "nslookup", name, server)
    return ""


def test_names_of_the_whole_routing_domain_are_known_and_only_those(
    world: World, web: Client, db: Client, lone: Client
) -> None:
    assert "10.64.0.5" in lookup(web, "web-server.cloud.internal", "10.64.0.1")
    assert "fd64::5" in lookup(web, "web-server.cloud.internal", "10.64.0.1")
    assert "10.65.0.5" in lookup(web, "db.shop.example", "10.64.0.1")
    assert "10.64.0.6" in lookup(db, "host-10-64-0-6.cloud.internal", "10.65.0.1")
    assert "web-server.cloud.internal" in lookup(web, "10.64.0.5", "10.64.0.1")
    assert "10.64.0.5" in lookup(lone, "lone.cloud.internal", METADATA)
    assert "10.6" not in lookup(web, "lone.cloud.internal", "10.64.0.1").partition("Name:")[2]
    assert "10.6" not in lookup(lone, "db.shop.example", METADATA).partition("Name:")[2]


def test_a_new_name_is_known_at_once_by_the_same_server(world: World, web: Client) -> None:
    before = servers(world)
    extra = world.port(world.plain, "late\nserver=6.6.6.6", p4="10.64.0.88")
    world.converge(world.state(5, extra))
    until(lambda: "10.64.0.88" in lookup(web, "late-server-6-6-6-6.cloud.internal", "10.64.0.1"))
    world.converge(world.state(6))
    until(lambda: "10.64.0.88" not in lookup(web, "late-server-6-6-6-6.cloud.internal", "10.64.0.1"))
    assert servers(world) == before


def servers(world: World) -> dict[str, int | None]:
    folder = world.folder / "names"
    return {path.name: NameServer(path, path.name).pid() for path in folder.iterdir()}


def test_a_name_server_that_was_killed_is_started_again_and_it_is_told(world: World, web: Client) -> None:
    namespace = world.segment.gateway_namespace(world.plain.id)
    pid = servers(world)[namespace]
    assert pid is not None
    os.kill(pid, 9)
    until(lambda: servers(world)[namespace] is None)
    outcome = world.services.converge(world.desired)
    assert outcome.mended == [f"the name server of {namespace} had ended"]
    assert "10.64.0.5" in lookup(web, "web-server.cloud.internal", "10.64.0.1")
    assert world.services.converge(world.desired).mended == []


# --- metadata -----------------------------------------------------------------------------------------------------


def test_each_guest_reads_its_own_data_and_nobody_elses(world: World, web: Client, db: Client, lone: Client) -> None:
    for client in (web, db, lone):
        assert client.http("/latest/meta-data/instance-id") == (200, client.port.instance.encode())
        status, body = client.http("/openstack/latest/meta_data.json")
        assert (status, json.loads(body)["uuid"]) == (200, client.port.instance)
    assert web.http("/latest/user-data") == (200, SECRET)
    assert db.http("/latest/user-data")[0] == 404
    assert lone.http("/latest/user-data")[0] == 404


def test_no_header_makes_a_guest_another(world: World, db: Client) -> None:
    forged = {"X-Forwarded-For": "10.64.0.5", "X-Instance-ID": world.web.instance, "Host": "10.64.0.5"}
    assert db.http("/latest/meta-data/instance-id", **forged) == (200, world.db.instance.encode())


def test_an_address_of_another_network_tells_nothing(world: World, cache: Client) -> None:
    """Not even when the switch let it through: it is nobody's on this network."""
    cache.run("ip", "address", "add", "10.65.0.5/32", "dev", "eth0")
    cache.run("ip", "route", "replace", f"{METADATA}/32", "via", "10.64.0.1", "src", "10.65.0.5")
    run(
        "ip",
        "-n",
        world.segment.gateway_namespace(world.plain.id),
        "route",
        "replace",
        "10.65.0.5/32",
        "via",
        "10.64.0.6",
    )
    try:
        assert cache.http("/latest/meta-data/instance-id")[0] == 404
    finally:
        run("ip", "-n", world.segment.gateway_namespace(world.plain.id), "route", "delete", "10.65.0.5/32")
        cache.run("ip", "route", "replace", f"{METADATA}/32", "via", "10.64.0.1")
        cache.run("ip", "address", "delete", "10.65.0.5/32", "dev", "eth0")


def test_metadata_answers_over_ipv6_too(world: World, web: Client, lone: Client) -> None:
    for client in (web, lone):
        client.run("ip", "address", "replace", "fd64::5/128", "dev", "eth0", "nodad")
        until(lambda: any(one["dst"] in ("default", METADATA6) for one in routes6(client)))  # noqa: B023
        assert client.http("/latest/meta-data/instance-id", host=METADATA6) == (200, client.port.instance.encode())


def test_a_token_counts_for_the_instance_that_asked_for_it(web: Client, db: Client) -> None:
    status, token = web.http("/latest/api/token", method="PUT", **{TOKEN_TTL: "60"})
    assert (status, len(token) > 20) == (200, True)
    assert web.http("/latest/meta-data/", **{TOKEN: token.decode()})[0] == 200
    assert db.http("/latest/meta-data/", **{TOKEN: token.decode()})[0] == 401
    for ttl in ("0", "21601", "x", ""):
        assert web.http("/latest/api/token", method="PUT", **{TOKEN_TTL: ttl})[0] == 400
    assert web.http("/latest/api/token", method="PUT", **{TOKEN_TTL: "60", "X-Forwarded-For": "1.2.3.4"})[0] == 403
    assert web.http("/latest/meta-data/", method="POST")[0] == 405


def test_a_guest_that_holds_its_connections_open_keeps_nobody_else_waiting(web: Client, db: Client) -> None:
    def hold() -> list[socket.socket]:
        held = []
        for _ in range(metadata.MAX_CONNECTIONS_PER_PORT + 5):
            held.append(socket.create_connection((METADATA, 80), timeout=5))
            held[-1].sendall(b"GET / HT")
        return held

    held = inside(web.namespace, hold)
    try:
        assert db.http("/latest/meta-data/instance-id")[0] == 200
        refused = [one for one in held if _is_closed(one)]
        assert len(refused) >= 5
        # The others are closed as well once their time is over.
        until(lambda: all(_is_closed(one) for one in held), within_s=metadata.HEAD_TIMEOUT_S + 5)
    finally:
        for one in held:
            one.close()
    until(lambda: web.http("/latest/meta-data/instance-id")[0] == 200)


def _is_closed(one: socket.socket) -> bool:
    one.settimeout(0.05)
    try:
        return one.recv(4096) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_nonsense_is_refused(web: Client) -> None:
    def say(what: bytes) -> bytes:
        with socket.create_connection((METADATA, 80), timeout=10) as connection:
            connection.sendall(what)
            with contextlib.suppress(ConnectionResetError):
                return connection.recv(64)
        return b""

    for what in (b"hello\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 3000 + b"\r\n"):
        answer = inside(web.namespace, lambda what=what: say(what))  # type: ignore[misc]
        assert answer.startswith(b"HTTP/1.1 400") or not answer
    assert web.http("/latest/meta-data/instance-id")[0] == 200


# --- convergence --------------------------------------------------------------------------------------------------


def test_a_device_made_anew_is_served_again(world: World, lone: Client) -> None:
    world.segment.remake(world.alone.id)
    assert world.services.converge(world.desired).mended == [
        f"{names.gateway(world.alone.id)} was made anew: its guests are served again"
    ]
    assert lone.dhcp()["ip"] == "10.64.0.5"
    until(lambda: lone.http("/latest/meta-data/instance-id")[0] == 200)
    assert world.services.converge(world.desired).mended == []


def test_a_network_whose_device_is_missing_is_told_and_keeps_no_other_from_being_served(
    world: World, web: Client
) -> None:
    absent = msgspec.structs.replace(world.alone, id=an_id())
    port = msgspec.structs.replace(world.port(absent, "x", a4="10.64.0.9"), network=absent.id)
    objects = msgspec.structs.replace(world.desired.state().objects)
    state = network.State(
        generation=7,
        objects=msgspec.structs.replace(objects, networks=[*objects.networks, absent], ports=[*objects.ports, port]),
    )
    outcome = world.services.converge(Desired.of(state))
    assert {problem.object for problem in outcome.problems} == {absent.id}
    assert web.dhcp()["ip"] == "10.64.0.5"
    world.converge(world.state(8))


def test_an_agents_next_life_goes_on_with_the_same_name_servers(world: World, web: Client) -> None:
    before = servers(world)
    world.services.stop()
    assert web.dhcp() == {}
    world.services = world.new_services(world.folder)
    assert world.services.converge(world.desired).mended == []
    assert web.dhcp()["ip"] == "10.64.0.5"
    assert servers(world) == before


def test_a_guest_that_floods_is_heard_no_more_than_is_bearable(world: World, cache: Client, db: Client) -> None:
    def flood() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind(("eth0", 0))
            head = b"\xff" * 6 + bytes.fromhex(world.cache.mac.replace(":", "")) + b"\x08\0"
            packet = bytes.fromhex("4500001d0000000040110000" + "00" * 4 + "ff" * 4 + "004400430009000000")
            end = time.monotonic() + 2.0
            while time.monotonic() < end:
                with contextlib.suppress(OSError):
                    wire.send(head + packet)

    with ThreadPoolExecutor(1) as pool:
        flooding = pool.submit(inside, cache.namespace, flood)
        assert db.dhcp()["ip"] == "10.65.0.5"
        flooding.result()


def test_nothing_is_served_before_anything_was_told(tmp_path: Path) -> None:
    services = Services(tmp_path / "names", lambda _: None, b"k" * 32)
    outcome = services.converge(Desired())
    assert (outcome.problems, outcome.mended, (tmp_path / "names").exists()) == ([], [], False)
