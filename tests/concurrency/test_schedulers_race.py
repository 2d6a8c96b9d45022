"""Many schedulers on one fleet: nothing is overcommitted, nobody is refused while there is a place, and all counts are right."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F

from apps.compute.models import Instance
from apps.compute.services import place
from apps.placement import selectors
from apps.placement.models import Allocation, Inventory
from apps.scheduler.feed import Feed
from apps.scheduler.models import Decision, GroupMember, ServerGroup
from apps.scheduler.services import choose, groups
from tests.support.audit import assert_consistent
from tests.support.cloud import Cloud
from tests.support.postgres import Deadlocks, PrivatePostgres
from tests.support.schedulers import SMALLEST, Scheduler, room_for, total
from tests.support.threads import Worker, errors, together

SCHEDULERS, HOSTS = 8, 100


def fleet(cloud: Cloud) -> None:
    """Each host has places for 24 of the smallest."""
    for number in range(HOSTS):
        cloud.host(f"host-{number}", VCPU=6, MEMORY_MB=24 * 512, DISK_GB=24 * 5)


def assert_full() -> None:
    assert room_for(SMALLEST) == []
    assert_counts_are_right()


def assert_counts_are_right() -> None:
    assert selectors.mismatches() == []
    assert selectors.empty_consumers() == set()
    assert not Inventory.objects.filter(used__gt=F("capacity")).exists()


def work(phase: Callable[[str], list[Counter[str]]], rounds: int) -> Counter[str]:
    """Fill, empty and churn so often; what happened in all."""
    counts: Counter[str] = Counter()
    for _ in range(rounds):
        for name in ("fill", "empty", "churn"):
            counts = total(phase(name))
            assert_full() if name == "fill" else assert_counts_are_right()
    counts = total(phase("fill"))
    assert_full()
    assert counts["placed"] - counts["released"] == Allocation.objects.values("consumer").distinct().count()
    assert counts["refused though there was room"] == 0
    return counts


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("rounds", "least"), [(1, 1500), pytest.param(11, 10_000, marks=pytest.mark.slow)], ids=["short", "long"])
def test_eight_schedulers_fill_a_hundred_hosts_to_the_last_place_and_refill_them(
    cloud: Cloud, deadlocks: Deadlocks, rounds: int, least: int, record_property: Callable[[str, object], None]
) -> None:
    fleet(cloud)
    schedulers = [(Scheduler(seed), Feed()) for seed in range(SCHEDULERS)]

    def run(phase: str) -> list[Counter[str]]:
        results = together([partial(act, *each, phase) for each in schedulers], patience_s=600)
        assert errors(results) == [], deadlocks.details()
        return [scheduler.counts for scheduler, _ in schedulers]

    def act(scheduler: Scheduler, feed: Feed, phase: str) -> None:
        choose.feed.own = feed  # type: ignore[attr-defined]  # of this thread
        getattr(scheduler, phase)()

    counts = work(run, rounds)
    assert counts["decisions"] >= least, counts
    anew = Feed().current().facts()
    assert all(feed.current(surely=True).facts() == anew for _, feed in schedulers)
    assert deadlocks() == 0, deadlocks.details()
    assert Decision.objects.count() == counts["decisions"]
    record_property("figures of schedulers", dict(counts))
    print(dict(counts))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_eight_schedulers_as_processes_do_the_same(cloud: Cloud, postgres: PrivatePostgres, deadlocks: Deadlocks) -> None:
    fleet(cloud)
    url = f"postgresql://{connection.settings_dict['USER']}@/{connection.settings_dict['NAME']}?host={postgres.folder}"
    env = {**os.environ, "CLOUDSITE_DATABASE_URL": url, "CLOUDSITE_VAR": str(settings.ENV.var)}
    root = Path(__file__).parents[2]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.schedulers", str(seed)], cwd=root, env=env, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for seed in range(SCHEDULERS)
    ]

    def run(phase: str) -> list[Counter[str]]:
        for process in processes:
            process.stdin.write(f"{phase}\n")
            process.stdin.flush()
        return [Counter(json.loads(process.stdout.readline())) for process in processes]

    try:
        counts = work(run, 11)
        for process in processes:
            process.communicate("end\n", timeout=30)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert counts["decisions"] >= 10_000, counts
    assert deadlocks() == 0, deadlocks.details()
    print(dict(counts))


# The whole way, with operations, ports and commands.


def test_schedulers_that_get_one_batch_each_fill_the_fleet_exactly(cloud: Cloud, deadlocks: Deadlocks) -> None:
    for _ in range(6):
        cloud.host(MEMORY_MB=512 * 5)
    ids = [str(operation.pk) for operation in cloud.create(count=48).operations]
    workers = [Worker(place.place) for _ in range(SCHEDULERS)]
    results = together([partial(worker.put, ids[n::SCHEDULERS]) for n, worker in enumerate(workers)])
    assert errors(results) == []
    for worker in workers:
        worker.finish()
    place.place(ids)  # who lost every race waits for the sweep
    assert Instance.objects.filter(host_id__isnull=False).count() == 30
    assert Instance.objects.filter(state="ERROR").count() == 18
    assert {each.error["code"] for each in Instance.objects.filter(state="ERROR")} == {"scheduler.no_host"}
    assert_consistent()
    assert deadlocks() == 0, deadlocks.details()


def members(cloud: Cloud, policy: str, count: int) -> list[str]:
    group = groups.create(actor=cloud.actor, name="members", policy=policy)
    made = cloud.create(count=count, server_group_id=group.pk)
    return [str(operation.pk) for operation in made.operations]


@pytest.mark.timeout(300)
def test_two_hundred_members_of_an_anti_affinity_group_at_once_get_two_hundred_hosts(cloud: Cloud, deadlocks: Deadlocks) -> None:
    for number in range(200):
        cloud.host(f"host-{number}")
    ids = members(cloud, "anti-affinity", 200)
    workers = [Worker(place.place, most=30) for _ in range(SCHEDULERS)]
    results = together([partial(worker.put, ids[n::SCHEDULERS]) for n, worker in enumerate(workers)])
    assert errors(results) == []
    for worker in workers:
        worker.finish()
    assert Instance.objects.filter(host_id=None).count() == 0
    assert Instance.objects.values("host_id").distinct().count() == 200
    assert GroupMember.objects.values("host_id", "seat").distinct().count() == 200
    assert_consistent()
    print(f"deadlocks ended by PostgreSQL: {deadlocks()}")


def test_members_of_an_affinity_group_that_are_placed_at_once_are_on_one_host(cloud: Cloud) -> None:
    for _ in range(10):
        cloud.host()
    ids = members(cloud, "affinity", 16)
    results = together([partial(place.place, [each]) for each in ids])
    assert errors(results) == []
    assert Instance.objects.filter(host_id=None).count() == 0
    assert Instance.objects.values("host_id").distinct().count() == 1
    with transaction.atomic():
        assert list(groups.lock([ServerGroup.objects.get().pk]).popitem()[1].hosts.values()) == [16]
