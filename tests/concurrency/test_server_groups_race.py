"""Server groups while members come at once, through several schedulers: apart means apart, together means together."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction

from apps.common.errors import InvalidState, NotFound
from apps.compute.models import Instance
from apps.compute.services import place
from apps.operations.services import sweep
from apps.scheduler import selectors as scheduler
from apps.scheduler.explain import kept
from apps.scheduler.models import Decision, GroupMember, ServerGroup
from apps.scheduler.services import groups
from contracts import topics
from tests.concurrency.test_everything_at_once import ENOUGH, World, at_rest
from tests.support.audit import assert_consistent, assert_nothing_is_claimed
from tests.support.cloud import Cloud, operation_of
from tests.support.fixtures import Time
from tests.support.postgres import Deadlocks
from tests.support.threads import Worker, errors, together, unexpected

SCHEDULERS = 4


def refusing(instance: Instance) -> dict[str, int]:
    """Filter → how many hosts it refused, by the newest decision."""
    return {each.reason: each.hosts for each in kept.verdicts_of(scheduler.decisions(instance.pk)[0])}


def group(cloud: Cloud, policy: str, max_per_host: int = 1) -> ServerGroup:
    return groups.create(actor=cloud.actor, name=policy, policy=policy, max_per_host=max_per_host)


def create_and_place(cloud: Cloud, members: ServerGroup, counts: Sequence[int], **fields: Any) -> None:
    """One request per count, all at once, while several schedulers place what has come."""
    schedulers = [Worker(place.place) for _ in range(SCHEDULERS)]

    def request(number: int) -> None:
        cloud.create(server_group_id=members.pk, name=f"r{number}", count=counts[number], **fields)
        for message in cloud.bus.take_queue(topics.SCHEDULER):
            schedulers[number % SCHEDULERS].put(message.items)

    results = together([partial(request, number) for number in range(len(counts))])
    for worker in schedulers:
        worker.finish()
    assert errors(results) == []


def settle(cloud: Cloud, time_machine: Time) -> None:
    """Who lost every race, or found hosts busy building, is tried again when the sweep brings it back."""
    for _ in range(10):
        cloud.run()
        if not Instance.objects.filter(state="BUILD", host_id=None).exists():
            return
        time_machine.forward(31)
        sweep.sweep(most=1000)
    raise AssertionError("some are never placed")


def hosts_of(members: ServerGroup) -> Counter[Any]:
    return Counter(Instance.objects.filter(server_group_id=members.pk, host_id__isnull=False).values_list("host_id", flat=True))


@pytest.mark.timeout(300)
def test_two_hundred_members_that_want_to_be_apart_get_two_hundred_hosts(
    cloud: Cloud, time_machine: Time, deadlocks: Deadlocks
) -> None:
    for _ in range(200):
        cloud.host(VCPU=2, MEMORY_MB=1024, DISK_GB=20)
    apart = group(cloud, "anti-affinity")
    create_and_place(cloud, apart, [10] * 20)
    settle(cloud, time_machine)
    assert Instance.objects.filter(server_group_id=apart.pk).count() == 200
    assert not Instance.objects.filter(state="ERROR").exists()
    assert not Decision.objects.filter(host_id=None).exists(), "a member was refused"
    assert set(hosts_of(apart).values()) == {1} and len(hosts_of(apart)) == 200
    assert_consistent()
    assert deadlocks() == 0, deadlocks.details()
    # And there is no place for one more.
    one_more = cloud.boot(server_group_id=apart.pk, name="one-more")
    cloud.schedule()
    one_more.refresh_from_db()
    assert (one_more.state, one_more.error["code"]) == ("ERROR", "scheduler.no_host")
    assert one_more.error["facts"]["reasons"] == ["anti-affinity"]
    assert refusing(one_more) == {"anti-affinity": 200}


def test_members_that_belong_together_are_on_one_host_or_refused_with_the_reason(cloud: Cloud, time_machine: Time) -> None:
    for _ in range(8):
        cloud.host(VCPU=16, MEMORY_MB=512 * 20, DISK_GB=500)
    together_ = group(cloud, "affinity")
    create_and_place(cloud, together_, [3] * 10)
    settle(cloud, time_machine)
    assert list(hosts_of(together_).values()) == [20]
    refused = Instance.objects.filter(server_group_id=together_.pk, state="ERROR")
    assert refused.count() == 10
    for instance in refused:
        assert instance.error["code"] == "scheduler.no_host"
        assert refusing(instance) == {"MEMORY_MB": 1, "affinity": 7}
    assert_consistent()


def test_no_host_gets_more_members_than_the_group_allows(cloud: Cloud, time_machine: Time) -> None:
    for _ in range(10):
        cloud.host(VCPU=64, MEMORY_MB=65536, DISK_GB=1000)
    apart = group(cloud, "anti-affinity", 3)
    create_and_place(cloud, apart, [2, 1] * 11)
    settle(cloud, time_machine)
    assert list(hosts_of(apart).values()) == [3] * 10
    refused = Instance.objects.filter(server_group_id=apart.pk, state="ERROR")
    assert [refusing(each) for each in refused] == [{"anti-affinity": 10}] * 3
    assert_consistent()


def test_soft_groups_prefer_and_refuse_nobody(cloud: Cloud, time_machine: Time) -> None:
    for _ in range(6):
        cloud.host(VCPU=64, MEMORY_MB=512 * 8, DISK_GB=1000)
    apart, close = group(cloud, "soft-anti-affinity"), group(cloud, "soft-affinity")
    create_and_place(cloud, apart, [2] * 6)
    create_and_place(cloud, close, [2] * 6)
    settle(cloud, time_machine)
    assert not Instance.objects.filter(state="ERROR").exists()
    assert sorted(hosts_of(apart).values()) == [2] * 6
    # Six fit on a host beside the two that are there.
    assert sorted(hosts_of(close).values()) == [6, 6]
    assert_consistent()


def test_a_failed_build_of_a_member_goes_where_no_other_member_is(cloud: Cloud, time_machine: Time) -> None:
    for _ in range(12):
        cloud.host()
    apart = group(cloud, "anti-affinity")
    create_and_place(cloud, apart, [5, 5])
    settle(cloud, time_machine)
    answers = [host.obey(command, fails=number % 5 == 0) for number, host in enumerate(cloud.hosts) for command in host.commands()]
    cloud.hosts[0].send(*answers)
    create_and_place(cloud, apart, [1])
    settle(cloud, time_machine)
    cloud.run()
    assert Instance.objects.filter(server_group_id=apart.pk, state="ACTIVE").count() == 11
    assert set(hosts_of(apart).values()) == {1}
    assert_consistent()


def test_of_a_group_that_is_deleted_and_an_instance_that_joins_it_one_is_refused(cloud: Cloud) -> None:
    for _ in range(10):
        members = group(cloud, "affinity")
        calls: list[Callable[[], Any]] = [
            partial(groups.delete, actor=cloud.actor, group_id=members.pk), partial(cloud.create, server_group_id=members.pk),
        ]
        random.shuffle(calls)
        results = together(calls)
        assert unexpected(results, InvalidState, NotFound) == []
        assert len(errors(results)) == 1
        there = ServerGroup.objects.filter(pk=members.pk).exists()
        assert there == GroupMember.objects.filter(group_id=members.pk).exists() == isinstance(errors(results)[0], InvalidState)
    assert_consistent()


@pytest.mark.parametrize("seed", [1])
def test_after_a_few_seconds_of_everything_members_are_where_their_groups_want_them(
    cloud: Cloud, time_machine: Time, deadlocks: Deadlocks, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(settings, "ENV", replace(settings.ENV, resend_s=0.3, build_timeout_s=3600.0))
    for _ in range(6):
        cloud.host(MEMORY_MB=512 * 8)
    kinds = [group(cloud, "anti-affinity", 2), group(cloud, "affinity"), group(cloud, "soft-anti-affinity"), group(cloud, "soft-affinity")]
    chosen, create = random.Random(seed), cloud.create
    monkeypatch.setattr(cloud, "create", lambda **fields: create(server_group_id=chosen.choice(kinds).pk, **fields))
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
    for instance in Instance.objects.exclude(state="DELETED"):
        cloud.delete(instance)
    at_rest(cloud, time_machine)
    assert_nothing_is_claimed()
    assert not GroupMember.objects.exists()
    for each in kinds:
        groups.delete(actor=cloud.actor, group_id=each.pk)
    assert_consistent()
    print(f"deadlocks ended by PostgreSQL: {deadlocks()}; {world.done}")
    assert deadlocks() <= 5, deadlocks.details()


def test_only_who_places_members_of_the_same_group_waits(cloud: Cloud) -> None:
    for _ in range(4):
        cloud.host()
    held, other = group(cloud, "anti-affinity"), group(cloud, "anti-affinity")
    member, loner = cloud.boot(server_group_id=other.pk), cloud.boot()
    with transaction.atomic():
        groups.lock([held.pk])
        results = together([
            *(partial(place.place, [str(operation_of(each).pk)]) for each in (member, loner)),
            partial(cloud.create, server_group_id=held.pk),
        ])
    assert errors(results) == []
    assert len(hosts_of(other)) == 1
    assert not Instance.objects.filter(pk__in=[member.pk, loner.pk], host_id=None).exists()
