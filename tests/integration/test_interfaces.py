"""Network cards that come and go while their instance is there: ports claimed with the request, freed when the host has said so."""

import uuid

import pytest
from django.conf import settings

from apps.audit.models import Record
from apps.common.context import SYSTEM
from apps.compute.models import Instance
from apps.compute.services import interfaces
from apps.compute.services.cards import WantedCard
from apps.network.models import Network, Port
from apps.network.services import ports
from apps.operations.models import Operation
from apps.operations.services import sweep
from apps.quotas.services import limits
from contracts import topics
from contracts.compute.v1 import PowerState
from contracts.report import Outcome
from tests.support.audit import assert_consistent, assert_nothing_is_claimed
from tests.support.cloud import Cloud, make_network, make_project, operation_of, refusal, timeline
from tests.support.commands import as_json, run
from tests.support.fixtures import Time
from tests.support.hosts import FakeHost
from tests.support.identity import make_actor

ENV = settings.ENV


@pytest.fixture
def back(cloud: Cloud) -> Network:
    cloud.host()
    return make_network(cloud.actor, "back", cidr="10.7.0.0/24")


def attach(cloud: Cloud, instance: Instance, **card: object) -> interfaces.Attached:
    return interfaces.attach(actor=cloud.actor, instance_id=instance.pk, card=WantedCard(**card))  # type: ignore[arg-type]


def detach(cloud: Cloud, instance: Instance, port_id: uuid.UUID) -> Operation:
    return interfaces.detach(actor=cloud.actor, instance_id=instance.pk, port_id=port_id)


def networks_of(instance: Instance) -> list[str]:
    instance.refresh_from_db()
    return [each["address"].rsplit(".", 1)[0] for each in instance.addresses]


def overdue(time_machine: Time, seconds: float) -> None:
    time_machine.forward(seconds + 0.1)
    assert sweep.sweep().overdue == 1


@pytest.mark.parametrize("stopped", [False, True])
def test_a_card_is_claimed_plugged_in_and_shown(cloud: Cloud, back: Network, stopped: bool) -> None:
    instance, host = cloud.active()
    if stopped:
        cloud.power(instance, "stop")
        host.work()
    made = attach(cloud, instance, network_id=back.pk, address="10.7.0.9")
    assert [each["address"] for each in made.addresses] == ["10.7.0.9"]
    port = Port.objects.get(pk=made.port_id)
    assert (port.device_id, port.host_id, port.dns_name) == (instance.pk, host.id, "web")
    command = host.command(topics.COMPUTE_ATTACH)
    assert (command.body.card.id, command.body.card.mac) == (str(port.pk), port.mac)
    assert command.envelope.generation == made.operation.generation
    assert_consistent()
    host.send(host.obey(command))
    operation = operation_of(instance)
    assert (operation.state, operation.kind, timeline(operation)) == ("succeeded", "instance.attach", ["accepted", "finished"])
    assert networks_of(instance) == ["10.64.0", "10.7.0"]
    assert instance.state == ("STOPPED" if stopped else "ACTIVE")
    assert str(port.pk) in host.cards[str(instance.pk)]
    assert Record.objects.get(action="compute.instance.attach").changes["attached"][-1] == str(port.pk)
    assert_consistent()


def test_a_card_goes_when_the_host_has_taken_it_out_and_not_before(cloud: Cloud, back: Network) -> None:
    instance, host = cloud.active()
    made = attach(cloud, instance, network_id=back.pk)
    host.work()
    detach(cloud, instance, made.port_id)
    assert Port.objects.filter(pk=made.port_id).exists()
    command = host.command(topics.COMPUTE_DETACH)
    assert (command.instance_id, command.body.card) == (str(instance.pk), str(made.port_id))
    host.send(host.obey(command))
    assert not Port.objects.filter(pk=made.port_id).exists()
    assert networks_of(instance) == ["10.64.0"]
    assert operation_of(instance).state == "succeeded"
    assert_consistent()


def test_a_port_of_its_own_is_bound_and_kept(cloud: Cloud, back: Network) -> None:
    instance, host = cloud.active()
    port = ports.create(actor=cloud.actor, network_id=back.pk)
    attach(cloud, instance, port_id=port.pk)
    host.work()
    port.refresh_from_db()
    assert (port.device_id, port.host_id) == (instance.pk, host.id)
    assert refusal(attach, cloud, instance, port_id=port.pk).code == "port.in_use"
    detach(cloud, instance, port.pk)
    host.work()
    port.refresh_from_db()
    assert (port.device_kind, port.device_id, port.host_id) == ("", None, None)
    assert_consistent()


