"""What a host says it has, against what the database says it should have."""

import pytest
from django.conf import settings

from apps.common import clock
from apps.compute.models import Instance
from apps.operations.services import sweep
from apps.placement import selectors as placement
from contracts import topics
from contracts.compute.v1 import PowerState
from tests.support.audit import assert_consistent, assert_nothing_is_claimed
from tests.support.cloud import Cloud, operation_of
from tests.support.fixtures import Time
from tests.support.hosts import FakeHost


def state_of(instance: Instance) -> str:
    instance.refresh_from_db()
    return instance.state


def lost_build(cloud: Cloud, time_machine: Time) -> tuple[Instance, FakeHost]:
    """A build that nobody answered for: ERROR, with its claims."""
    instance, host, _ = cloud.placed()
    for wait in (settings.ENV.build_timeout_s, settings.ENV.observe_timeout_s):
        time_machine.forward(wait + 1)
        sweep.sweep()
    cloud.bus.wipe()
    assert state_of(instance) == "ERROR"
    assert placement.held(instance.pk)
    time_machine.forward(1)
    return instance, host


@pytest.mark.parametrize(
    ("power", "state"),
    [
        (PowerState.SHUTOFF, "STOPPED"), (PowerState.CRASHED, "STOPPED"), (PowerState.PAUSED, "ACTIVE"),
        (PowerState.RUNNING, "ACTIVE"),
    ],
)
def test_a_power_state_that_drifted_is_corrected(cloud: Cloud, time_machine: Time, power: PowerState, state: str) -> None:
    cloud.host()
    instance, host = cloud.active()
    time_machine.forward(1)
    host.domains[str(instance.pk)] = power
    host.observation()
    assert state_of(instance) == state
    assert_consistent()


def test_a_guest_that_was_started_by_hand_is_active_again(cloud: Cloud, time_machine: Time) -> None:
    cloud.host()
    instance, host = cloud.active()
    cloud.power(instance, "stop")
    host.work()
    assert state_of(instance) == "STOPPED"
    time_machine.forward(1)
    host.domains[str(instance.pk)] = PowerState.RUNNING
    host.observation()
    assert state_of(instance) == "ACTIVE"


def test_a_domain_that_vanished_is_an_error_that_keeps_its_claims(cloud: Cloud, time_machine: Time) -> None:
    """Its disk may come back with the host; only a deletion frees it."""
    cloud.host()
    instance, host = cloud.active()
    time_machine.forward(1)
    host.domains.clear()
    host.observation()
    assert state_of(instance) == "ERROR"
    assert instance.error["code"] == "instance.lost"
    assert placement.held(instance.pk)
    host.domains[str(instance.pk)] = PowerState.RUNNING
    time_machine.forward(1)
    host.observation()
    assert state_of(instance) == "ACTIVE"
    assert instance.error is None


def test_what_has_an_open_operation_is_left_to_it(cloud: Cloud, time_machine: Time) -> None:
    cloud.host()
    instance, host = cloud.active()
    cloud.power(instance, "reboot_hard")
    time_machine.forward(1)
    host.domains[str(instance.pk)] = PowerState.SHUTOFF
    host.observation()
    assert state_of(instance) == "ACTIVE"


def test_an_observation_made_before_the_last_operation_ended_says_nothing_about_it(cloud: Cloud) -> None:
    """It was made while the build was still going on."""
    cloud.host()
    before = clock.now().timestamp()
    instance, host = cloud.active()
    host.domains.clear()
    host.observation(started_at=before)
    assert state_of(instance) == "ACTIVE"


def test_a_build_that_was_given_up_is_fenced_before_its_claims_are_freed(cloud: Cloud, time_machine: Time) -> None:
    """The host has nothing of it yet, but the build command may still wait in its queue."""
    cloud.host()
    instance, host, build = cloud.placed()
    time_machine.forward(settings.ENV.host_silent_s)
    sweep.hosts_are_down([host.id])
    sweep.sweep()
    time_machine.forward(settings.ENV.observe_timeout_s + 1)
    sweep.sweep()
    assert state_of(instance) == "ERROR"
    assert build.envelope.deadline > clock.now().timestamp(), "the command is still good"
    cloud.bus.wipe()
    host.hello()
    host.send(host.obey(build))
    assert host.built == [str(instance.pk)]
    cloud.run()
    assert host.domains == {}
    assert (state_of(instance), instance.host_id) == ("ERROR", None)
    assert_nothing_is_claimed()


