"""Networks and ports on a real switch. A namespace with a veth stands for the guest, so any frame can be tried."""

import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address

import msgspec
import pytest

from agent.drivers.base import DriverError
from agent.drivers.command import run
from agent.drivers.openvswitch import flows
from agent.drivers.openvswitch.driver import OpenvswitchNetwork
from agent.drivers.openvswitch.namespace import Names, gateway_mac
from contracts.network import v1 as network
from tests.real.lab import Lab, network_unavailable, tap_of

pytestmark = [pytest.mark.real, pytest.mark.skipif(bool(network_unavailable()), reason=network_unavailable())]

BROADCAST = "ff:ff:ff:ff:ff:ff"
# Sends the frames given in hex on eth0; prints what comes back within the time given, in hex.
_EXCHANGE = """
import json, select, socket, sys, time
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
wire.bind(("eth0", 0))
for frame in json.loads(sys.argv[1]):
    wire.send(bytes.fromhex(frame))
until, heard = time.monotonic() + float(sys.argv[2]), []
while (left := until - time.monotonic()) > 0 and select.select([wire], [], [], left)[0]:
    frame, address = wire.recvfrom(65535)
    if address[2] != socket.PACKET_OUTGOING:
        heard.append(frame.hex())
print(json.dumps(heard))
"""


class FakeGuest:
    """Plugged in the way libvirt does it, in place of a tap."""

    def __init__(self, lab: Lab, port: network.Port, instance_id: str = "") -> None:
        self.lab, self.port = lab, port
        self.instance_id = instance_id or lab.an_instance_id()
        self.namespace = f"csg-{port.id[-8:]}"

    def plug(self) -> None:
        binding = self.lab.network.ensure_port(self.port, self.instance_id)
        mac = ("address", self.port.mac)
        run("ip", "netns", "add", self.namespace)
        run("ip", "link", "add", binding.tap, "type", "veth", "peer", "name", "eth0", *mac, "netns", self.namespace)
        run("ip", "link", "set", binding.tap, "up")
        run("ip", "-n", self.namespace, "link", "set", "eth0", "up")
        run("ethtool", "-K", "eth0", "tx", "off", namespace=self.namespace)
        run("ovs-vsctl", "add-port", binding.bridge, binding.tap, f"tag={binding.tag}")
        self.lab.network.port_started(self.port, self.instance_id)

    def unplug(self) -> None:
        self.lab.network.remove_port(self.port, self.instance_id)
        run("ip", "netns", "delete", self.namespace)

    def exchange(self, *frames: bytes, wait_s: float = 0.4) -> list[bytes]:
        """Send frames; what is heard afterwards."""
        sent = json.dumps([frame.hex() for frame in frames])
        heard = run(sys.executable, "-c", _EXCHANGE, sent, str(wait_s), namespace=self.namespace)
        return [bytes.fromhex(frame) for frame in json.loads(heard)]

    def dropped(self) -> int:
        """Frames of this guest that the switch refused so far."""
        cookie = flows.port_cookie(self.port.id)
        # The switch takes over counts from its datapath now and then only.
        time.sleep(1.2)
        own = [one for one in self.lab.network.bridge.flows() if one.cookie == cookie]
        return sum(one.packets for one in own if one.text.endswith("=drop"))


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    lab = Lab()
    try:
        yield lab
    finally:
        lab.close()


@contextmanager
def plugged(lab: Lab) -> Iterator[list[FakeGuest]]:
    """Two guests in one network, one in another that has the same range."""
    one, other = lab.a_network(), lab.a_network()
    wanted = ((one, "10.64.0.5"), (one, "10.64.0.6"), (other, "10.64.0.6"))
    made = [FakeGuest(lab, lab.a_port(net, address=address)) for net, address in wanted]
    try:
        for guest in made:
            guest.plug()
        yield made
    finally:
        for guest in made:
            guest.unplug()


@pytest.fixture(scope="module")
def guests(lab: Lab) -> Iterator[list[FakeGuest]]:
    """For tests that leave things as they are."""
    with plugged(lab) as made:
        yield made
    assert lab.leftovers() == []


@pytest.fixture
def own() -> Iterator[tuple[Lab, list[FakeGuest]]]:
    """For tests that break or remove something: a host of their own."""
    lab = Lab()
    try:
        with plugged(lab) as made:
            yield lab, made
        assert lab.leftovers() == []
    finally:
        lab.close()


def raw(address: str) -> bytes:
    return IPv4Address(address).packed


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def ethernet(source: str, target: str, kind: int, body: bytes) -> bytes:
    return mac(target) + mac(source) + struct.pack("!H", kind) + body


