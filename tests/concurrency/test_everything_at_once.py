"""Users, schedulers, hosts, conductors and sweepers at once until each did enough; then everything is counted again."""

import contextlib
import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from django.conf import settings
from django.db import OperationalError

from apps.common.errors import InvalidState, NotFound
from apps.compute.models import Instance
from apps.compute.services import place
from apps.operations.models import Operation
from apps.operations.services import intake, sweep
from contracts import topics
from tests.support.audit import assert_consistent, assert_nothing_is_claimed
from tests.support.cloud import Cloud
from tests.support.fixtures import Time
from tests.support.hosts import Command, FakeHost
from tests.support.postgres import Deadlocks
from tests.support.threads import Worker, together, unexpected, until_enough

ENOUGH = 10  # of every kind of deed, however slow the machine is


class World:
    """What the threads share. A host is one process, so one thread at a time acts for it."""

    def __init__(self, cloud: Cloud, seed: int) -> None:
        self.cloud = cloud
        self.seed = seed
        self.locks = {host.id: threading.Lock() for host in cloud.hosts}
        self.schedulers = [Worker(place.place) for _ in range(2)]
        self.conductors = [Worker(intake.take_in_many, most=200) for _ in range(2)]
        self.done = {"created": 0, "deleted": 0, "acted": 0, "answered": 0}
        self.going = until_enough(self.done, ENOUGH)

    def finish(self) -> None:
        for worker in (*self.schedulers, *self.conductors):
            worker.finish()

    def user(self, number: int) -> None:
        chosen = random.Random(f"{self.seed}/{number}")
        while self.going():
            living = list(Instance.objects.exclude(state="DELETED").values_list("pk", flat=True))
            try:
                if len(living) < 40 and chosen.random() < 0.5:
                    self.cloud.create(count=chosen.choice((1, 1, 5)))
                    self.done["created"] += 1
                elif living:
                    instance = Instance(pk=chosen.choice(living))
                    if chosen.random() < 0.4:
                        self.cloud.delete(instance)
                        self.done["deleted"] += 1
                    else:
                        self.cloud.power(instance, chosen.choice(("stop", "start", "reboot_hard")))
                        self.done["acted"] += 1
            except (NotFound, InvalidState):
                pass  # somebody else was first

    def scheduler(self, number: int) -> None:
        chosen = random.Random(f"{self.seed}/scheduler/{number}")
        while self.going():
            messages = self.cloud.bus.take_queue(topics.SCHEDULER)
            for message in messages:
                self.schedulers[number].put(message.items)
                if chosen.random() < 0.2:  # arrives at the other one, too
                    self.schedulers[1 - number].put(message.items)
            time.sleep(0.002)

    def hosts(self, number: int) -> None:
        """Obeys, fails, repeats, forgets and reorders."""
        chosen = random.Random(f"{self.seed}/hosts/{number}")
        while self.going():
            for host in self.cloud.hosts:
                with self.locks[host.id]:
                    wires = [wire for command in host.commands() for wire in self._answers(host, command, chosen)]
                chosen.shuffle(wires)
                if wires:
                    self.conductors[number % 2].put((topics.REPORT, wire) for wire in wires)
                    self.done["answered"] += len(wires)
                if chosen.random() < 0.05:
                    with self.locks[host.id]:
                        host.observation()
            time.sleep(0.002)

    def _answers(self, host: FakeHost, command: Command, chosen: random.Random) -> list[str]:
        luck = chosen.random()
        if luck < 0.1:
            return []  # lost; the sweep brings it again
        wire = host.obey(command, fails=luck < 0.2 and command.topic == topics.COMPUTE_BUILD)
        return [wire, wire] if luck < 0.4 else [wire]

    def sweeper(self) -> None:
        while self.going():
            # The ticker waits for its next round when it was the one that PostgreSQL chose to end.
            with contextlib.suppress(OperationalError):
                sweep.sweep(most=20)
            time.sleep(0.01)


def at_rest(cloud: Cloud, time_machine: Time) -> None:
    """Let the sweep bring back what was lost, until nothing is open any more."""
    for _ in range(100):
        cloud.run()
        if not Operation.objects.filter(next_at__isnull=False).exists():
            return
        time_machine.forward(31)
        sweep.sweep(most=1000)
    raise AssertionError(list(Operation.objects.filter(next_at__isnull=False).values_list("kind", "state", "step")))


@pytest.mark.parametrize("seed", [1, 2])
def test_after_a_few_seconds_of_everything_all_counts_are_right(
    cloud: Cloud, time_machine: Time, deadlocks: Deadlocks, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(settings, "ENV", replace(settings.ENV, resend_s=0.3, build_timeout_s=3600.0))
    for _ in range(5):
        cloud.host(MEMORY_MB=512 * 6)
    world = World(cloud, seed)
    calls: list[Callable[[], None]] = [
        *(partial(world.user, n) for n in range(3)), *(partial(world.scheduler, n) for n in range(2)),
        *(partial(world.hosts, n) for n in range(2)), world.sweeper,
    ]
    results = together(calls)
    world.finish()
    assert unexpected(results) == [], deadlocks.details()
    assert min(world.done.values()) > ENOUGH, world.done
    at_rest(cloud, time_machine)
    assert_consistent()
    assert {i.state for i in Instance.objects.all()} <= {"ACTIVE", "STOPPED", "ERROR", "DELETED"}
    for host in cloud.hosts:
        ours = {str(pk) for pk in Instance.objects.filter(host_id=host.id).values_list("pk", flat=True)}
        assert set(host.domains) <= ours, "a host has what nobody knows of"
    for instance in Instance.objects.exclude(state="DELETED"):
        cloud.delete(instance)
    at_rest(cloud, time_machine)
    assert not Instance.objects.exclude(state="DELETED").exists()
    assert all(host.domains == {} for host in cloud.hosts)
    assert_nothing_is_claimed()
    print(f"deadlocks ended by PostgreSQL: {deadlocks()}; {world.done}")
    assert deadlocks() <= 5, deadlocks.details()
