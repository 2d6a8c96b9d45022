"""Schedulers, sweepers, conductors and users at the same instance at the same moment."""

import random
import uuid
from collections import Counter
from functools import partial

import pytest
from django.conf import settings

from apps.common.errors import CloudError, Conflict, InvalidState, NotFound
from apps.compute.models import Instance
from apps.compute.services import place
from apps.operations.models import Operation, OperationEvent
from apps.operations.services import leases, sweep
from contracts import topics
from contracts.compute.v1 import PowerState
from contracts.report import Outcome
from tests.support.audit import assert_consistent, assert_nothing_is_claimed
from tests.support.cloud import Cloud, operation_of, timeline
from tests.support.fixtures import Time
from tests.support.postgres import Deadlocks
from tests.support.threads import Worker, errors, together, unexpected


def shuffled(items: list[str], seed: int) -> list[str]:
    return random.Random(seed).sample(items, len(items))


def test_schedulers_that_get_the_same_operations_build_each_once(cloud: Cloud, deadlocks: Deadlocks) -> None:
    for _ in range(4):
        cloud.host()
    ids = [str(operation.pk) for operation in cloud.create(count=40).operations]
    results = together([partial(place.place, shuffled(ids, seed)) for seed in range(4)])
    assert errors(results) == [], deadlocks.details()
    commands = [command for host in cloud.hosts for command in host.commands(topics.COMPUTE_BUILD)]
    assert Counter(command.instance_id for command in commands) == Counter(str(i.pk) for i in Instance.objects.all())
    assert Instance.objects.filter(host_id__isnull=False).count() == 40
    assert_consistent()


def test_schedulers_that_compete_for_the_last_places_fill_them_exactly(cloud: Cloud) -> None:
    for _ in range(3):
        cloud.host(MEMORY_MB=512 * 5)
    ids = [str(operation.pk) for operation in cloud.create(count=32).operations]
    workers = [Worker(place.place) for _ in range(4)]
    results = together([partial(worker.put, ids[n::4]) for n, worker in enumerate(workers)])
    assert errors(results) == []
    for worker in workers:
        worker.finish()
    for _ in range(3):  # who lost every race waits for the sweep
        place.place(ids)
    assert Instance.objects.filter(host_id__isnull=False).count() == 15
    assert Instance.objects.filter(state="ERROR").count() == 17
    assert {i.error["code"] for i in Instance.objects.filter(state="ERROR")} == {"scheduler.no_host"}
    assert_consistent()


def test_sweepers_share_the_work(cloud: Cloud, time_machine: Time) -> None:
    cloud.create(count=120)
    cloud.bus.wipe()
    time_machine.forward(settings.ENV.resend_s + 1)
    results = together([partial(sweep.sweep, most=50)] * 4)
    assert errors(results) == []
    sent = Counter(item for message in cloud.bus.take() for item in message.items)
    while sweep.sweep().resent:
        sent += Counter(item for message in cloud.bus.take() for item in message.items)
    assert set(sent.values()) == {1}
    assert len(sent) == 120
    assert set(Operation.objects.values_list("resends", flat=True)) == {1}


def test_two_sweepers_look_into_an_overdue_operation_once(cloud: Cloud, time_machine: Time) -> None:
    cloud.host()
    instance, host, _ = cloud.placed()
    time_machine.forward(settings.ENV.build_timeout_s + 1)
    assert errors(together([sweep.sweep] * 4)) == []
    assert timeline(operation_of(instance)).count("overdue") == 1
    assert len(host.commands(topics.COMPUTE_OBSERVE)) == 1


def test_the_same_report_many_times_at_once_counts_once(cloud: Cloud) -> None:
    host = cloud.host()
    cloud.create(count=10)
    cloud.schedule()
    wires = [host.obey(command) for command in host.commands()]
    results = together([partial(host.send, *shuffled(wires, seed)) for seed in range(8)])
    assert errors(results) == []
    assert set(Instance.objects.values_list("state", flat=True)) == {"ACTIVE"}
    assert OperationEvent.objects.filter(name="finished").count() == 10
    assert_consistent()


def test_contradicting_reports_at_once_end_in_one_of_the_two(cloud: Cloud) -> None:
    cloud.host()
    for _ in range(10):
        instance, host, command = cloud.placed()
        done = host.report(command, Outcome.DONE, result=host.domain(command, PowerState.RUNNING))
        assert errors(together([partial(host.send, done), partial(host.failed, command, retryable=False)])) == []
        instance.refresh_from_db()
        assert (instance.state, operation_of(instance).state) in {("ACTIVE", "succeeded"), ("ERROR", "failed")}
    assert_consistent()


def test_a_token_used_by_many_at_once_makes_one_instance(cloud: Cloud) -> None:
    results = together([partial(cloud.create, client_token="t", count=2)] * 8)
    assert unexpected(results, Conflict) == []
    assert {error.code for error in errors(results)} <= {"client_token.race"}  # type: ignore[attr-defined]
    assert Instance.objects.count() == 2
    answers = {tuple(i.pk for i in result.instances) for result in results if not isinstance(result, BaseException)}
    assert len(answers) == 1
    assert cloud.create(client_token="t", count=2).repeated


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("held_before", [False, True])
def test_a_duty_is_done_by_one_of_many_tickers(time_machine: Time, held_before: bool) -> None:
    if held_before:
        leases.acquire(name="sweep", holder="dead", seconds=1)
        time_machine.forward(2)
    results = together([partial(leases.acquire, name="sweep", holder=f"t{n}", seconds=60) for n in range(8)])
    assert errors(results) == []
    assert results.count(True) == 1