def arp_request(source: str, sha: str, spa: str, tpa: str) -> bytes:
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac(sha) + raw(spa) + bytes(6) + raw(tpa)
    return ethernet(source, BROADCAST, 0x0806, body)


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def ip(source: str, target: str, protocol: int, body: bytes) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, 64, protocol, 0) + raw(source) + raw(target)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def echo(source: str, target: str) -> bytes:
    body = struct.pack("!BBHHH", 8, 0, 0, 7, 1) + bytes(8)
    return ip(source, target, 1, body[:2] + struct.pack("!H", checksum(body)) + body[4:])


def udp(source: str, target: str, source_port: int, target_port: int, body: bytes) -> bytes:
    return ip(source, target, 17, struct.pack("!HHHH", source_port, target_port, 8 + len(body), 0) + body)


def dhcp(kind: int, client: str, *options: tuple[int, bytes]) -> bytes:
    """A client's message. `kind`: 1 discover, 3 request."""
    head = struct.pack("!BBBBIHH", 1, 1, 6, 0, 0x1234, 0, 0x8000) + bytes(16) + mac(client) + bytes(202)
    listed = [(53, bytes([kind])), (55, bytes([1, 3, 6, 26, 51])), *options]
    encoded = b"".join(bytes([code, len(value)]) + value for code, value in listed)
    message = head + b"\x63\x82\x53\x63" + encoded + b"\xff"
    return ethernet(client, BROADCAST, 0x0800, udp("0.0.0.0", "255.255.255.255", 68, 67, message))


def dhcp_answer(heard: list[bytes]) -> tuple[str, dict[int, bytes]] | None:
    """Offered address and options of the first DHCP message of a server."""
    for frame in heard:
        if frame[12:14] == b"\x08\x00" and frame[23] == 17 and frame[34:38] == struct.pack("!HH", 67, 68):
            message, options, rest = frame[42:], {}, frame[42 + 240 :]
            while rest and rest[0] != 255:
                options[rest[0]] = rest[2 : 2 + rest[1]]
                rest = rest[2 + rest[1] :]
            return str(IPv4Address(message[16:20])), options
    return None


def lease(guest: FakeGuest) -> tuple[str, dict[int, bytes]] | None:
    """What a client gets that goes through the whole exchange."""
    offer = dhcp_answer(guest.exchange(dhcp(1, guest.port.mac)))
    if offer is None:
        return None
    return dhcp_answer(guest.exchange(dhcp(3, guest.port.mac, (50, raw(offer[0])), (54, offer[1][54]))))


def hears(listener: FakeGuest, speaker: FakeGuest, frame: bytes) -> bool:
    """Does a frame of one guest come out at another?"""
    run_in = ("ip", "netns", "exec", listener.namespace, sys.executable, "-c", _EXCHANGE, "[]", "0.8")
    with subprocess.Popen(run_in, stdout=subprocess.PIPE) as process:
        time.sleep(0.4)
        speaker.exchange(frame, wait_s=0.0)
        heard, _ = process.communicate(timeout=10)
    return frame.hex() in json.loads(heard)


def test_a_guest_gets_exactly_its_address_by_dhcp(guests: list[FakeGuest]) -> None:
    granted = lease(guests[0])
    assert granted is not None
    address, options = granted
    assert address == "10.64.0.5"
    assert options[53] == b"\x05"
    assert (options[3], options[6]) == (raw("10.64.0.1"), raw("10.64.0.1"))
    assert options[1] == raw("255.255.240.0")
    assert options[26] == struct.pack("!H", 1450)


def test_a_mac_that_is_not_its_own_gets_no_address(guests: list[FakeGuest]) -> None:
    assert dhcp_answer(guests[0].exchange(dhcp(1, guests[1].port.mac))) is None
    assert dhcp_answer(guests[0].exchange(dhcp(1, "fa:16:3e:99:99:99"))) is None


def test_a_request_for_an_address_reaches_no_other_guest(guests: list[FakeGuest]) -> None:
    assert not hears(guests[1], guests[0], dhcp(1, guests[0].port.mac))


def test_guests_of_a_network_hear_each_other_and_those_of_another_do_not(guests: list[FakeGuest]) -> None:
    own = guests[0].port.mac
    question = arp_request(own, own, "10.64.0.5", "10.64.0.6")
    assert hears(guests[1], guests[0], question)
    assert not hears(guests[2], guests[0], question)


def test_the_gateway_answers(guests: list[FakeGuest]) -> None:
    own = guests[0].port.mac
    answers = guests[0].exchange(arp_request(own, own, "10.64.0.5", "10.64.0.1"))
    assert any(mac(gateway_mac(guests[0].port.network.id)) == frame[6:12] for frame in answers)


