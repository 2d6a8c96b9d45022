"""From the request to ACTIVE and away again: the whole life of an instance, and what it claims on the way."""

import pytest

from apps.compute.models import Instance
from apps.network.models import FixedIP, Port
from apps.operations.models import Operation
from apps.placement import selectors as placement
from apps.scheduler.models import Decision
from contracts import topics
from contracts.report import Event
from tests.support.audit import assert_consistent, assert_nothing_is_claimed
from tests.support.cloud import Cloud, operation_of, timeline


def test_a_request_becomes_an_instance_and_an_operation_and_one_message(cloud: Cloud) -> None:
    created = cloud.create()
    (instance,), (operation,) = created.instances, created.operations
    assert Instance.objects.get().state == "BUILD"
    assert operation.resource_id == instance.pk
    assert (operation.state, operation.step, operation.generation) == ("queued", "schedule", 1)
    (message,) = cloud.bus.waiting
    assert (message.queue, message.task, message.items) == (topics.SCHEDULER, topics.PLACE, (str(operation.pk),))
    assert operation.request_id == "req-test"


def test_placing_claims_capacity_and_an_address_and_commands_the_host(cloud: Cloud) -> None:
    host = cloud.host()
    instance = cloud.boot()
    cloud.schedule()
    instance.refresh_from_db()
    assert (instance.host_id, instance.host_name, instance.state) == (host.id, host.name, "BUILD")
    assert placement.held(instance.pk) == {"VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 5}
    port = Port.objects.get(device_id=instance.pk)
    address = FixedIP.objects.get(port=port)
    assert instance.addresses == [
        {"address": address.address, "family": 4, "mac": port.mac, "network_id": str(cloud.network.pk), "port_id": str(port.pk)}
    ]
    command = host.command(topics.COMPUTE_BUILD)
    operation = operation_of(instance)
    assert (operation.state, operation.step, operation.host_id) == ("sent", "build", host.id)
    assert (command.envelope.operation_id, command.envelope.step) == (str(operation.pk), "build")
    assert command.envelope.generation == instance.generation == 1
    assert command.envelope.deadline == pytest.approx(operation.deadline.timestamp())
    assert command.envelope.request_id == "req-test"
    (card,) = command.body.cards
    assert (card.id, card.mac, card.network) == (str(port.pk), port.mac, str(cloud.network.pk))
    assert [each.address for each in card.addresses] == [address.address]
    assert (port.host_id, port.dns_name, port.keep) == (host.id, "web", False)
    assert_consistent()


def test_the_report_of_the_host_makes_it_active(cloud: Cloud) -> None:
    cloud.host()
    instance, host, command = cloud.placed()
    host.done(command, events=[Event(name="domain started", at=command.envelope.issued_at, took_ms=12.5)])
    instance.refresh_from_db()
    assert (instance.state, instance.power_state, instance.error) == ("ACTIVE", "running", None)
    assert instance.launched_at is not None
    operation = operation_of(instance)
    assert (operation.state, operation.next_at, operation.error) == ("succeeded", None, None)
    assert operation.finished_at is not None
    assert_consistent()


def test_the_timeline_tells_every_hop_in_order(cloud: Cloud) -> None:
    cloud.host()
    instance, host, command = cloud.placed()
    host.done(command, events=[Event(name="image ready", at=1_700_000_000.0), Event(name="domain started", at=1_700_000_001.0)])
    operation = operation_of(instance)
    assert timeline(operation) == [
        "accepted", "host chosen", "addresses claimed", "image ready", "domain started", "finished"
    ]
    assert set(operation.events.values_list("source", flat=True)) == {"api", "scheduler", "host", "conductor"}


def test_a_closed_operation_keeps_no_signed_address_and_no_user_data(cloud: Cloud) -> None:
    cloud.host()
    instance, host, command = cloud.placed(user_data="c2VjcmV0")
    assert "c2VjcmV0" in operation_of(instance).message
    host.done(command)
    assert operation_of(instance).message == ""


def test_many_instances_of_one_request_travel_together(cloud: Cloud) -> None:
    host = cloud.host()
    instances = cloud.create(count=5).instances
    assert [instance.name for instance in instances] == [f"web-{number}" for number in range(1, 6)]
    assert len(cloud.bus.waiting) == 1
    cloud.schedule()
    (message,) = cloud.bus.take_queue(topics.compute_queue(host.name))
    assert len(message.items) == 5
    host.send(*[host.obey(host.open(wire)) for wire in message.items])
    assert set(Instance.objects.values_list("state", flat=True)) == {"ACTIVE"}
    assert len({instance.addresses[0]["address"] for instance in Instance.objects.all()}) == 5
    assert_consistent()


def test_placing_twice_places_once(cloud: Cloud) -> None:
    host = cloud.host()
    instance = cloud.boot()
    (message,) = cloud.bus.take_queue(topics.SCHEDULER)
    cloud.bus.put_back([message, message])
    cloud.schedule()
    cloud.bus.put_back([message])
    cloud.schedule()
    assert len(host.commands()) == 1
    assert Decision.objects.filter(instance_id=instance.pk).count() == 1
    assert_consistent()


def test_a_repeated_report_changes_nothing_more(cloud: Cloud) -> None:
    cloud.host()
    instance, host, command = cloud.placed()
    wire = host.obey(command)
    host.send(wire, wire)
    first = operation_of(instance)
    host.send(wire)
    again = operation_of(instance)
    assert (first.state, first.finished_at) == (again.state, again.finished_at)
    assert timeline(again).count("finished") == 1


def test_deleting_frees_everything_when_the_host_has_said_so_and_not_before(cloud: Cloud) -> None:
    cloud.host()
    instance, host = cloud.active()
    operation = cloud.delete(instance)
    instance.refresh_from_db()
    assert (instance.state, operation.state) == ("DELETING", "sent")
    assert placement.held(instance.pk)
    command = host.command(topics.COMPUTE_DELETE)
    host.gone(command)
    instance.refresh_from_db()
    assert (instance.state, instance.host_id, instance.addresses) == ("DELETED", None, [])
    assert instance.deleted_at is not None
    assert (instance.user_data, instance.public_key) == ("", "")
    assert operation_of(instance).state == "succeeded"
    assert_nothing_is_claimed()


def test_deleting_what_never_was_on_a_host_needs_no_host(cloud: Cloud) -> None:
    instance = cloud.boot()
    operation = cloud.delete(instance)
    instance.refresh_from_db()
    assert (instance.state, operation.state) == ("DELETED", "succeeded")
    build = operation_of(instance, "instance.build")
    assert (build.state, build.error["code"]) == ("cancelled", "operation.superseded")
    cloud.host()
    assert cloud.schedule() == 1
    assert cloud.bus.waiting == []
    assert_nothing_is_claimed()


def test_deleting_again_while_it_is_under_way_is_the_same_operation(cloud: Cloud) -> None:
    cloud.host()
    instance, host = cloud.active()
    assert cloud.delete(instance).pk == cloud.delete(instance).pk
    assert len(host.commands()) == 1


def test_a_deletion_takes_the_place_of_a_running_build_and_its_late_report_changes_nothing(cloud: Cloud) -> None:
    cloud.host()
    instance, host, build = cloud.placed()
    cloud.delete(instance)
    command = host.command(topics.COMPUTE_DELETE)
    assert command.envelope.generation == build.envelope.generation + 1
    assert operation_of(instance, "instance.build").state == "cancelled"
    host.done(build)
    instance.refresh_from_db()
    assert instance.state == "DELETING"
    assert placement.held(instance.pk)
    host.gone(command)
    host.done(build)
    instance.refresh_from_db()
    assert instance.state == "DELETED"
    assert operation_of(instance, "instance.build").state == "cancelled"
    assert_nothing_is_claimed()


def test_a_late_build_command_is_stale_on_a_host_that_has_seen_the_deletion(cloud: Cloud) -> None:
    cloud.host()
    instance, host, build = cloud.placed()
    cloud.delete(instance)
    host.work()
    host.send(host.obey(build))
    assert host.domains == {}
    assert host.built == []
    instance.refresh_from_db()
    assert instance.state == "DELETED"


def test_an_instance_without_disk_of_its_own_claims_no_disk(cloud: Cloud) -> None:
    from tests.support.cloud import make_flavor

    cloud.host(DISK_GB=0)
    instance, _ = cloud.active(flavor_id=make_flavor(disk_gb=0).pk)
    assert set(placement.held(instance.pk)) == {"VCPU", "MEMORY_MB"}


def test_a_boot_costs_a_bounded_number_of_statements(cloud: Cloud) -> None:
    """A guard against a query per row creeping in: one instance and fifty must not differ by much."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    cloud.host(VCPU=100, MEMORY_MB=65536, DISK_GB=1000)
    figures = []
    for count in (1, 50):
        with CaptureQueriesContext(connection) as captured:
            cloud.create(count=count)
            cloud.run()
        figures.append(len(captured))
    assert Operation.objects.filter(state="succeeded").count() == 51
    assert figures[1] <= figures[0] + 12, figures
