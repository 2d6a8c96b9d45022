"""The ways out and in: source NAT, and floating IPs that answer from wherever their guest is."""

import contextlib
import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from apps.network import builtin
from tests.real.hosts.cast import Cast
from tests.real.hosts.ground import GATEWAY4, PUBLIC4, WORLD4
from tests.real.hosts.host import PHYSICAL
from tests.real.hosts.place import Place, wait_until
from tests.real.hosts.project import Guest

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]

# Promised are three seconds; how long it took is shown at the end of the run, and only this fails, which holds on a busy machine too.
WITHIN_S = 15.0
POOL = ("203.0.113.100", "203.0.113.199")
ROUTERS, NETWORKS = "apps.network.services.routers", "apps.network.services.networks"
Record = Callable[[str, object], None]


class Listener:
    """A TCP port in a place that notes who calls, and tells them."""

    def __init__(self, place: Place, address: str, port: int) -> None:
        self.callers: list[str] = []
        self._socket = place.new_socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((address, port))
        self._socket.listen(16)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, (address, *_) = self._socket.accept()
                self.callers.append(address)
                caller.sendall(address.encode())
                caller.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture(scope="module")
def world(cast: Cast) -> Iterator[Listener]:
    listener = Listener(cast.yard.outside, WORLD4, 80)
    yield listener
    listener.close()


def seen_as(guest: Guest, *, timeout_s: float = 10.0) -> str:
    """The address under which the world sees a guest; empty if it does not."""
    return guest.shell.ask(f"timeout {timeout_s} nc {WORLD4} 80")[1].strip()


def test_guests_leave_under_their_hosts_address_where_nobody_has_said_otherwise(cast: Cast, world: Listener) -> None:
    for guest in (cast.r1, cast.r3, cast.b2, cast.v2):
        assert seen_as(guest) == guest.host.address
        assert guest.pings(WORLD4, timeout_s=10)


def test_floating_ips_of_the_hosts_own_way_out_are_reached_by_the_guests_host(cast: Cast, world: Listener) -> None:
    """There are none unless an operator gives it a range, and whoever wants to reach them needs a route to the host."""
    yard, outside = cast.yard, cast.yard.outside
    subnet = yard.call(
        "apps.network.services.subnets:create", network_id=str(builtin.OUTSIDE_ID), cidr="198.18.7.0/26", gateway=None, dhcp=False
    )
    rule = cast.blue.allow(cast.b1.groups()[0], protocol="icmp", cidr="0.0.0.0/0")
    made = cast.blue.call("floating:create", network_id=str(builtin.OUTSIDE_ID), port_id=cast.b1.port())
    try:
        outside.run("ip", "route", "replace", made["address"], "via", cast.b1.host.address)
        answers(cast, made["address"])
        assert seen_as(cast.b1) == made["address"]
        cast.blue.call("floating:associate", floating_ip_id=made["id"], port_id=cast.b2.port())
        outside.run("ip", "route", "replace", made["address"], "via", cast.b2.host.address)
        answers(cast, made["address"])
        assert seen_as(cast.b2) == made["address"]
    finally:
        outside.run("ip", "route", "flush", made["address"])
        cast.blue.call("floating:delete", floating_ip_id=made["id"])
        cast.blue.forbid(rule)
        yard.call("apps.network.services.subnets:delete", subnet_id=subnet["id"])
    wait_until(lambda: seen_as(cast.b1) == cast.b1.host.address, "it leaves as before", WITHIN_S)


def test_guests_do_not_reach_what_their_host_itself_offers(cast: Cast) -> None:
    host = cast.yard.hosts[0]
    own = Listener(host, "0.0.0.0", 7100)
    try:
        assert cast.yard.outside.reaches(host.address, 7100, timeout_s=10)
        assert not cast.r1.reaches(host.address, 7100, timeout_s=1)
        assert not cast.r1.reaches("10.64.0.1", 7100, timeout_s=1)
    finally:
        own.close()


def test_the_world_does_not_reach_guests_by_their_own_addresses(cast: Cast) -> None:
    outside = cast.yard.outside
    address, host = cast.r1.address(), cast.r1.host.address
    outside.run("ip", "route", "add", f"{address}/32", "via", host)
    try:
        assert not outside.pings(address)
    finally:
        outside.run("ip", "route", "delete", f"{address}/32")