@pytest.mark.parametrize(
    "lie",
    [
        lambda me, you: arp_request(me.mac, me.mac, "10.64.0.77", "10.64.0.6"),
        lambda me, you: arp_request(me.mac, me.mac, "10.64.0.1", "10.64.0.6"),
        lambda me, you: arp_request(me.mac, "fa:16:3e:11:11:11", "10.64.0.5", "10.64.0.6"),
        lambda me, you: arp_request("fa:16:3e:11:11:11", "fa:16:3e:11:11:11", "10.64.0.5", "10.64.0.6"),
        lambda me, you: ethernet(me.mac, you.mac, 0x0800, echo("10.64.0.77", "10.64.0.6")),
        lambda me, you: ethernet("fa:16:3e:11:11:11", you.mac, 0x0800, echo("10.64.0.5", "10.64.0.6")),
        lambda me, you: ethernet(me.mac, you.mac, 0x0800, udp("10.64.0.5", "10.64.0.6", 67, 68, b"offer")),
        lambda me, you: ethernet(me.mac, BROADCAST, 0x86DD, bytes([0x60]) + bytes(39)),
        lambda me, you: ethernet(me.mac, you.mac, 0x8100, b"\x00\x02\x08\x00" + echo("10.64.0.5", "10.64.0.6")),
        lambda me, you: ethernet(me.mac, you.mac, 0x8100, b"\x00\x00\x08\x00" + echo("10.64.0.77", "10.64.0.6")),
        lambda me, you: ethernet(me.mac, BROADCAST, 0x88CC, bytes(40)),
    ],
    ids=[
        "arp-address",
        "arp-gateway",
        "arp-mac",
        "mac-and-arp",
        "address",
        "mac",
        "dhcp-server",
        "ipv6",
        "tagged",
        "tagged-0",
        "lldp",
    ],
)
def test_what_is_not_its_own_to_say_is_dropped(guests: list[FakeGuest], lie) -> None:  # type: ignore[no-untyped-def]
    before = guests[0].dropped()
    assert not hears(guests[1], guests[0], lie(guests[0].port, guests[1].port))
    assert guests[0].dropped() > before


def test_a_true_frame_passes_by_the_same_way(guests: list[FakeGuest]) -> None:
    me, you = guests[0].port, guests[1].port
    assert hears(guests[1], guests[0], ethernet(me.mac, you.mac, 0x0800, echo("10.64.0.5", "10.64.0.6")))


def test_before_it_is_started_a_port_says_nothing(own: tuple[Lab, list[FakeGuest]]) -> None:
    lab, guests = own
    me, you = guests[0].port, guests[1].port
    lab.network.bridge.change_flows(delete=[flows.of_cookie(flows.port_cookie(me.id))])
    assert not hears(guests[1], guests[0], ethernet(me.mac, you.mac, 0x0800, echo("10.64.0.5", "10.64.0.6")))


def test_everything_may_be_asked_for_twice(lab: Lab, guests: list[FakeGuest]) -> None:
    before = lab.network.residue()
    binding = lab.network.ensure_port(guests[0].port, guests[0].instance_id)
    lab.network.port_started(guests[0].port, guests[0].instance_id)
    assert binding == lab.network.ensure_port(guests[0].port, guests[0].instance_id)
    assert lab.network.residue() == before
    assert before[guests[0].instance_id] == ["dhcp", "flows", "port", "tap"]


def test_removing_one_port_leaves_the_other_alone(own: tuple[Lab, list[FakeGuest]]) -> None:
    lab, guests = own
    lab.network.remove_port(guests[0].port, guests[0].instance_id)
    assert guests[0].instance_id not in lab.network.residue()
    assert lease(guests[1]) is not None


def test_an_address_passes_at_once_from_a_vanished_guest_to_a_new_one(own: tuple[Lab, list[FakeGuest]]) -> None:
    lab, guests = own
    assert lease(guests[0]) is not None
    lab.network.remove_port(guests[0].port, guests[0].instance_id)
    heir = FakeGuest(lab, lab.a_port(guests[0].port.network, address="10.64.0.5"))
    heir.plug()
    try:
        granted = lease(heir)
    finally:
        heir.unplug()
    assert granted is not None and granted[0] == "10.64.0.5"


def test_a_dead_dhcp_server_is_started_again(own: tuple[Lab, list[FakeGuest]]) -> None:
    lab, guests = own
    server = lab.network._dnsmasq(guests[0].port.network.id)
    pid = server.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while server.pid() == pid:
        time.sleep(0.01)
    lab.network.maintain()
    assert lease(guests[0]) is not None


