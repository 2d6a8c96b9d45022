"""Addresses as guests get them: a real DHCP client, a kernel that hears routers, and DHCPv6 packet by packet."""

import json
import signal
import socket
import struct
import subprocess
from typing import Any

import msgspec
import pytest

from agent.drivers.openvswitch import names
from agent.drivers.openvswitch.services import dhcp6
from agent.drivers.openvswitch.services.frames import link_local
from agent.drivers.openvswitch.services.inside import inside
from agent.drivers.openvswitch.services.plan import METADATA, METADATA6
from tests.real.segment import Client, unavailable
from tests.real.services.world import World, routes6, until

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(400),
    pytest.mark.skipif(bool(unavailable()), reason=unavailable()),
]


def pairs(lease: dict[str, str]) -> set[tuple[str, str]]:
    words = lease["staticroutes"].split()
    return set(zip(words[::2], words[1::2], strict=True))


# DHCP.


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
    assert world.segment.client(world.mute).gets_no_lease()
    stranger = msgspec.structs.replace(world.web, mac="fa:16:3e:00:00:01")
    assert world.segment.client(stranger).gets_no_lease()


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
    assert world.segment.client(old).gets_no_lease()
    world.converge(world.state(4))


# IPv6.


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


def ask6(client: Client, kind: int, *options: tuple[int, bytes], client_id: bytes = b"\0\4duid", within_s: float = 20.0) -> Any:
    """(message type, [(option, value)]) of the answer, None when there is none."""

    def ask() -> bytes:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as wire:
            wire.settimeout(within_s)
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
    assert ask6(web, 3, IA, (2, b"\0\3\0\1another"), within_s=1.5) is None
