"""Operations: one open per resource, closed states that stay, the bus, leases and pruning."""

import uuid
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import IntegrityError, transaction

from apps.common import bus as real_bus
from apps.common import clock
from apps.common.context import SYSTEM
from apps.common.errors import Conflict, InvalidState
from apps.operations.models import ClientToken, Lease, Operation, OperationEvent, Rejection
from apps.operations.services import leases, lifecycle, sweep
from apps.operations.services.lifecycle import Note
from apps.operations.states import MACHINE, OPEN, OpState
from contracts import topics
from tests.support.cloud import Cloud, operation_of
from tests.support.fixtures import Time


def prepared(resource: uuid.UUID | None = None, kind: str = "instance.stop") -> Operation:
    return lifecycle.prepare(actor=SYSTEM, kind=kind, resource_id=resource or uuid.uuid4(), project_id=None)


@pytest.mark.parametrize("first", OPEN)
@pytest.mark.parametrize("second", OPEN)
def test_the_database_refuses_a_second_open_operation_of_a_resource(transactional_db: None, first: OpState, second: OpState) -> None:
    resource = uuid.uuid4()
    one, two = prepared(resource), prepared(resource)
    one.state, two.state = first.value, second.value
    one.save(force_insert=True)
    with pytest.raises(IntegrityError), transaction.atomic():
        two.save(force_insert=True)


def test_any_number_of_closed_operations_may_precede_an_open_one(transactional_db: None) -> None:
    resource = uuid.uuid4()
    for _ in range(3):
        operation = prepared(resource)
        lifecycle.insert([operation])
        lifecycle.succeed([operation])
    lifecycle.insert([prepared(resource)])
    assert Operation.objects.count() == 4


def test_who_comes_second_is_told_what_is_under_way(transactional_db: None) -> None:
    resource = uuid.uuid4()
    lifecycle.insert([prepared(resource)])
    with pytest.raises(InvalidState) as caught:
        lifecycle.insert([prepared(), prepared(resource)])
    assert caught.value.code == "operation.in_progress"
    assert caught.value.facts["operation"] == "instance.stop"
    assert Operation.objects.count() == 1