def test_flows_that_a_restarted_switch_has_lost_are_restored(own: tuple[Lab, list[FakeGuest]]) -> None:
    lab, guests = own
    lab.network.bridge.change_flows(delete=["table=0"])
    assert lease(guests[0]) is None
    lab.network.maintain()
    assert lease(guests[0]) is not None
    assert lab.network.residue()[guests[0].instance_id] == ["dhcp", "flows", "port", "tap"]


def test_flows_of_ports_that_nobody_knows_are_removed(own: tuple[Lab, list[FakeGuest]]) -> None:
    lab, guests = own
    stranger = lab.a_port(guests[0].port.network)
    lab.network.bridge.change_flows(add=flows.port_flows(stranger, 999, 1))
    lab.network.maintain()
    cookies = {one.cookie for one in lab.network.bridge.flows()}
    assert flows.port_cookie(stranger.id) not in cookies
    assert flows.port_cookie(guests[0].port.id) in cookies


def test_a_restarted_agent_finds_everything_as_it_was(lab: Lab, guests: list[FakeGuest]) -> None:
    again = OpenvswitchNetwork(lab.config, run_dir=lab.run_dir)
    assert again.residue() == lab.network.residue()
    assert again.ensure_port(guests[0].port, guests[0].instance_id).tap == tap_of(guests[0].port)
    assert again.ports_of(guests[1].instance_id) == [guests[1].port]


def test_a_number_that_passes_to_another_port_takes_no_rights_along(own: tuple[Lab, list[FakeGuest]]) -> None:
    lab, guests = own
    me, you = guests[0].port, guests[1].port
    number = lab.network.bridge.ofport(tap_of(you))
    lab.network.bridge.change_flows(add=flows.port_flows(me, number, 1))
    lab.network.port_started(you, guests[1].instance_id)
    cookies = {one.cookie for one in lab.network.bridge.flows() if one.in_port == number}
    assert cookies == {flows.port_cookie(you.id)}


def test_guests_reach_the_world_under_the_hosts_address(own: tuple[Lab, list[FakeGuest]]) -> None:
    lab, guests = own
    for guest in (guests[0], guests[2]):  # two networks with the same range
        run("ip", "-n", guest.namespace, "address", "add", f"{guest.port.address}/20", "dev", "eth0")
        run("ip", "-n", guest.namespace, "route", "add", "default", "via", "10.64.0.1")
        assert lab.pings(guest.namespace, lab.here)
        assert lab.pings(guest.namespace, lab.beyond)


def test_the_world_does_not_reach_guests(own: tuple[Lab, list[FakeGuest]]) -> None:
    lab, guests = own
    run("ip", "-n", guests[0].namespace, "address", "add", "10.64.0.5/20", "dev", "eth0")
    run("ip", "-n", guests[0].namespace, "route", "add", "default", "via", "10.64.0.1")
    names = Names.of(guests[0].port.network.id)
    transit = json.loads(run("ip", "-j", "-n", names.namespace, "address", "show", "up0"))[0]["addr_info"][0]["local"]
    assert lab.pings(names.namespace, "10.64.0.5")
    run("ip", "-n", lab.world, "route", "add", "10.64.0.0/20", "via", lab.here)
    run("ip", "-n", lab.world, "route", "add", f"{transit}/32", "via", lab.here)
    run("ip", "route", "add", "10.64.0.5/32", "via", transit)
    try:
        assert not lab.pings(lab.world, "10.64.0.5")
    finally:
        run("ip", "route", "delete", "10.64.0.5/32")
        run("ip", "-n", lab.world, "route", "delete", "10.64.0.0/20")
        run("ip", "-n", lab.world, "route", "delete", f"{transit}/32")


def test_removing_what_never_was_is_no_error(lab: Lab) -> None:
    before = lab.leftovers()
    lab.network.remove_port(lab.a_port(), lab.an_instance_id())
    assert lab.leftovers() == before


@pytest.mark.parametrize(
    "change", [{"address": "10.65.0.5"}, {"mac": "fa:16:3e"}, {"mac": "x\ndhcp-script=/x"}, {"id": "../x"}]
)
def test_a_port_that_makes_no_sense_is_refused(lab: Lab, change: dict[str, str]) -> None:
    before = lab.leftovers()
    with pytest.raises(DriverError) as caught:
        lab.network.ensure_port(msgspec.structs.replace(lab.a_port(), **change), lab.an_instance_id())
    assert (caught.value.code, caught.value.retryable) == ("command.invalid", False)
    assert lab.leftovers() == before
