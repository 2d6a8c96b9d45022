"""Several tellers at once, while networks change, messages are lost and the broker is wiped: every host knows what it should."""

import random
import threading
from functools import partial

import pytest

from apps.common import clock
from apps.network.models import Change, HostNetwork
from apps.network.services.tell import tell
from contracts import topics
from tests.support.bus import FakeBus
from tests.support.fixtures import Time
from tests.support.telling import Site, World, afresh, knows, settle
from tests.support.threads import errors, together

pytestmark = pytest.mark.django_db(transaction=True)

TELLERS, CHANGERS, STEPS, HOSTS = 3, 3, 40, 6


@pytest.fixture
def sites(bus: FakeBus) -> list[Site]:
    made = [Site(bus).start() for _ in range(HOSTS)]
    settle(made)
    return made


def worlds(sites: list[Site]) -> list[World]:
    """Each changer has a project of its own, on the same hosts."""
    made = []
    for seed in range(CHANGERS):
        world = World(sites, seed=seed)
        for number in range(3):
            world.network(f"10.{seed}.{number}.0/24")
            world.group()
        world.attach(world.router(), world.networks[0])
        made.append(world)
    return made


def change(world: World) -> None:
    for _ in range(STEPS):
        world.random.choice(world.steps())()


def keep_telling(done: threading.Event) -> None:
    while not done.is_set():
        tell(most=random.choice([1, 5, 500]))
        done.wait(0.005)


def run_all(sites: list[Site], done: threading.Event, *more: object) -> None:
    """Everybody at once; the tellers stop when the changers are done."""
    changers = [partial(change, world) for world in worlds(sites)]
    left = threading.Semaphore(0)

    def watched(call: partial[None]) -> None:
        try:
            call()
        finally:
            left.release()

    def finish() -> None:
        for _ in changers:
            left.acquire(timeout=60)
        done.set()

    calls = [*(partial(watched, each) for each in changers), *[partial(keep_telling, done)] * TELLERS, finish, *more]
    assert not errors(together(calls))  # type: ignore[arg-type]


def test_tellers_at_once_tell_each_host_everything_in_one_line_of_generations(sites: list[Site]) -> None:
    run_all(sites, threading.Event())
    for site in sites:
        # Messages of two tellers may overtake each other on the way; by generation they are one line.
        waiting = site.bus.take_queue(topics.network_queue(site.name))
        bodies = [site._open(message.task, wire) for message in waiting for wire in message.items]
        opened = sorted((body for body in bodies if body is not None), key=lambda body: body.generation)
        assert len({each.generation for each in opened}) == len(opened)
        for each in opened:
            site._apply(each)
        assert site.asked == 0

    settle(sites)

    known = [knows(site) for site in sites]
    assert any(each["ports"] for each in known)
    assert not Change.objects.exists()
    assert known == [afresh(site) for site in sites]


def test_hosts_find_out_whatever_was_lost_while_everything_moved(sites: list[Site], bus: FakeBus, time_machine: Time) -> None:
    done = threading.Event()

    def vandalise() -> None:
        while not done.wait(0.02):
            bus.wipe()
            bus.down = not bus.down
        bus.down = False

    def take() -> None:
        while not done.wait(0.01):
            for site in sites:
                site.take()

    run_all(sites, done, vandalise, take)
    bus.down = False
    for _ in range(3):
        time_machine.forward(20)
        for site in sites:
            site.heartbeat()
        settle(sites)

    assert [knows(site) for site in sites] == [afresh(site) for site in sites]
    assert all(row.full_at and row.full_at <= clock.now() for row in HostNetwork.objects.all())


def test_tellers_leave_each_others_changes_alone(sites: list[Site]) -> None:
    world = World(sites)
    network = world.network()
    for site in sites:
        world.port(network, site)

    sent = together([tell] * 4)

    assert not errors(sent)
    assert sum(sent) == len(sites)
    settle(sites)
    assert [len(site.desired.ports) for site in sites] == [len(sites)] * len(sites)