def test_the_first_card_can_be_taken_out_too(cloud: Cloud, back: Network) -> None:
    instance, host = cloud.active()
    detach(cloud, instance, uuid.UUID(instance.addresses[0]["port_id"]))
    host.work()
    assert networks_of(instance) == []
    assert_consistent()


def test_what_the_host_could_not_attach_is_freed(cloud: Cloud, back: Network) -> None:
    instance, host = cloud.active()
    attach(cloud, instance, network_id=back.pk)
    host.failed(host.command(topics.COMPUTE_ATTACH), "libvirt.hotplug", retryable=False)
    operation = operation_of(instance)
    assert (operation.state, (operation.error or {})["code"]) == ("failed", "libvirt.hotplug")
    assert networks_of(instance) == ["10.64.0"]
    assert Port.objects.filter(network=back).count() == 0
    assert_consistent()


def test_what_the_host_could_not_detach_is_tried_again_and_stays_then(cloud: Cloud, back: Network) -> None:
    instance, host = cloud.active()
    port_id = uuid.UUID(instance.addresses[0]["port_id"])
    detach(cloud, instance, port_id)
    generations = []
    for _ in range(3):
        command = host.command(topics.COMPUTE_DETACH)
        generations.append(command.envelope.generation)
        host.failed(command)
    assert generations == sorted(set(generations))
    assert operation_of(instance).state == "failed"
    assert networks_of(instance) == ["10.64.0"]
    assert_consistent()
    detach(cloud, instance, port_id)
    host.work()
    assert networks_of(instance) == []


def test_a_card_that_is_late_is_taken_out_again_and_the_late_command_is_void(cloud: Cloud, back: Network, time_machine: Time) -> None:
    instance, host = cloud.active()
    made = attach(cloud, instance, network_id=back.pk)
    late = host.command(topics.COMPUTE_ATTACH)
    overdue(time_machine, ENV.power_timeout_s)
    host.done(host.command(topics.COMPUTE_OBSERVE))
    undo = host.command(topics.COMPUTE_DETACH)
    assert undo.envelope.generation > late.envelope.generation
    assert Port.objects.filter(pk=made.port_id).exists()
    host.send(host.obey(undo))
    operation = operation_of(instance)
    assert (operation.state, (operation.error or {})["code"]) == ("failed", "attach.timeout")
    assert networks_of(instance) == ["10.64.0"]
    host.send(host.obey(late))
    assert str(made.port_id) not in host.cards[str(instance.pk)]
    assert_consistent()


def test_a_late_answer_to_the_attachment_counts_all_the_same(cloud: Cloud, back: Network, time_machine: Time) -> None:
    instance, host = cloud.active()
    attach(cloud, instance, network_id=back.pk)
    command = host.command(topics.COMPUTE_ATTACH)
    overdue(time_machine, ENV.power_timeout_s)
    host.send(host.report(command, Outcome.DONE, result=host.domain(command, PowerState.RUNNING)))
    assert operation_of(instance).state == "succeeded"
    assert networks_of(instance) == ["10.64.0", "10.7.0"]


@pytest.mark.parametrize("what", ["attach", "detach"])
def test_a_silent_host_leaves_the_port_until_it_is_heard_again(cloud: Cloud, back: Network, time_machine: Time, what: str) -> None:
    instance, host = cloud.active()
    made = attach(cloud, instance, network_id=back.pk)
    if what == "detach":
        host.work()
        detach(cloud, instance, made.port_id)
    overdue(time_machine, ENV.power_timeout_s)
    overdue(time_machine, ENV.observe_timeout_s)
    operation = operation_of(instance)
    assert (operation.state, (operation.error or {})["code"]) == ("failed", "host.silent")
    assert networks_of(instance) == ["10.64.0", "10.7.0"]
    assert_consistent()
    cloud.bus.wipe()
    time_machine.forward(30)
    host.observation()
    host.observation()
    host.work()
    assert networks_of(instance) == ["10.64.0"]
    assert (instance.cards_in_doubt, instance.state) == ([], "ACTIVE")
    assert not Port.objects.filter(pk=made.port_id).exists()
    assert_consistent()