@pytest.fixture(scope="module")
def public(cast: Cast) -> Iterator[dict[str, Any]]:
    """A provider's network, flat on the wire, which red's router has as its way out while these tests run."""
    yard, router = cast.yard, cast.red_net["router_id"]
    before = yard.rows("Router", id=router)[0]["external_network_id"]
    made = yard.call(f"{NETWORKS}:create", name="public", kind="flat", physical_network=PHYSICAL, external=True)
    yard.call(
        "apps.network.services.subnets:create", network_id=made["id"], cidr=PUBLIC4, gateway=GATEWAY4, pools=[POOL], dhcp=False,
    )
    cast.red.call("routers:update", router_id=router, external_network_id=made["id"])
    default = cast.r1.groups()[0]
    rules = [cast.red.allow(default, protocol="icmp", cidr="0.0.0.0/0"), cast.red.allow(default, protocol="tcp", first=8080, last=8080, cidr="0.0.0.0/0")]
    yield made
    for row in yard.rows("FloatingIP", network_id=made["id"]):
        cast.red.call("floating:delete", floating_ip_id=row["id"])
    for rule in rules:
        cast.red.forbid(rule)
    cast.red.call("routers:update", router_id=router, external_network_id=before)
    yard.call(f"{NETWORKS}:delete", network_id=made["id"])


def floats(cast: Cast, public: dict[str, Any], guest: Guest) -> dict[str, Any]:
    return dict(cast.red.call("floating:create", network_id=public["id"], port_id=guest.port()))


def answers(cast: Cast, address: str) -> float:
    """Seconds until the world gets an answer."""
    patience = itertools.chain([0.2] * 10, itertools.repeat(2.0))  # longer on a busy machine
    took = wait_until(lambda: cast.yard.outside.pings(address, timeout_s=next(patience)), f"{address} answers the world", WITHIN_S, every_s=0.01)
    print(f"{address} answers after {took:.2f} s")
    return took


@pytest.fixture
def floating(cast: Cast, public: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A floating IP of `r1`, which answers."""
    made = floats(cast, public, cast.r1)
    answers(cast, made["address"])
    yield made
    cast.red.call("floating:delete", floating_ip_id=made["id"])


def test_a_router_with_a_providers_network_lets_guests_out_there(cast: Cast, public: dict[str, Any], world: Listener) -> None:
    seen: dict[str, str] = {}

    def all_out() -> bool:
        seen.update({guest.name: seen_as(guest) for guest in (cast.r1, cast.r2, cast.v2)})
        return all(address.startswith("203.0.113.") for address in seen.values())

    wait_until(all_out, "all go out by the provider's network", WITHIN_S)
    # One address for each host, whoever it is that goes out.
    assert seen["r2"] == seen["v2"] != seen["r1"]
    assert seen_as(cast.b1) == cast.b1.host.address


def test_a_floating_ip_answers_the_world_within_three_seconds(cast: Cast, public: dict[str, Any], world: Listener, record_property: Record) -> None:
    cast.r1.serve(8080)
    made = floats(cast, public, cast.r1)
    record_property("promised in 3 s: a floating IP answers", round(answers(cast, made["address"]), 2))
    assert cast.yard.outside.reaches(made["address"], 8080, timeout_s=10)
    assert not cast.yard.outside.reaches(made["address"], 8081)
    assert seen_as(cast.r1) == made["address"]
    assert cast.r2.pings(made["address"], timeout_s=10)
    cast.red.call("floating:delete", floating_ip_id=made["id"])
    wait_until(lambda: not cast.yard.outside.pings(made["address"], timeout_s=0.2), "it no longer answers", WITHIN_S)


def test_a_floating_ip_moves_to_a_guest_on_another_host(cast: Cast, floating: dict[str, Any], world: Listener) -> None:
    for guest in (cast.r2, cast.v1, cast.r3, cast.r1):
        cast.red.call("floating:associate", floating_ip_id=floating["id"], port_id=guest.port())
        wait_until(lambda guest=guest: seen_as(guest, timeout_s=2) == floating["address"], f"it is {guest.name}'s", WITHIN_S)  # type: ignore[misc]
        answers(cast, floating["address"])


def test_a_floating_ip_survives_the_agents_restart(cast: Cast, floating: dict[str, Any]) -> None:
    outside, host = cast.yard.outside, cast.r1.host
    cast.r1.serve(8080)
    with outside.connect(floating["address"], 8080, timeout_s=30) as connection:
        before = cast.yard.told(host)
        host.kill_agent()
        assert all(outside.pings(floating["address"], timeout_s=10) for _ in range(5))
        host.start_agent_again()
        cast.yard.wait_told(host, since=before)
        assert all(outside.pings(floating["address"], timeout_s=10) for _ in range(5))
        connection.sendall(b"still here\n")
        assert connection.recv(100) == b"still here\n"


def test_without_its_rule_a_floating_ip_is_as_closed_as_the_guest(cast: Cast, floating: dict[str, Any]) -> None:
    before, closed = cast.r1.groups(), cast.red.group("closed")
    cast.r1.set_groups(closed)
    try:
        wait_until(lambda: not cast.yard.outside.pings(floating["address"], timeout_s=0.3), "it does not answer", WITHIN_S)
    finally:
        cast.r1.set_groups(*before)
        cast.red.call("groups:delete", group_id=closed)
    answers(cast, floating["address"])
