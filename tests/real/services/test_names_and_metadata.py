"""Names of a routing domain, and metadata: each guest reads its own and nobody else's, whatever it says or holds open."""

import contextlib
import json
import os
import socket

import pytest

from agent.drivers.command import run
from agent.drivers.openvswitch.services.inside import inside
from agent.drivers.openvswitch.services.plan import METADATA, METADATA6
from agent.metadata import server as metadata
from tests.real.segment import Client, unavailable
from tests.real.services.world import SECRET, World, routes6, servers, until

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(400),
    pytest.mark.skipif(bool(unavailable()), reason=unavailable()),
]

TOKEN_TTL, TOKEN = "X-aws-ec2-metadata-token-ttl-seconds", "X-aws-ec2-metadata-token"


# Names.


def lookup(client: Client, name: str, server: str) -> str:
    with contextlib.suppress(Exception):
        return client.run("busybox", "nslookup", name, server)
    return ""


def test_names_of_the_whole_routing_domain_are_known_and_only_those(
    world: World, web: Client, db: Client, lone: Client
) -> None:
    until(lambda: "10.64.0.5" in lookup(web, "web-server.cloud.internal", "10.64.0.1"))
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


def test_a_name_server_that_was_killed_is_started_again_and_it_is_told(world: World, web: Client) -> None:
    namespace = world.segment.gateway_namespace(world.plain.id)
    pid = servers(world)[namespace]
    assert pid is not None
    os.kill(pid, 9)
    until(lambda: servers(world)[namespace] is None)
    outcome = world.services.converge(world.desired)
    assert outcome.mended == [f"the name server of {namespace} had ended"]
    until(lambda: "10.64.0.5" in lookup(web, "web-server.cloud.internal", "10.64.0.1"))
    assert world.services.converge(world.desired).mended == []


# Metadata.


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
            held.append(socket.create_connection((METADATA, 80), timeout=20))
            held[-1].sendall(b"GET / HT")
        return held

    held = inside(web.namespace, hold)
    try:
        assert db.http("/latest/meta-data/instance-id")[0] == 200
        until(lambda: sum(_is_closed(one) for one in held) >= 5)
        # The others are closed as well once their time is over.
        until(lambda: all(_is_closed(one) for one in held), within_s=metadata.HEAD_TIMEOUT_S + 30)
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