def test_a_deletion_takes_the_place_of_an_attachment_and_frees_its_port(cloud: Cloud, back: Network) -> None:
    instance, host = cloud.active()
    attach(cloud, instance, network_id=back.pk)
    cloud.delete(instance)
    assert operation_of(instance, "instance.attach").state == "cancelled"
    cloud.run()
    assert_nothing_is_claimed()


def test_one_thing_is_done_to_an_instance_at_a_time(cloud: Cloud, back: Network) -> None:
    instance, _ = cloud.active()
    attach(cloud, instance, network_id=back.pk)
    assert refusal(attach, cloud, instance, network_id=back.pk).code == "operation.in_progress"
    assert Port.objects.filter(network=back).count() == 1
    assert_consistent()


def test_a_refused_attachment_leaves_nothing(cloud: Cloud, back: Network) -> None:
    instance, host = cloud.active()
    limits.set_limits(actor=SYSTEM, owner_id=cloud.project.pk, limits={"ports": 1})
    assert refusal(attach, cloud, instance, network_id=back.pk).code == "quota.exceeded"
    assert refusal(attach, cloud, instance, network_id=uuid.UUID(int=7)).code == "network.not_found"
    assert refusal(detach, cloud, instance, uuid.UUID(int=7)).code == "port.not_found"
    assert host.commands() == []
    assert networks_of(instance) == ["10.64.0"]
    assert_consistent()


def test_an_instance_that_is_not_up_takes_no_card(cloud: Cloud, back: Network) -> None:
    instance = cloud.boot()
    error = refusal(attach, cloud, instance, network_id=back.pk)
    assert (error.code, error.facts["state"]) == ("instance.state", "BUILD")
    assert refusal(detach, cloud, instance, uuid.UUID(int=7)).code == "instance.state"


def test_strangers_and_readers_attach_nothing_and_operators_do(cloud: Cloud, back: Network) -> None:
    instance, host = cloud.active()
    card = WantedCard(network_id=back.pk)
    stranger = make_actor(make_project(), role="admin")
    assert refusal(interfaces.attach, actor=stranger, instance_id=instance.pk, card=card).code == "instance.not_found"
    reader = make_actor(cloud.project, role="reader")
    assert refusal(interfaces.attach, actor=reader, instance_id=instance.pk, card=card).kind == "forbidden"
    port_id = uuid.UUID(instance.addresses[0]["port_id"])
    assert refusal(interfaces.detach, actor=stranger, instance_id=instance.pk, port_id=port_id).code == "instance.not_found"
    assert refusal(interfaces.detach, actor=reader, instance_id=instance.pk, port_id=port_id).kind == "forbidden"
    interfaces.attach(actor=SYSTEM, instance_id=instance.pk, card=card)
    host.work()
    assert Port.objects.get(network=back).project_id == cloud.project.pk
    assert_consistent()


def test_a_machine_has_room_for_sixteen(cloud: Cloud, back: Network) -> None:
    instance, host = cloud.active(networks=[WantedCard(network_id=back.pk)] * 16)
    assert isinstance(host, FakeHost)
    assert refusal(attach, cloud, instance, network_id=back.pk).code == "instance.cards"


def test_operators_attach_and_detach_at_the_shell(cloud: Cloud, back: Network) -> None:
    instance, host = cloud.active()
    project = ("--project", str(cloud.project.pk))
    made = as_json("instance_attach", "web", "--network", "back", "--address", "10.7.0.9", *project)
    assert (made["operation"]["kind"], made["addresses"][0]["address"]) == ("instance.attach", "10.7.0.9")
    host.work()
    mac = Port.objects.get(pk=made["port_id"]).mac
    assert made["port_id"] in run("instance_show", str(instance.pk))[1]
    code, text = run("instance_detach", str(instance.pk), mac)
    assert (code, "sent" in text) == (0, True)
    host.work()
    assert networks_of(instance) == ["10.64.0"]
    assert run("instance_detach", str(instance.pk), mac)[0] == 3
    assert run("instance_attach", "web", "--port", "nothing", *project)[0] == 3
    port = ports.create(actor=cloud.actor, network_id=back.pk, name="spare")
    code, text = run("instance_attach", str(instance.pk), "--port", "spare")
    assert code == 0 and str(port.pk) in text
