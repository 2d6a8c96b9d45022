"""What the conductor does not believe: forged, replayed, of the wrong host, topic, step or generation, or not readable."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from apps.common import clock, keys
from apps.common.context import SYSTEM
from apps.compute.models import Instance
from apps.hosts import selectors as hosts
from apps.hosts.models import Host
from apps.hosts.services import enrol
from apps.operations.models import Operation, OperationEvent, Rejection
from apps.operations.services import intake
from apps.placement.models import Allocation, Inventory
from contracts import topics
from contracts.compute.v1 import Domain, PowerState
from contracts.envelope import Envelope, Kind, Sealer, pack
from contracts.hosts import v1 as hosts_v1
from contracts.report import Outcome, Report
from tests.support.cloud import Cloud, operation_of
from tests.support.fixtures import Time
from tests.support.hosts import Command, FakeHost


def everything() -> list[list[tuple[Any, ...]]]:
    """All that a report could change."""
    tables = (Instance, Operation, OperationEvent, Allocation, Inventory, Host)
    return [list(table.objects.order_by("pk").values_list()) for table in tables]


def rejections() -> list[tuple[str, str]]:
    return list(Rejection.objects.order_by("id").values_list("code", "host_name"))


@pytest.fixture
def built(cloud: Cloud) -> tuple[FakeHost, Command]:
    """A host with a build command that it has not answered yet."""
    cloud.host()
    _, host, command = cloud.placed()
    return host, command


Case = Callable[[FakeHost, Command], str]


def answer(
    host: FakeHost, command: Command, sealer: Sealer | None = None, /, *, kind: Kind = Kind.REPORT, **fields: Any
) -> str:
    """A good answer, unless `fields` of the envelope or the signer say otherwise."""
    report = Report(outcome=Outcome.DONE, result=pack(host.domain(command, PowerState.RUNNING)))
    envelope = {
        "topic": topics.REPORT, "host": str(host.id), "body": pack(report), "operation_id": command.envelope.operation_id,
        "step": command.envelope.step, "generation": command.envelope.generation, **fields,
    }
    return (sealer or host.sealer).seal(Envelope(**envelope), kind)


def changed(wire: str) -> str:
    return wire.replace('"outcome":"done"', '"outcome":"gone"')


def with_key_of(wire: str, key_id: str) -> str:
    return ".".join([key_id, *wire.split(".", 2)[1:]])


REFUSED: dict[str, tuple[Case, str]] = {
    "signed by a key nobody enrolled": (lambda h, c: answer(h, c, Sealer.generate()), "report.bad_signature"),
    "forged under the host's key id": (
        lambda h, c: with_key_of(answer(h, c, Sealer.generate()), h.sealer.public.id), "report.bad_signature"
    ),
    "changed on its way": (lambda h, c: changed(answer(h, c)), "report.bad_signature"),
    "a command taken for a report": (lambda h, c: answer(h, c, kind=Kind.COMMAND), "report.bad_signature"),
    "signed by the control plane": (lambda h, c: answer(h, c, keys.control()), "report.bad_signature"),
    "for another host": (lambda h, c: answer(h, c, host="11111111-1111-4111-8111-111111111111"), "report.wrong_host"),
    "of another topic": (lambda h, c: answer(h, c, topic=topics.HELLO), "report.wrong_topic"),
    "of another version": (lambda h, c: answer(h, c, v=2), "report.version"),
    "without a body": (lambda h, c: answer(h, c, body=msgspec.Raw(b"null")), "report.malformed"),
    "with an unknown outcome": (lambda h, c: answer(h, c, body=msgspec.Raw(b'{"outcome":"great"}')), "report.malformed"),
    "deeper than anything": (
        lambda h, c: answer(h, c, body=msgspec.Raw(b'{"outcome":"done","result":' + b"[" * 9000 + b"]" * 9000 + b"}")),
        "report.malformed",
    ),
    "no envelope": (lambda h, c: "hello", "report.malformed"),
    "nothing": (lambda h, c: "", "report.malformed"),
    "no text": (lambda h, c: 7, "report.malformed"),  # type: ignore[return-value,dict-item]
    "a key id that is none": (lambda h, c: "\x00.x.{}", "report.bad_signature"),
    "no signature": (lambda h, c: f"{h.sealer.public.id}.\u00e9.{{}}", "report.bad_signature"),
    "half a character": (lambda h, c: f"{h.sealer.public.id}.x.\ud800", "report.malformed"),
    "too long": (lambda h, c: "x" * (4 * 1024 * 1024 + 1), "report.malformed"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_and_recorded_and_changes_nothing(built: tuple[FakeHost, Command], name: str) -> None:
    host, command = built
    make, code = REFUSED[name]
    before = everything()
    host.send(make(host, command))
    assert everything() == before
    assert [each[0] for each in rejections()] == [code]


UNHEARD: dict[str, dict[str, Any]] = {
    "of an older generation": {"generation": 0},
    "of a generation that was never given": {"generation": 99},
    "of a step that is over": {"step": "schedule"},
    "of a step that is not asked": {"step": "observe"},
    "about an operation that is not known": {"operation_id": "11111111-1111-4111-8111-111111111111"},
    "about no operation": {"operation_id": ""},
    "about what is no id": {"operation_id": "x' OR 1=1 --"},
}


@pytest.mark.parametrize("name", UNHEARD)
def test_well_signed_but_out_of_date_changes_nothing(built: tuple[FakeHost, Command], name: str) -> None:
    host, command = built
    before = everything()
    host.send(answer(host, command, **UNHEARD[name]))
    assert everything() == before


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_host_that_has_nothing_to_do_with_it_is_refused_whatever_it_says(cloud: Cloud, built: tuple[FakeHost, Command], outcome: Outcome) -> None:
    """A captured host owns only itself: it knows the ids, and its signature is good."""
    host, command = built
    other = cloud.host()
    before = everything()
    other.send(other.report(command, outcome, result=host.domain(command, PowerState.RUNNING)))
    assert everything() == before
    assert rejections() == [("report.wrong_host", other.name)]


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_host_that_was_given_up_has_no_say_any_more(cloud: Cloud, outcome: Outcome) -> None:
    """It knows the operation, and can guess step and generation."""
    cloud.host()
    cloud.host()
    instance, first, command = cloud.placed()
    first.failed(command)
    cloud.schedule()
    instance.refresh_from_db()
    second = cloud.host_of(instance).command(topics.COMPUTE_BUILD)
    before = everything()
    first.send(first.report(second, outcome, result=first.domain(second, PowerState.RUNNING)))
    assert everything() == before


def test_a_bad_one_does_not_spoil_what_came_with_it(built: tuple[FakeHost, Command], cloud: Cloud) -> None:
    host, command = built
    intake.take_in_many(
        [
            (topics.REPORT, "nonsense"), (topics.REPORT, answer(host, command, Sealer.generate())), (topics.HEARTBEAT, "nonsense"),
            (topics.REPORT, answer(host, command)), (topics.OBSERVATION, "nonsense"),
        ]
    )
    assert Instance.objects.get().state == "ACTIVE"
    assert Rejection.objects.count() == 4


def test_a_result_that_cannot_be_used_is_refused_and_does_not_spoil_what_came_with_it(cloud: Cloud) -> None:
    host = cloud.host()
    cloud.create(count=3)
    cloud.run()
    instances = list(Instance.objects.order_by("pk"))
    for instance in instances:
        cloud.power(instance, "stop")
    bad, *good = host.commands()
    wires = [host.report(command, Outcome.DONE, result=host.domain(command, PowerState.SHUTOFF)) for command in good]
    nonsense = host.report(bad, Outcome.DONE, result=hosts_v1.Heartbeat())
    host.send(wires[0], nonsense, wires[1])
    assert sorted(Instance.objects.values_list("state", flat=True)) == ["ACTIVE", "STOPPED", "STOPPED"]
    assert rejections() == [("report.malformed", host.name)]
    assert operation_of(Instance.objects.get(state="ACTIVE")).state == "sent"


# What hosts say unasked.


def test_a_renewed_key_makes_the_old_one_void(built: tuple[FakeHost, Command]) -> None:
    host, command = built
    enrol.enrol(actor=SYSTEM, name=host.name, renew=True)
    hosts._keys._read_at = -1e9  # as after its five seconds
    before = everything()
    host.send(answer(host, command))
    assert everything() == before
    assert rejections() == [("report.bad_signature", "")]


def test_a_hello_that_is_replayed_is_refused(cloud: Cloud) -> None:
    host = cloud.host()
    said = hosts_v1.Hello(agent_version="0", hypervisor="fake", speaks=[], inventory={"VCPU": 9999})
    wire = host.seal(topics.HELLO, said, issued_at=clock.now().timestamp() - 30)
    host.heartbeat()
    before = everything()
    intake.take_in(topics.HELLO, [wire])
    assert everything() == before
    assert rejections() == [("report.replayed", host.name)]


def test_a_heartbeat_that_is_replayed_does_not_make_a_dead_host_alive(cloud: Cloud, time_machine: Time) -> None:
    from apps.hosts.services import presence

    host = cloud.host()
    time_machine.forward(1)
    wire = host.seal(topics.HEARTBEAT, hosts_v1.Heartbeat())
    intake.take_in(topics.HEARTBEAT, [wire])
    time_machine.forward(100)
    assert presence.mark_silent() == [host.id]
    intake.take_in(topics.HEARTBEAT, [wire])
    assert Host.objects.get().state == "down"


@pytest.mark.parametrize("off_by", [-301.0, 310.0])
@pytest.mark.parametrize("topic", [topics.HELLO, topics.HEARTBEAT, topics.OBSERVATION])
def test_a_clock_that_is_far_off_is_refused(cloud: Cloud, topic: str, off_by: float) -> None:
    host = cloud.host()
    before = everything()
    host.say(topic, hosts_v1.Heartbeat(), issued_at=clock.now().timestamp() + off_by)
    assert everything() == before
    assert rejections() == [("report.clock", host.name)]


@pytest.mark.parametrize("topic", [topics.HELLO, topics.OBSERVATION])
def test_an_unreadable_body_is_refused_and_the_next_one_is_heard(cloud: Cloud, topic: str) -> None:
    first, second = cloud.host(), cloud.host()
    at = clock.now().timestamp() + 5
    good = second.seal(topics.HEARTBEAT, hosts_v1.Heartbeat(hypervisor_ok=False), issued_at=at)
    intake.take_in_many([(topic, first.seal(topic, hosts_v1.Heartbeat(), issued_at=at)), (topics.HEARTBEAT, good)])
    assert rejections() == [("report.malformed", first.name)]
    assert not Host.objects.get(pk=second.id).hypervisor_ok


@pytest.mark.parametrize("inventory", [{"VCPU": -1}, {"VCPU": 2**63}, {"x" * 65: 1}])
def test_an_impossible_inventory_is_refused_and_the_old_one_stays(cloud: Cloud, inventory: dict[str, int], time_machine: Time) -> None:
    host = cloud.host(VCPU=4)
    time_machine.forward(1)
    host.hello(inventory)
    assert Inventory.objects.get(resource_class="VCPU").total == 4
    assert rejections() == [("report.malformed", host.name)]


def test_a_domain_with_an_impossible_id_does_not_hide_the_others(cloud: Cloud, time_machine: Time) -> None:
    cloud.host()
    instance, host = cloud.active()
    time_machine.forward(1)
    domains = [
        Domain(instance_id="not-a-uuid", power_state=PowerState.RUNNING),
        Domain(instance_id=str(instance.pk), power_state=PowerState.SHUTOFF),
    ]
    host.say(topics.OBSERVATION, hosts_v1.Observation(started_at=clock.now().timestamp(), domains=domains))
    assert Instance.objects.get().state == "STOPPED"


@pytest.mark.parametrize("started_at", [1e300, -1e300, 1e18, -1.0, 4e9])
def test_an_observation_of_an_impossible_time_is_refused(cloud: Cloud, started_at: float) -> None:
    cloud.host()
    instance, host = cloud.active()
    host.domains.clear()
    host.observation(started_at=started_at)
    assert Instance.objects.get().state == "ACTIVE"
    assert rejections() == [("report.malformed", host.name)]


def test_what_a_refused_report_contained_can_be_recorded(cloud: Cloud) -> None:
    host = cloud.host()
    host.say(topics.HEARTBEAT, hosts_v1.Heartbeat(), host="a\x00b")
    assert rejections() == [("report.wrong_host", host.name)]
