"""Past its deadline an operation is looked into: the host is asked what is true, and the answer decides."""

import pytest
from django.conf import settings

from apps.compute.models import Instance
from apps.hosts.services import presence
from apps.operations.models import Operation
from apps.operations.services import sweep
from apps.placement import selectors as placement
from contracts import topics
from contracts.compute.v1 import PowerState
from contracts.report import Outcome
from tests.support.audit import assert_consistent, assert_nothing_is_claimed
from tests.support.cloud import Cloud, operation_of, timeline
from tests.support.fixtures import Time
from tests.support.hosts import Command, FakeHost

ENV = settings.ENV


def overdue(time_machine: Time, seconds: float) -> None:
    """Let a deadline pass and the sweep see it."""
    time_machine.forward(seconds + 0.1)
    assert sweep.sweep().overdue == 1


def late_build(cloud: Cloud, time_machine: Time) -> tuple[Instance, FakeHost, Command, Command]:
    """A build that is overdue: instance, host, the build command, and the question."""
    instance, host, build = cloud.placed()
    overdue(time_machine, ENV.build_timeout_s)
    return instance, host, build, host.command(topics.COMPUTE_OBSERVE)


def test_after_its_deadline_the_host_is_asked_what_is_true(cloud: Cloud, time_machine: Time) -> None:
    cloud.host()
    instance, _, build, question = late_build(cloud, time_machine)
    operation = operation_of(instance)
    assert (operation.state, operation.step) == ("overdue", "build")
    assert question.envelope.step == "observe"
    assert question.envelope.generation == build.envelope.generation
    assert question.instance_id == str(instance.pk)
    assert "overdue" in timeline(operation)
    assert placement.held(instance.pk)


def test_a_build_that_is_running_after_all_succeeds(cloud: Cloud, time_machine: Time) -> None:
    cloud.host()
    instance, host, build, question = late_build(cloud, time_machine)
    host.done(question, PowerState.RUNNING)
    instance.refresh_from_db()
    assert (instance.state, operation_of(instance).state) == ("ACTIVE", "succeeded")
    assert_consistent()


def test_the_answer_to_the_build_itself_counts_as_well_when_it_comes_late(cloud: Cloud, time_machine: Time) -> None:
    cloud.host()
    instance, host, build, _ = late_build(cloud, time_machine)
    host.done(build)
    instance.refresh_from_db()
    assert (instance.state, operation_of(instance).state) == ("ACTIVE", "succeeded")


def test_a_late_failure_counts_as_well(cloud: Cloud, time_machine: Time) -> None:
    cloud.host()
    instance, host, build, _ = late_build(cloud, time_machine)
    host.failed(build, retryable=False)
    instance.refresh_from_db()
    assert (instance.state, operation_of(instance).state) == ("ERROR", "failed")
    assert_nothing_is_claimed()


@pytest.mark.parametrize(
    ("power", "residue"),
    [
        (PowerState.ABSENT, []), (PowerState.ABSENT, ["disk"]), (PowerState.SHUTOFF, []), (PowerState.PAUSED, []),
        (PowerState.CRASHED, []),
    ],
)
def test_whatever_else_is_true_the_host_is_fenced_and_cleaned_before_another_one_builds(
    cloud: Cloud, time_machine: Time, power: PowerState, residue: list[str]
) -> None:
    """Also when nothing is there: the build command may still be on its way to a host that was silent."""
    cloud.host()
    cloud.host()
    instance, host, build, question = late_build(cloud, time_machine)
    host.send(host.report(question, Outcome.DONE, result=host.domain(question, power, residue)))
    operation = operation_of(instance)
    assert (operation.state, operation.step) == ("sent", "undo")
    assert placement.held(instance.pk), "claims stay until the host says that nothing is left"
    undo = host.command(topics.COMPUTE_DELETE)
    assert undo.envelope.generation > build.envelope.generation
    host.done(build)
    assert operation_of(instance).step == "undo", "the late build is of an older generation"
    host.gone(undo)
    operation = operation_of(instance)
    assert (operation.step, operation.attempt, operation.excluded_hosts) == ("schedule", 2, [str(host.id)])
    cloud.run()
    instance.refresh_from_db()
    assert (instance.state, instance.host_id != host.id) == ("ACTIVE", True)
    assert host.domains == {}
    assert_consistent()


def test_a_build_nobody_answers_for_ends_as_an_error_that_keeps_its_claims(cloud: Cloud, time_machine: Time) -> None:
    """The host may have it: its address and memory are not given to anybody else."""
    cloud.host("secret-name")
    instance, *_ = late_build(cloud, time_machine)
    overdue(time_machine, ENV.observe_timeout_s)
    instance.refresh_from_db()
    assert (instance.state, instance.error["code"]) == ("ERROR", "host.silent")
    assert "secret-name" not in str(instance.error)
    assert operation_of(instance).state == "failed"
    assert placement.held(instance.pk)
    assert instance.host_id is not None
    assert_consistent()


