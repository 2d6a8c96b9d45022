"""What guests get told on the spot: addresses, gateway, DNS, MTU, routes, and who they are."""

import json
import re

import pytest

from tests.real.hosts.cast import VLAN_DNS, VLAN_ROUTE, Cast
from tests.real.hosts.place import wait_until
from tests.real.hosts.project import Guest

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

V4, V6 = "169.254.169.254", "fd00:ec2::254"
TTL = "X-aws-ec2-metadata-token-ttl-seconds: 60"


def addresses_in(guest: Guest, family: int) -> set[str]:
    """Without link-local ones, with prefix lengths."""
    lines = guest.shell(f"ip -o -{family} addr show dev eth0 scope global").splitlines()
    return {line.split()[3] for line in lines}


def routes_in(guest: Guest, family: int) -> dict[str, str]:
    """Destination → next hop, empty for what is on the link."""
    found = {}
    for line in guest.shell(f"ip -{family} route show").splitlines():
        words = line.split()
        if words and not words[0].startswith(("fe80", "ff00", "unreachable")):
            found[words[0]] = words[words.index("via") + 1] if "via" in words else ""
    return found


def ask(guest: Guest, path: str, *, method: str = "GET", host: str = V4, headers: tuple[str, ...] = ()) -> tuple[int, str]:
    """Status and body of an answer of the metadata service; 0 if there is none."""
    head = [f"{method} /{path} HTTP/1.0", f"Host: {host}", *headers, "Content-Length: 0", "", ""]
    text = "\\r\\n".join(head)
    # Not by BusyBox' wget: it neither knows other methods than GET and POST, nor shows what came with an error.
    answer = guest.shell.ask(f"printf '{text}' | timeout 10 nc {host} 80")[1]
    top, _, body = answer.partition("\n\n")
    status = re.match(r"HTTP/1\.\d (\d+)", top)
    return (int(status[1]), body.removesuffix("\n")) if status else (0, answer)


def get(guest: Guest, path: str, *, host: str = V4, headers: tuple[str, ...] = ()) -> str:
    status, body = ask(guest, path, host=host, headers=headers)
    assert status == 200, f"{guest.name}: /{path}: {status} {body}"
    return body


def identity(guest: Guest, *headers: str, host: str = V4) -> tuple[str, str]:
    """Id and name, as it is told them."""
    told = json.loads(get(guest, "openstack/latest/meta_data.json", host=host, headers=headers))
    return told["uuid"], told["name"]


def test_a_guest_has_exactly_its_address_by_dhcp(cast: Cast) -> None:
    for guest in (cast.r1, cast.r2, cast.r3, cast.b1, cast.b2):
        assert addresses_in(guest, 4) == {f"{guest.address(4)}/20"}
    for guest in (cast.v1, cast.v2, cast.w2):
        assert addresses_in(guest, 4) == {f"{guest.address(4)}/24"}


def test_a_guest_has_exactly_its_address_by_dhcpv6(cast: Cast) -> None:
    for guest in (cast.r1, cast.r3, cast.b2):
        wait_until(lambda guest=guest: addresses_in(guest, 6), f"{guest.name} has an IPv6 address", 60)  # type: ignore[misc]
        assert {each.partition("/")[0] for each in addresses_in(guest, 6)} == {guest.address(6)}


def test_where_addresses_are_made_of_the_mac_the_database_knows_which(cast: Cast) -> None:
    for guest in (cast.v1, cast.v2, cast.w2):
        wait_until(lambda guest=guest: addresses_in(guest, 6), f"{guest.name} has an IPv6 address", 60)  # type: ignore[misc]
        assert addresses_in(guest, 6) == {f"{guest.address(6)}/64"}


def test_gateways_are_those_of_the_subnets(cast: Cast) -> None:
    assert routes_in(cast.r1, 4)["default"] == "10.64.0.1"
    assert routes_in(cast.v1, 4)["default"] == "10.20.0.1"
    for guest in (cast.r1, cast.v1):
        assert routes_in(guest, 6)["default"].startswith("fe80:")


def test_the_name_server_is_the_subnets_own_or_else_the_host(cast: Cast) -> None:
    servers = {
        guest: [line.split()[1] for line in guest.shell("cat /etc/resolv.conf").splitlines() if line.startswith("nameserver")]
        for guest in (cast.r1, cast.v1)
    }
    assert "10.64.0.1" in servers[cast.r1]
    assert VLAN_DNS in servers[cast.v1]
    assert "10.20.0.1" not in servers[cast.v1]


def test_names_of_instances_are_known(cast: Cast) -> None:
    text = cast.r1.shell(f"nslookup {cast.r2.name} 10.64.0.1")
    assert cast.r2.address(4) in text
    assert not cast.r1.shell.succeeds(f"nslookup {cast.b2.name} 10.64.0.1")


