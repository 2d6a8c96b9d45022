"""The sweep: what was committed and not answered is sent again, and only that."""

import pytest
from django.conf import settings
from django.db import transaction

from apps.operations.models import Operation
from apps.operations.services import sweep
from tests.support.cloud import Cloud, operation_of, timeline
from tests.support.fixtures import Time


def test_a_message_that_is_not_answered_is_sent_again_with_longer_and_longer_waits(cloud: Cloud, time_machine: Time) -> None:
    time_machine.stand()
    instance = cloud.boot(name="a")
    Operation.objects.update(deadline=operation_of(instance).deadline.replace(year=2099))
    (first,) = cloud.bus.take()
    waits = []
    for _ in range(6):
        waited = 0
        while not sweep.sweep().resent:
            time_machine.forward(1)
            waited += 1
        waits.append(waited)
        assert [m.items for m in cloud.bus.take()] == [first.items]
    base = settings.ENV.resend_s
    assert waits == pytest.approx([base, 2 * base, 4 * base, 30, 30, 30], abs=1.01)
    assert timeline(operation_of(instance)).count("sent again") == 6


def test_only_what_is_due_is_sent(cloud: Cloud, time_machine: Time) -> None:
    early = cloud.boot(name="early")
    time_machine.forward(settings.ENV.resend_s - 1)
    cloud.boot(name="late")
    time_machine.forward(1.5)
    cloud.bus.wipe()
    assert sweep.sweep().resent == 1
    assert [m.items for m in cloud.bus.take()] == [(str(operation_of(early).pk),)]
    assert sweep.sweep() == sweep.Swept(0, 0)


def test_what_is_closed_is_never_sent_again(cloud: Cloud, time_machine: Time) -> None:
    cloud.host()
    cloud.active()
    time_machine.forward(86400)
    assert sweep.sweep() == sweep.Swept(0, 0)
    assert cloud.bus.waiting == []


def test_a_command_is_sent_again_as_it_was(cloud: Cloud, time_machine: Time) -> None:
    cloud.host()
    _, host, command = cloud.placed()
    time_machine.forward(settings.ENV.resend_s + 0.1)
    sweep.sweep()
    assert host.command() == command


def test_a_host_at_work_is_left_alone_until_the_deadline(cloud: Cloud, time_machine: Time) -> None:
    time_machine.stand()
    cloud.host()
    _, host, command = cloud.placed()
    host.progress(command)
    time_machine.forward(settings.ENV.build_timeout_s - 1)
    assert sweep.sweep() == sweep.Swept(0, 0)


def test_a_message_is_never_planned_past_its_deadline(cloud: Cloud, time_machine: Time) -> None:
    cloud.boot()
    for _ in range(20):
        time_machine.forward(3)
        sweep.sweep()
        operation = Operation.objects.get()
        assert operation.next_at is None or operation.next_at <= operation.deadline


def test_a_sweep_takes_no_more_than_it_was_told(cloud: Cloud, time_machine: Time) -> None:
    cloud.create(count=5)
    time_machine.forward(settings.ENV.resend_s + 1)
    assert [sweep.sweep(most=2).resent for _ in range(4)] == [2, 2, 1, 0]


def test_messages_that_were_sent_again_a_thousand_times_can_be_sent_once_more(cloud: Cloud, time_machine: Time) -> None:
    """With a build timeout of a day, that happens."""
    cloud.boot()
    Operation.objects.update(resends=5000)
    time_machine.forward(settings.ENV.resend_s + 1)
    assert sweep.sweep().resent == 1


def test_one_operation_that_cannot_be_looked_into_does_not_keep_the_others_waiting(
    cloud: Cloud, time_machine: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apps.compute.services import reports

    poisoned, healthy = cloud.boot(name="poisoned"), cloud.boot(name="healthy")
    original = reports.Build.unanswered

    def unanswered(self: reports.Build, operation: Operation) -> None:
        if operation.resource_id == poisoned.pk:
            raise KeyError("poison")
        original(self, operation)

    monkeypatch.setattr(reports.Build, "unanswered", unanswered)
    time_machine.forward(settings.ENV.place_timeout_s + 1)
    sweep.sweep()
    assert operation_of(healthy).state == "failed"
    assert operation_of(poisoned).state == "queued"
    monkeypatch.undo()


def test_a_sweep_that_is_rolled_back_sends_nothing(cloud: Cloud, time_machine: Time) -> None:
    cloud.boot()
    cloud.bus.wipe()
    time_machine.forward(settings.ENV.resend_s + 1)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        sweep.sweep()
        raise ZeroDivisionError
    assert cloud.bus.waiting == []
    assert sweep.sweep().resent == 1
