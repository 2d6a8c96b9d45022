"""Start, stop, reboot, and reading the console."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection

from apps.common.errors import Unavailable
from apps.compute.models import Instance
from apps.compute.services import console, power
from apps.compute.states import POWER_FROM, InstanceState
from apps.operations.models import Operation
from contracts import topics
from contracts.compute.v1 import ConsoleOutput, PowerAction, PowerState
from contracts.report import Outcome
from tests.support.cloud import Cloud, make_project, operation_of, refusal
from tests.support.hosts import Command, FakeHost
from tests.support.identity import make_actor

ACTIONS = {
    "start": ("stop", PowerState.RUNNING, "ACTIVE"),
    "stop": (None, PowerState.SHUTOFF, "STOPPED"),
    "reboot_soft": (None, PowerState.RUNNING, "ACTIVE"),
    "reboot_hard": ("stop", PowerState.RUNNING, "ACTIVE"),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_the_state_afterwards_is_what_the_host_says(cloud: Cloud, action: str) -> None:
    before, says, state = ACTIONS[action]
    cloud.host()
    instance, host = cloud.active()
    if before:
        cloud.power(instance, before)
        host.work()
    operation = cloud.power(instance, action)
    command = host.command(topics.COMPUTE_POWER)
    assert command.body.action == PowerAction(action)
    assert command.envelope.generation == operation.generation
    host.done(command, says)
    instance.refresh_from_db()
    assert (instance.state, instance.power_state, operation_of(instance).state) == (state, says.value, "succeeded")


@pytest.mark.parametrize("action", POWER_FROM)
@pytest.mark.parametrize("state", InstanceState)
def test_each_action_is_possible_from_the_states_of_its_table_only(cloud: Cloud, action: str, state: InstanceState) -> None:
    cloud.host()
    instance, host = cloud.active()
    Instance.objects.filter(pk=instance.pk).update(state=state.value)
    if state is InstanceState.DELETED:
        assert refusal(cloud.power, instance, action).code == "instance.not_found"
    elif state in POWER_FROM[action]:
        assert cloud.power(instance, action).state == "sent"
    else:
        error = refusal(cloud.power, instance, action)
        assert (error.kind, error.code, error.facts["state"]) == ("invalid_state", "instance.state", state.value)
        assert error.facts["allowed"] == [each.value for each in POWER_FROM[action]]
        assert host.commands() == []


def test_two_at_once_are_refused_with_what_is_under_way(cloud: Cloud) -> None:
    cloud.host()
    instance, host = cloud.active()
    cloud.power(instance, "stop")
    generation = Instance.objects.get().generation
    error = refusal(cloud.power, instance, "reboot_soft")
    assert (error.code, error.facts["operation"]) == ("operation.in_progress", "instance.stop")
    assert Instance.objects.get().generation == generation
    assert len(host.commands()) == 1


def test_an_action_that_failed_leaves_the_instance_and_says_why(cloud: Cloud) -> None:
    cloud.host()
    instance, host = cloud.active()
    cloud.power(instance, "reboot_hard")
    host.failed(host.command(), "driver.timeout")
    instance.refresh_from_db()
    operation = operation_of(instance)
    assert (instance.state, operation.state, operation.error["code"]) == ("ACTIVE", "failed", "driver.timeout")
    assert cloud.power(instance, "stop").state == "sent"


def test_an_unknown_action_is_refused(cloud: Cloud) -> None:
    cloud.host()
    instance, _ = cloud.active()
    assert refusal(cloud.power, instance, "explode").code == "instance.action"


def test_who_may_only_read_may_not_act(cloud: Cloud) -> None:
    cloud.host()
    instance, _ = cloud.active()
    reader = make_actor(cloud.project, role="reader")
    error = refusal(power.power, actor=reader, instance_id=instance.pk, action="stop")
    assert (error.kind, error.facts["roles_needed"]) == ("forbidden", ["member", "operator"])


def test_an_instance_of_another_project_is_not_there(cloud: Cloud) -> None:
    cloud.host()
    instance, _ = cloud.active()
    stranger = make_actor(make_project(), role="admin")
    assert refusal(power.power, actor=stranger, instance_id=instance.pk, action="stop").kind == "not_found"
    assert refusal(console.read, actor=stranger, instance_id=instance.pk).kind == "not_found"


def test_an_instance_without_a_host_has_nothing_to_start(cloud: Cloud) -> None:
    cloud.host()
    instance, host, command = cloud.placed()
    host.failed(command, retryable=False)
    assert refusal(cloud.power, instance, "start").code == "instance.no_host"
    assert refusal(console.read, actor=cloud.actor, instance_id=instance.pk).code == "instance.no_host"


# The console.


@contextmanager
def answering(host: FakeHost, outcome: Outcome, **fields: object) -> Iterator[list[Command]]:
    """A thread that answers the first console command of a host while the test waits for it."""
    seen: list[Command] = []
    stop = threading.Event()

    def run() -> None:
        try:
            while not stop.is_set() and not seen:
                for command in host.commands(topics.COMPUTE_CONSOLE):
                    seen.append(command)
                    host.send(host.report(command, outcome, **fields))
                stop.wait(0.002)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def read(cloud: Cloud, text: str) -> ConsoleOutput:
    instance, host = cloud.active()
    output = ConsoleOutput(instance_id=str(instance.pk), text=text, truncated=True)
    with answering(host, Outcome.DONE, result=output) as seen:
        found = console.read(actor=cloud.actor, instance_id=instance.pk, max_bytes=1000)
    assert seen[0].body.max_bytes == 1000
    return found


def test_the_console_is_what_the_host_answers(cloud: Cloud) -> None:
    cloud.host()
    found = read(cloud, "login: \u00e4\n")
    assert (found.text, found.truncated) == ("login: \u00e4\n", True)


def test_a_console_with_nul_bytes_can_be_read(cloud: Cloud) -> None:
    """Guests print them, and PostgreSQL stores none."""
    cloud.host()
    assert read(cloud, "a\x00b").text == "a\ufffdb"


def test_reading_the_console_waits_for_nothing_and_blocks_nothing(cloud: Cloud) -> None:
    cloud.host()
    instance, host = cloud.active()
    cloud.power(instance, "reboot_soft")
    output = ConsoleOutput(instance_id=str(instance.pk), text="x")
    with answering(host, Outcome.DONE, result=output):
        assert console.read(actor=cloud.actor, instance_id=instance.pk).text == "x"
    assert operation_of(instance).state == "sent"


def test_a_console_that_cannot_be_read_says_why(cloud: Cloud) -> None:
    from contracts.report import Error

    cloud.host()
    instance, host = cloud.active()
    error = Error(code="console.missing", message="There is no log yet.")
    with answering(host, Outcome.FAILED, error=error), pytest.raises(Unavailable) as caught:
        console.read(actor=cloud.actor, instance_id=instance.pk)
    assert caught.value.code == "console.missing"


def test_a_host_that_does_not_answer_is_not_waited_for_for_ever(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    from apps.operations import selectors as operations

    original = operations.wait
    monkeypatch.setattr(operations, "wait", lambda *, operation_id, seconds: original(operation_id=operation_id, seconds=0.02))
    cloud.host()
    instance, _ = cloud.active()
    assert refusal(console.read, actor=cloud.actor, instance_id=instance.pk).code == "host.silent"
    assert Operation.objects.filter(kind="instance.console").count() == 1