def test_expired_is_no_silence(cloud: Cloud, time_machine: Time) -> None:
    """An agent that was away takes the old command first and calls it expired; its answer to the question still counts."""
    cloud.host()
    instance, host, build, question = late_build(cloud, time_machine)
    host.send(host.report(build, Outcome.EXPIRED))
    assert operation_of(instance).state == "overdue"
    host.done(question, PowerState.RUNNING)
    instance.refresh_from_db()
    assert instance.state == "ACTIVE"


@pytest.mark.parametrize("outcome", [Outcome.STALE, Outcome.EXPIRED])
def test_stale_or_expired_in_time_asks_what_is_true(cloud: Cloud, outcome: Outcome) -> None:
    cloud.host()
    instance, host, build = cloud.placed()
    host.send(host.report(build, outcome))
    assert operation_of(instance).state == "overdue"
    assert host.command().topic == topics.COMPUTE_OBSERVE


def test_an_unscheduled_operation_ends_with_a_reason_and_nothing_claimed(cloud: Cloud, time_machine: Time) -> None:
    instance = cloud.boot()
    overdue(time_machine, ENV.place_timeout_s)
    instance.refresh_from_db()
    assert (instance.state, instance.error["code"]) == ("ERROR", "scheduler.timeout")
    cloud.host()
    cloud.schedule()
    assert operation_of(instance).state == "failed"
    assert_nothing_is_claimed()


# Progress.


def test_progress_moves_the_deadline(cloud: Cloud, time_machine: Time) -> None:
    cloud.host()
    instance, host, build = cloud.placed()
    time_machine.forward(ENV.build_timeout_s - 10)
    host.progress(build)
    assert operation_of(instance).state == "running"
    time_machine.forward(20)
    assert sweep.sweep() == sweep.Swept(0, 0)
    host.done(build)
    instance.refresh_from_db()
    assert instance.state == "ACTIVE"


def test_a_host_that_is_under_way_for_ever_does_not_keep_an_instance_in_build_for_ever(cloud: Cloud, time_machine: Time) -> None:
    cloud.host()
    instance, host, build = cloud.placed()
    waited = 0.0
    while operation_of(instance).state in ("sent", "running", "overdue"):
        time_machine.forward(ENV.build_timeout_s / 2)
        waited += ENV.build_timeout_s / 2
        host.progress(build)
        sweep.sweep()
        for command in host.commands():
            host.send(host.report(command, Outcome.PROGRESS))
        assert waited < 40 * ENV.build_timeout_s, "nothing ends it"
    instance.refresh_from_db()
    assert instance.state == "ERROR"
    assert_consistent()


# Deletions.


def late_delete(cloud: Cloud, time_machine: Time) -> tuple[Instance, FakeHost, Command]:
    instance, host = cloud.active()
    cloud.delete(instance)
    host.commands()
    overdue(time_machine, ENV.delete_timeout_s)
    return instance, host, host.command(topics.COMPUTE_OBSERVE)


def test_a_deletion_that_left_nothing_succeeds(cloud: Cloud, time_machine: Time) -> None:
    cloud.host()
    instance, host, question = late_delete(cloud, time_machine)
    host.gone(question)
    instance.refresh_from_db()
    assert (instance.state, operation_of(instance).state) == ("DELETED", "succeeded")
    assert_nothing_is_claimed()


@pytest.mark.parametrize(
    ("power", "residue"), [(PowerState.RUNNING, []), (PowerState.SHUTOFF, []), (PowerState.ABSENT, ["tap"])]
)
def test_a_deletion_that_did_not_finish_is_an_error_that_is_still_wanted_gone(
    cloud: Cloud, time_machine: Time, power: PowerState, residue: list[str]
) -> None:
    cloud.host()
    instance, host, question = late_delete(cloud, time_machine)
    for attempt in range(3):
        if attempt:
            overdue(time_machine, ENV.delete_timeout_s)
            question = host.command(topics.COMPUTE_OBSERVE)
        host.send(host.report(question, Outcome.DONE, result=host.domain(question, power, residue)))
    instance.refresh_from_db()
    assert (instance.state, instance.wanted_gone, instance.error["code"]) == ("ERROR", True, "delete.timeout")
    assert placement.held(instance.pk)
    assert_consistent()


def test_a_deletion_nobody_answers_for_keeps_its_claims_and_goes_on_when_the_host_is_back(cloud: Cloud, time_machine: Time) -> None:
    cloud.host()
    instance, host, _ = late_delete(cloud, time_machine)
    overdue(time_machine, ENV.observe_timeout_s)
    instance.refresh_from_db()
    assert (instance.state, instance.wanted_gone, instance.error["code"]) == ("ERROR", True, "host.silent")
    assert placement.held(instance.pk)
    host.hello()
    assert operation_of(instance).kind == "instance.delete"
    cloud.run()
    instance.refresh_from_db()
    assert instance.state == "DELETED"
    assert_nothing_is_claimed()