def test_leftovers_of_a_build_that_was_given_up_are_purged_and_the_record_stays(cloud: Cloud, time_machine: Time) -> None:
    cloud.host()
    instance, host = lost_build(cloud, time_machine)
    host.domains[str(instance.pk)] = PowerState.RUNNING
    host.observation()
    operation = operation_of(instance)
    assert (operation.kind, operation.state) == ("instance.purge", "sent")
    command = host.command(topics.COMPUTE_DELETE)
    assert command.envelope.generation > 1
    host.send(host.obey(command))
    assert (state_of(instance), instance.host_id, instance.addresses) == ("ERROR", None, [])
    assert instance.error["code"] == "host.silent"
    assert_nothing_is_claimed()


def test_residue_alone_is_purged_as_well(cloud: Cloud, time_machine: Time) -> None:
    cloud.host()
    instance, host = lost_build(cloud, time_machine)
    host.residue[str(instance.pk)] = ["disk", "tap"]
    host.observation()
    cloud.run()
    assert host.residue == {}
    assert_nothing_is_claimed()


def test_a_purge_that_fails_is_tried_again_with_the_next_observation(cloud: Cloud, time_machine: Time) -> None:
    cloud.host()
    instance, host = lost_build(cloud, time_machine)
    host.domains[str(instance.pk)] = PowerState.RUNNING
    host.observation()
    host.failed(host.command(), "driver.busy")
    assert operation_of(instance).state == "failed"
    assert placement.held(instance.pk)
    time_machine.forward(1)
    host.observation()
    cloud.run()
    assert_nothing_is_claimed()


@pytest.mark.parametrize("answer", ["gone", "still there", "nobody"])
def test_a_purge_that_is_overdue_is_looked_into(cloud: Cloud, time_machine: Time, answer: str) -> None:
    cloud.host()
    instance, host = lost_build(cloud, time_machine)
    host.domains[str(instance.pk)] = PowerState.RUNNING
    host.observation()
    host.commands()
    time_machine.forward(settings.ENV.delete_timeout_s + 1)
    sweep.sweep()
    question = host.command(topics.COMPUTE_OBSERVE)
    if answer == "gone":
        host.gone(question)
        assert operation_of(instance).state == "succeeded"
        assert_nothing_is_claimed()
        return
    if answer == "still there":
        host.done(question, PowerState.RUNNING)
    else:
        time_machine.forward(settings.ENV.observe_timeout_s + 1)
        sweep.sweep()
    assert operation_of(instance).state == "failed"
    assert state_of(instance) == "ERROR"
    assert placement.held(instance.pk)


def test_a_user_may_delete_during_a_purge(cloud: Cloud, time_machine: Time) -> None:
    cloud.host()
    instance, host = lost_build(cloud, time_machine)
    host.domains[str(instance.pk)] = PowerState.RUNNING
    host.observation()
    cloud.delete(instance)
    assert operation_of(instance, "instance.purge").state == "cancelled"
    cloud.run()
    assert state_of(instance) == "DELETED"
    assert_nothing_is_claimed()


def test_a_hello_resends_what_is_open_on_that_host_only(cloud: Cloud) -> None:
    first, second = cloud.host(), cloud.host()
    instances = [cloud.active()[0] for _ in range(6)]
    for instance in instances:
        cloud.power(instance, "stop")
    cloud.bus.wipe()
    first.hello()
    resent = first.commands()
    assert {c.instance_id for c in resent} == {str(i.pk) for i in Instance.objects.filter(host_id=first.id)}
    assert second.commands() == []
    assert resent


def test_a_hello_with_domains_reconciles(cloud: Cloud, time_machine: Time) -> None:
    """The machine was rebooted: its guests are off."""
    cloud.host()
    instance, host = cloud.active()
    time_machine.forward(1)
    host.domains[str(instance.pk)] = PowerState.SHUTOFF
    host.hello(issued_at=clock.now().timestamp())
    assert state_of(instance) == "STOPPED"


def test_an_observation_of_one_host_says_nothing_about_instances_of_another(cloud: Cloud, time_machine: Time) -> None:
    cloud.host()
    instance, host = cloud.active()
    other = cloud.host()
    time_machine.forward(1)
    other.observation()
    other.domains[str(instance.pk)] = PowerState.SHUTOFF
    other.observation()
    assert state_of(instance) == "ACTIVE"