def test_an_open_operation_is_always_watched_and_a_closed_one_never(transactional_db: None) -> None:
    operation = prepared()
    lifecycle.insert([operation])
    for change in ({"next_at": None}, {"state": "succeeded"}, {"state": "nonsense"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Operation.objects.filter(pk=operation.pk).update(**change)


@pytest.mark.parametrize("closed", [state for state in OpState if not MACHINE[state]])
def test_a_closed_operation_stays_as_it_is(transactional_db: None, closed: OpState) -> None:
    operation = prepared()
    lifecycle.insert([operation])
    lifecycle._close([operation], closed)
    lifecycle.succeed([operation])
    lifecycle.fail(operation, Conflict("x", "x"))
    lifecycle.cancel(operation, Conflict("x", "x"))
    operation.refresh_from_db()
    assert operation.state == closed
    with pytest.raises(InvalidState):
        lifecycle.advance(operation, step="power", state=OpState.SENT)


@pytest.mark.parametrize("source", OpState)
@pytest.mark.parametrize("target", OpState)
def test_an_operation_moves_along_its_table_only(transactional_db: None, source: OpState, target: OpState) -> None:
    operation = prepared()
    operation.state = source.value
    if target in MACHINE[source]:
        lifecycle.advance(operation, step="power", state=target)
        assert operation.state == target
    else:
        with pytest.raises(InvalidState):
            lifecycle.advance(operation, step="power", state=target)
        assert operation.state == source


def test_advancing_gives_a_new_deadline_and_resets_the_resends(transactional_db: None, time_machine: Time) -> None:
    operation = prepared()
    operation.state, operation.resends = "sent", 4
    before = operation.deadline
    time_machine.forward(100)
    lifecycle.advance(operation, step="power", state=OpState.RUNNING)
    assert operation.resends == 0
    assert operation.deadline >= before + timedelta(seconds=100)
    assert operation.next_at is not None
    assert operation.next_at <= operation.deadline


# The bus.


def test_nothing_is_sent_inside_a_transaction(cloud: Cloud) -> None:
    message = real_bus.Message("q", "t", ("x",))
    with transaction.atomic(), pytest.raises(RuntimeError, match="inside a transaction"):
        real_bus.send([message])
    assert cloud.bus.waiting == []
    real_bus.send([message])
    assert cloud.bus.waiting == [message]


def test_what_rolls_back_is_not_sent(cloud: Cloud) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        real_bus.send_after_commit([real_bus.Message("q", "t", ("x",))])
        raise ZeroDivisionError
    assert cloud.bus.waiting == []


def test_a_broker_that_is_down_costs_time_and_loses_nothing(cloud: Cloud, time_machine: Time) -> None:
    cloud.host()
    cloud.bus.down = True
    instance = cloud.boot()
    assert operation_of(instance).state == "queued"
    cloud.bus.down = False
    assert sweep.sweep() == sweep.Swept(0, 0)
    time_machine.forward(settings.ENV.resend_s + 0.1)
    assert sweep.sweep() == sweep.Swept(1, 0)
    cloud.run()
    instance.refresh_from_db()
    assert instance.state == "ACTIVE"


def test_a_broker_that_was_wiped_loses_nothing(cloud: Cloud, time_machine: Time) -> None:
    """Whatever was on its way, at every hop."""
    cloud.host()
    instance = cloud.boot()
    for _ in range(4):
        cloud.bus.wipe()
        time_machine.forward(31)
        sweep.sweep()
        cloud.schedule()
    instance.refresh_from_db()
    host = cloud.host_of(instance)
    command = host.commands()[0]
    host.obey(command)
    time_machine.forward(31)
    sweep.sweep()
    host.work()
    instance.refresh_from_db()
    assert instance.state == "ACTIVE"
    assert host.built == [str(instance.pk)]


def test_messages_of_one_queue_and_task_travel_together(cloud: Cloud) -> None:
    operations = [prepared() for _ in range(4)]
    for number, operation in enumerate(operations):
        operation.queue, operation.task, operation.message = f"compute.h{number % 2}", topics.COMPUTE_POWER, str(number)
    with transaction.atomic():
        lifecycle.dispatch(operations)
    assert [(m.queue, m.items) for m in cloud.bus.waiting] == [("compute.h0", ("0", "2")), ("compute.h1", ("1", "3"))]


# Leases and pruning.


def test_a_lease_is_held_by_one_until_it_runs_out(transactional_db: None, time_machine: Time) -> None:
    time_machine.stand()
    assert leases.acquire(name="sweep", holder="a", seconds=10)
    assert not leases.acquire(name="sweep", holder="b", seconds=10)
    assert leases.acquire(name="prune", holder="b", seconds=10)
    time_machine.forward(9)
    assert leases.acquire(name="sweep", holder="a", seconds=10)
    time_machine.forward(9)
    assert not leases.acquire(name="sweep", holder="b", seconds=10)
    time_machine.forward(2)
    assert leases.acquire(name="sweep", holder="b", seconds=10)
    assert not leases.acquire(name="sweep", holder="a", seconds=10)
    assert Lease.objects.count() == 2


def test_pruning_removes_what_is_old_and_keeps_what_is_open_or_young(transactional_db: None, time_machine: Time) -> None:
    old, console, still_open, young = (prepared(kind=kind) for kind in ("instance.stop", "instance.console", "instance.stop", "instance.stop"))
    lifecycle.insert([old, console, still_open], [Note(old.pk, "api", "accepted")])
    lifecycle.succeed([old, console])
    ClientToken.objects.create(project_id=uuid.uuid4(), token="t", fingerprint="f")
    Rejection.objects.create(code="report.bad_signature")
    assert sweep.prune() == 0
    time_machine.forward(601)
    sweep.prune()
    assert set(Operation.objects.values_list("pk", flat=True)) == {old.pk, still_open.pk}
    time_machine.forward(86400)
    sweep.prune()
    assert ClientToken.objects.count() == 0
    time_machine.forward(settings.ENV.events_days * 86400)
    lifecycle.insert([young])
    Operation.objects.filter(pk=young.pk).update(state="failed", next_at=None, finished_at=clock.now())
    sweep.prune()
    assert set(Operation.objects.values_list("pk", flat=True)) == {still_open.pk, young.pk}
    assert OperationEvent.objects.count() == 0
    assert Rejection.objects.count() == 0