def test_the_mtu_leaves_room_for_the_tunnel(cast: Cast) -> None:
    assert cast.r1.shell("cat /sys/class/net/eth0/mtu").strip() == "1450"
    assert cast.v1.shell("cat /sys/class/net/eth0/mtu").strip() == "1500"
    # The largest packet, from one host to another.
    assert cast.r1.shell.succeeds(f"ping -c 1 -W 10 -s {1450 - 28} {cast.r2.address()}")
    assert cast.v1.shell.succeeds(f"ping -c 1 -W 10 -s {1500 - 28} {cast.v2.address()}")


def test_host_routes_are_told(cast: Cast) -> None:
    assert routes_in(cast.v1, 4)[VLAN_ROUTE["destination"]] == VLAN_ROUTE["nexthop"]
    assert VLAN_ROUTE["destination"] not in routes_in(cast.r1, 4)


@pytest.mark.parametrize("host", [V4, V6])
def test_metadata_tells_each_guest_who_it_is(cast: Cast, host: str) -> None:
    for guest in cast.guests:
        assert identity(guest, host=host) == (guest.id, guest.name)


def test_metadata_has_the_paths_of_ec2(cast: Cast) -> None:
    for guest in (cast.r1, cast.b1, cast.v2):
        assert get(guest, "latest/meta-data/local-ipv4") == guest.address(4)
        assert get(guest, "latest/meta-data/mac") == guest.mac()
        assert "instance-id" in get(guest, "latest/meta-data/").split()
        assert get(guest, "latest/meta-data/hostname").startswith(guest.name)


def test_metadata_of_a_session_needs_its_token(cast: Cast) -> None:
    status, token = ask(cast.r1, "latest/api/token", method="PUT", headers=(TTL,))
    assert (status, bool(token)) == (200, True)
    path, session = "latest/meta-data/instance-id", f"X-aws-ec2-metadata-token: {token}"
    assert get(cast.r1, path, headers=(session,)) == get(cast.r1, path)
    assert ask(cast.r1, path, headers=("X-aws-ec2-metadata-token: wrong",))[0] == 401
    # A token is its guest's own.
    assert ask(cast.r2, path, headers=(session,))[0] == 401


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Instance-ID", "X-Real-IP", "Forwarded"])
def test_metadata_believes_no_header(cast: Cast, header: str) -> None:
    lie = {"X-Instance-ID": cast.r2.id, "Forwarded": f"for={cast.r2.address()}"}.get(header, cast.r2.address())
    assert identity(cast.r1, f"{header}: {lie}") == (cast.r1.id, cast.r1.name)


def test_a_proxy_that_passes_requests_on_gets_no_token(cast: Cast) -> None:
    assert ask(cast.r1, "latest/api/token", method="PUT", headers=(TTL, "X-Forwarded-For: 198.51.100.9"))[0] == 403


def test_metadata_of_another_guest_is_out_of_reach_for_one_that_takes_its_address(cast: Cast) -> None:
    other = cast.r3.address()
    before = cast.r1.shell(f"ip route show {V4}").strip()
    try:
        cast.r1.shell(f"ip addr add {other}/32 dev eth0; ip route replace {V4} via 10.64.0.1 src {other}")
        assert ask(cast.r1, "openstack/latest/meta_data.json")[0] == 0
    finally:
        cast.r1.shell(f"ip route del {V4}; {f'ip route add {before};' if before else ''} ip addr del {other}/32 dev eth0")
    assert identity(cast.r1) == (cast.r1.id, cast.r1.name)


def test_metadata_is_not_reached_from_anywhere_else(cast: Cast) -> None:
    assert not cast.yard.outside.reaches(V4, 80)
    assert not cast.yard.hosts[0].reaches(V4, 80)


def test_a_card_is_plugged_into_a_running_guest_and_taken_out_again(cast: Cast) -> None:
    guest = cast.r3
    port = guest.attach(cast.red_vlan["id"])
    try:
        address = next(each["address"] for each in guest.facts()["addresses"] if each["port_id"] == port and each["family"] == 4)
        wait_until(lambda: f"{address}/24" in guest.shell.ask("ip -o -4 addr show dev eth1")[1], "the second card has its address", 60)
        assert guest.shell.succeeds(f"ping -c 3 -W 1 -I eth1 {cast.v1.address()}")
        cast.v2.comes_to_ping(address)
    finally:
        guest.detach(port)
    wait_until(lambda: not guest.shell.succeeds("test -e /sys/class/net/eth1"), "the card is gone", 60)
    assert port not in {each["port_id"] for each in guest.facts()["addresses"]}
    cast.r1.comes_to_ping(guest.address())
    guest.comes_to_ping(cast.v1.address())