def test_a_deletion_that_failed_can_be_asked_for_again(cloud: Cloud, time_machine: Time) -> None:
    cloud.host()
    instance, host = cloud.active()
    cloud.delete(instance)
    for _ in range(3):
        host.failed(host.command(), "driver.busy")
    instance.refresh_from_db()
    assert (instance.state, instance.error["code"]) == ("ERROR", "driver.busy")
    cloud.delete(instance)
    cloud.run()
    assert_nothing_is_claimed()


def test_a_deletion_that_failed_once_is_tried_again_with_a_new_generation(cloud: Cloud) -> None:
    cloud.host()
    instance, host = cloud.active()
    cloud.delete(instance)
    first = host.command()
    host.failed(first, "driver.busy")
    again = host.command()
    assert again.envelope.generation > first.envelope.generation
    host.send(host.obey(again))
    instance.refresh_from_db()
    assert instance.state == "DELETED"
    assert_nothing_is_claimed()


# Power.


def late_power(cloud: Cloud, time_machine: Time, action: str) -> tuple[Instance, FakeHost, Command]:
    instance, host = cloud.active()
    if action == "start":
        cloud.power(instance, "stop")
        host.work()
    cloud.power(instance, action)
    host.commands()
    overdue(time_machine, ENV.power_timeout_s)
    return instance, host, host.command(topics.COMPUTE_OBSERVE)


@pytest.mark.parametrize(
    ("action", "power", "operation_state", "instance_state"),
    [
        ("start", PowerState.RUNNING, "succeeded", "ACTIVE"),
        ("start", PowerState.SHUTOFF, "failed", "STOPPED"),
        ("start", PowerState.CRASHED, "failed", "STOPPED"),
        ("start", PowerState.ABSENT, "failed", "ERROR"),
        ("stop", PowerState.SHUTOFF, "succeeded", "STOPPED"),
        ("stop", PowerState.RUNNING, "failed", "ACTIVE"),
        ("stop", PowerState.ABSENT, "failed", "ERROR"),
        ("reboot_soft", PowerState.RUNNING, "succeeded", "ACTIVE"),
        ("reboot_hard", PowerState.SHUTOFF, "failed", "STOPPED"),
    ],
)
def test_what_is_true_counts_and_the_wish_decides_how_the_operation_ends(
    cloud: Cloud, time_machine: Time, action: str, power: PowerState, operation_state: str, instance_state: str
) -> None:
    cloud.host()
    instance, host, question = late_power(cloud, time_machine, action)
    host.done(question, power)
    instance.refresh_from_db()
    assert (operation_of(instance).state, instance.state) == (operation_state, instance_state)
    assert_consistent()


@pytest.mark.parametrize("action", ["start", "stop", "reboot_soft", "reboot_hard"])
def test_a_power_action_nobody_answers_for_fails_and_leaves_the_instance_as_it_is_known(
    cloud: Cloud, time_machine: Time, action: str
) -> None:
    cloud.host()
    instance, _, _ = late_power(cloud, time_machine, action)
    before = Instance.objects.get(pk=instance.pk).state
    overdue(time_machine, ENV.observe_timeout_s)
    instance.refresh_from_db()
    assert (instance.state, operation_of(instance).state) == (before, "failed")
    assert operation_of(instance).error["code"] == "host.silent"


# Hosts that fall silent.


def test_a_host_that_falls_silent_has_its_operations_looked_into_at_once(cloud: Cloud, time_machine: Time) -> None:
    cloud.host()
    instance, host, _ = cloud.placed()
    time_machine.forward(ENV.host_silent_s + 1)
    down = presence.mark_silent()
    assert down == [host.id]
    sweep.hosts_are_down(down)
    assert sweep.sweep().overdue == 1
    assert operation_of(instance).state == "overdue"
    time_machine.forward(ENV.observe_timeout_s + 1)
    sweep.sweep()
    instance.refresh_from_db()
    assert (instance.state, instance.error["code"]) == ("ERROR", "host.silent")
    assert presence.mark_silent() == []


def test_no_open_operation_is_without_a_way_out(cloud: Cloud, time_machine: Time) -> None:
    """Every kind at every step, with a control plane that works and a world that never answers."""
    cloud.host()
    cloud.boot(name="never scheduled")
    cloud.bus.wipe()
    cloud.placed(name="never built")
    for action in ("stop", "reboot_soft"):
        instance, host = cloud.active(name=action)
        cloud.power(instance, action)
    instance, host = cloud.active(name="never deleted")
    cloud.delete(instance)
    for _ in range(60):
        time_machine.forward(ENV.build_timeout_s / 10)
        sweep.sweep()
        cloud.bus.wipe()
    assert set(Operation.objects.values_list("state", flat=True)) == {"succeeded", "failed"}
    assert not Instance.objects.filter(state__in=["BUILD", "DELETING"]).exists()
    assert_consistent()
