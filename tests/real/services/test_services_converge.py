"""Devices made anew, missing networks, an agent's next life, a guest that floods: who is right is served all the same."""

import contextlib
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from agent.drivers.openvswitch import names
from agent.drivers.openvswitch.services import Services
from agent.drivers.openvswitch.services.inside import inside
from agent.network.desired import Desired
from contracts.network import v2 as network
from tests.real.segment import Client, unavailable
from tests.real.services.world import World, an_id, servers, until

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(400),
    pytest.mark.skipif(bool(unavailable()), reason=unavailable()),
]


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
    assert web.gets_no_lease()
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