# Races on one instance.


def test_of_many_power_actions_at_once_one_is_accepted(cloud: Cloud) -> None:
    cloud.host()
    for _ in range(5):
        instance, host = cloud.active()
        results = together([partial(cloud.power, instance, "reboot_hard")] * 6)
        assert unexpected(results, InvalidState) == []
        assert {error.code for error in errors(results)} == {"operation.in_progress"}  # type: ignore[attr-defined]
        assert len(host.commands()) == 1


def test_deleting_many_times_at_once_is_one_deletion(cloud: Cloud) -> None:
    cloud.host()
    for kind in ("placed", "active", "boot"):
        for _ in range(4):
            made = getattr(cloud, kind)()
            instance = made if kind == "boot" else made[0]
            results = together([partial(cloud.delete, instance)] * 5)
            assert unexpected(results, *([NotFound] if kind == "boot" else [])) == []
            found = {result.pk for result in results if not isinstance(result, BaseException)}
            assert len(found) == 1
            assert Operation.objects.filter(resource_id=instance.pk, kind="instance.delete").count() == 1
    cloud.run()
    assert_nothing_is_claimed()


def test_a_deletion_is_always_possible_whatever_else_begins_or_ends(cloud: Cloud, deadlocks: Deadlocks) -> None:
    cloud.host()
    for _ in range(12):
        instance, host = cloud.active()
        cloud.power(instance, "reboot_hard")
        wire = host.obey(host.command())
        results = together(
            [
                partial(cloud.delete, instance), partial(host.send, wire), partial(cloud.power, instance, "stop"),
                partial(cloud.power, instance, "reboot_soft"),
            ]
        )
        assert not isinstance(results[0], BaseException), (results[0], deadlocks.details())
        assert unexpected(results, CloudError) == [], deadlocks.details()
        cloud.run()
        instance.refresh_from_db()
        assert instance.state == "DELETED"
    assert_nothing_is_claimed()


def test_deleting_while_it_is_being_placed_leaves_nothing(cloud: Cloud, deadlocks: Deadlocks) -> None:
    cloud.host()
    for _ in range(15):
        instance = cloud.boot()
        (message,) = cloud.bus.take_queue(topics.SCHEDULER)
        placing = partial(place.place, message.items)
        assert errors(together([placing, partial(cloud.delete, instance), placing])) == [], deadlocks.details()
        cloud.run()
        instance.refresh_from_db()
        assert instance.state == "DELETED"
        assert all(host.domains == {} for host in cloud.hosts)
    assert_nothing_is_claimed()


def test_deleting_while_the_report_comes_in_leaves_nothing(cloud: Cloud, deadlocks: Deadlocks) -> None:
    cloud.host()
    for number in range(15):
        instance, host, command = cloud.placed()
        answer = host.obey(command, fails=number % 2 == 0)
        results = together([partial(host.send, answer), partial(cloud.delete, instance), host.observation])
        assert errors(results) == [], deadlocks.details()
        cloud.run()
        instance.refresh_from_db()
        assert instance.state == "DELETED"
        assert host.domains == {}
    assert_nothing_is_claimed()


def test_two_observations_at_once_start_one_repair(cloud: Cloud, time_machine: Time) -> None:
    cloud.host()
    instance, host = cloud.active()
    cloud.delete(instance)
    for _ in range(3):
        host.failed(host.command())
    time_machine.forward(1)
    assert errors(together([host.observation] * 5)) == []
    assert Operation.objects.filter(kind="instance.delete", state="sent").count() == 1
    cloud.run()
    assert_nothing_is_claimed()


def test_silence_and_a_report_at_once_do_not_contradict(cloud: Cloud, deadlocks: Deadlocks) -> None:
    host = cloud.host(MEMORY_MB=65536, DISK_GB=1000, VCPU=64)
    for _ in range(8):
        cloud.create(count=6)
        cloud.schedule()
        wires = [host.obey(command) for command in host.commands()]

        def silent() -> None:
            sweep.hosts_are_down([host.id])
            sweep.sweep()

        results = together([silent, partial(host.send, *shuffled(wires, 1)), sweep.sweep])
        assert errors(results) == [], deadlocks.details()
        cloud.run()
    bad = Instance.objects.exclude(state="ACTIVE")
    assert not bad.exists(), [(i.error, timeline(operation_of(i))) for i in bad]
    assert Instance.objects.count() == 48
    assert_consistent()


def test_an_unknown_operation_id_among_many_is_no_error(cloud: Cloud) -> None:
    cloud.host()
    ids = [str(operation.pk) for operation in cloud.create(count=3).operations]
    place.place([str(uuid.uuid4()), *ids])
    assert Instance.objects.filter(host_id__isnull=False).count() == 3
