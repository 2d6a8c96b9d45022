"""Builds that go wrong: another host, at most three, then ERROR with a reason and nothing claimed."""

import pytest

from apps.compute.models import Instance
from apps.placement import selectors as placement
from contracts import topics
from contracts.compute.v1 import PowerState
from contracts.report import Event
from tests.support.audit import assert_consistent, assert_nothing_is_claimed
from tests.support.cloud import Cloud, operation_of, timeline


def test_a_build_that_failed_on_one_host_is_tried_on_another(cloud: Cloud) -> None:
    cloud.host()
    cloud.host()
    instance, first, command = cloud.placed()
    old_address = instance.addresses[0]["mac"]
    first.failed(command, "image.fetch")
    operation = operation_of(instance)
    assert (operation.state, operation.step, operation.attempt, operation.host_id) == ("queued", "schedule", 2, None)
    assert operation.excluded_hosts == [str(first.id)]
    assert_nothing_is_claimed()
    cloud.schedule()
    instance.refresh_from_db()
    second = cloud.host_of(instance)
    assert second is not first
    assert placement.held(instance.pk) == {"VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 5}
    assert instance.addresses[0]["mac"] != old_address
    again = second.command(topics.COMPUTE_BUILD)
    assert again.envelope.generation == command.envelope.generation + 1
    assert_consistent()
    second.done(again)
    instance.refresh_from_db()
    assert (instance.state, instance.host_id) == ("ACTIVE", second.id)
    assert "trying another host" in timeline(operation_of(instance))
    assert_consistent()


def test_a_late_success_of_the_host_that_was_given_up_changes_nothing(cloud: Cloud) -> None:
    cloud.host()
    cloud.host()
    instance, first, command = cloud.placed()
    first.failed(command)
    first.done(command)
    cloud.schedule()
    first.done(command)
    instance.refresh_from_db()
    assert instance.state == "BUILD"
    assert cloud.host_of(instance) is not first


def test_after_three_hosts_it_is_an_error_that_says_why(cloud: Cloud) -> None:
    for _ in range(4):
        cloud.host()
    instance = cloud.boot()
    tried = []
    for _ in range(3):
        cloud.schedule()
        instance.refresh_from_db()
        host = cloud.host_of(instance)
        tried.append(host)
        host.failed(host.command(), "driver.no_disk")
    assert len(set(tried)) == 3
    instance.refresh_from_db()
    assert (instance.state, instance.host_id, instance.addresses) == ("ERROR", None, [])
    assert instance.error == {"code": "driver.no_disk", "message": "It did not work."}
    operation = operation_of(instance)
    assert (operation.state, operation.attempt) == ("failed", 3)
    assert operation.error["code"] == "driver.no_disk"
    assert cloud.bus.waiting == []
    assert_nothing_is_claimed()


def test_what_no_other_host_can_help_fails_at_once(cloud: Cloud) -> None:
    cloud.host()
    cloud.host()
    instance, host, command = cloud.placed()
    host.failed(command, "image.corrupt", retryable=False)
    instance.refresh_from_db()
    assert (instance.state, instance.error["code"]) == ("ERROR", "image.corrupt")
    assert_nothing_is_claimed()


def test_when_every_host_has_failed_the_reason_names_no_host(cloud: Cloud) -> None:
    cloud.host("secret-name")
    instance, host, command = cloud.placed()
    host.failed(command)
    cloud.schedule()
    instance.refresh_from_db()
    assert instance.state == "ERROR"
    assert instance.error["code"] == "scheduler.no_host"
    assert "all are where its build failed before" in instance.error["message"]
    assert "secret-name" not in str(instance.error)
    assert_nothing_is_claimed()


def test_in_a_batch_only_the_ones_that_failed_move(cloud: Cloud) -> None:
    first, second = cloud.host(), cloud.host()
    cloud.create(count=4)
    cloud.schedule()
    commands = {command.instance_id: (host, command) for host in (first, second) for command in host.commands()}
    loser, *winners = list(commands)
    host, command = commands[loser]
    host.failed(command)
    for key in winners:
        commands[key][0].done(commands[key][1])
    assert Instance.objects.filter(state="ACTIVE").count() == 3
    cloud.run()
    assert Instance.objects.filter(state="ACTIVE").count() == 4
    assert str(Instance.objects.get(pk=loser).host_id) != str(host.id)
    assert_consistent()


def test_an_instance_in_error_can_be_deleted_and_leaves_nothing(cloud: Cloud) -> None:
    cloud.host()
    instance, host, command = cloud.placed()
    host.failed(command, retryable=False)
    operation = cloud.delete(instance)
    assert operation.state == "succeeded"
    assert_nothing_is_claimed()


@pytest.mark.parametrize("hostile", ["a\x00b", "x" * 100_000, "\ud7ff\U0001f600"])
def test_whatever_text_a_host_puts_into_its_report_the_build_ends(cloud: Cloud, hostile: str) -> None:
    cloud.host()
    instance, host, command = cloud.placed()
    host.failed(command, f"driver.{hostile}"[:60], retryable=False, events=[Event(name=hostile, at=1.0, detail=hostile)])
    instance.refresh_from_db()
    assert instance.state == "ERROR"


@pytest.mark.parametrize("at", [1e300, -1e300, float(2**63)])
def test_an_impossible_time_in_a_report_does_not_keep_the_build_open(cloud: Cloud, at: float) -> None:
    cloud.host()
    instance, host, command = cloud.placed()
    host.done(command, PowerState.RUNNING, events=[Event(name="domain started", at=at)])
    instance.refresh_from_db()
    assert instance.state == "ACTIVE"
