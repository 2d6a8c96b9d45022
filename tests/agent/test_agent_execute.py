"""The way of a command through the host: what is refused, repeated, undone, reported."""

import time
from types import SimpleNamespace

import msgspec
import pytest

from agent import execute
from agent.drivers.base import DriverError
from contracts import topics
from contracts.compute import v1 as compute
from contracts.compute.v1 import PowerState
from contracts.envelope import Kind, Sealer
from contracts.report import Outcome
from tests.agent.kit import HOST_ID, Control, Pipeline, domain, make_build


def refused(pipeline: Pipeline, topic: str, wire: str) -> str:
    """The one code that a refused command was counted under; nothing may have been reported or built."""
    assert pipeline.run(topic, wire) == []
    assert pipeline.hypervisor.observe_all() == []
    (code,) = pipeline.executor.refused
    return code


def test_a_build_is_carried_out_and_reported_under_the_same_ids(pipeline: Pipeline, control: Control) -> None:
    wire = control.build("i-1", operation_id="op-7", step="build", generation=3, request_id="req-9")
    ((envelope, report),) = pipeline.run_open(topics.COMPUTE_BUILD, wire)
    assert (envelope.topic, envelope.host) == (topics.REPORT, HOST_ID)
    assert (envelope.operation_id, envelope.step, envelope.generation) == ("op-7", "build", 3)
    assert envelope.request_id == "req-9"
    assert report.outcome is Outcome.DONE
    assert domain(report) == compute.Domain(instance_id="i-1", power_state=PowerState.RUNNING, generation=3)
    names = [event.name for event in report.events]
    assert names == ["host.received", "image.ready", "ports.ready", "disk.made", "domain.started"]


def test_delete_reports_the_instance_absent_also_when_there_was_none(pipeline: Pipeline, control: Control) -> None:
    pipeline.build(control.build("i-1"))
    for instance_id in ("i-1", "never-was"):
        (report,) = pipeline.run(topics.COMPUTE_DELETE, control.delete(instance_id, generation=2))
        assert report.outcome is Outcome.DONE
        assert domain(report).power_state is PowerState.ABSENT


def test_power_reports_the_new_state(pipeline: Pipeline, control: Control) -> None:
    pipeline.build(control.build("i-1"))
    stop = compute.Power(instance_id="i-1", action=compute.PowerAction.STOP)
    (report,) = pipeline.run(topics.COMPUTE_POWER, control.command(topics.COMPUTE_POWER, stop, generation=2))
    assert domain(report) == compute.Domain(instance_id="i-1", power_state=PowerState.SHUTOFF, generation=2)


def test_the_console_of_a_built_instance_is_read_and_never_more_than_asked(
    pipeline: Pipeline, control: Control
) -> None:
    pipeline.build(control.build("i-1"))
    ask = compute.Console(instance_id="i-1", max_bytes=17)
    (report,) = pipeline.run(topics.COMPUTE_CONSOLE, control.command(topics.COMPUTE_CONSOLE, ask))
    output = msgspec.json.decode(report.result, type=compute.ConsoleOutput)
    assert (output.text, output.truncated) == ("cloudsite: ready\n", True)


def test_a_repeat_sends_the_stored_report_and_does_nothing(pipeline: Pipeline, control: Control) -> None:
    wire = control.build("i-1")
    pipeline.build(wire)
    pipeline.build(wire)
    (_, first), (_, second) = pipeline.messages
    assert first == second
    assert pipeline.hypervisor.built("i-1") == 1


def test_a_repeat_after_a_restart_of_the_agent_is_still_a_repeat(pipeline: Pipeline, control: Control) -> None:
    wire = control.build("i-1")
    pipeline.build(wire)
    pipeline.crash()
    (report,) = pipeline.build(wire)
    assert report.outcome is Outcome.DONE
    assert pipeline.hypervisor.built("i-1") == 1


def test_a_replayed_build_does_not_bring_a_deleted_instance_back(pipeline: Pipeline, control: Control) -> None:
    build = control.build("i-1", generation=1)
    pipeline.build(build)
    pipeline.run(topics.COMPUTE_DELETE, control.delete("i-1", generation=2))
    pipeline.build(build)
    other_build = control.build("i-1", generation=1)
    (report,) = pipeline.build(other_build)
    assert report.outcome is Outcome.STALE
    assert report.error is not None and report.error.code == "command.stale"
    assert pipeline.hypervisor.observe_all() == []


def test_an_older_generation_is_stale_and_does_nothing(pipeline: Pipeline, control: Control) -> None:
    pipeline.build(control.build("i-1", generation=4))
    (report,) = pipeline.run(topics.COMPUTE_DELETE, control.delete("i-1", generation=3))
    assert report.outcome is Outcome.STALE
    assert pipeline.hypervisor.observe("i-1").power_state is PowerState.RUNNING


def test_past_its_deadline_nothing_is_done(pipeline: Pipeline, control: Control) -> None:
    (report,) = pipeline.build(control.build("i-1", deadline=time.time() - 1))
    assert report.outcome is Outcome.EXPIRED
    assert pipeline.hypervisor.observe_all() == []
    assert pipeline.journal.newest_generation(HOST_ID, "i-1") == 0


def test_a_command_without_a_deadline_is_expired(pipeline: Pipeline, control: Control) -> None:
    (report,) = pipeline.build(control.build("i-1", deadline=0.0))
    assert report.outcome is Outcome.EXPIRED


def test_a_late_repeat_of_what_was_done_in_time_says_done(
    pipeline: Pipeline, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire, other = control.build("i-1"), control.build("i-2")
    pipeline.build(wire)
    later = SimpleNamespace(time=lambda: time.time() + 3600, monotonic=time.monotonic)
    monkeypatch.setattr(execute, "time", later)
    assert [report.outcome for report in pipeline.build(wire)] == [Outcome.DONE]
    assert [report.outcome for report in pipeline.build(other)] == [Outcome.EXPIRED]


def test_a_command_for_another_host_is_refused(pipeline: Pipeline, control: Control) -> None:
    wire = control.build("i-1", host="somebody-else")
    assert refused(pipeline, topics.COMPUTE_BUILD, wire) == "envelope.wrong_host"


def test_a_command_signed_by_a_stranger_is_refused(pipeline: Pipeline, control: Control) -> None:
    envelope = control.envelope(topics.COMPUTE_BUILD, make_build())
    forged = Sealer.generate().seal(envelope, Kind.COMMAND)
    assert refused(pipeline, topics.COMPUTE_BUILD, forged) == "envelope.bad_signature"


def test_a_report_of_our_own_cannot_be_played_back_as_a_command(pipeline: Pipeline, control: Control) -> None:
    envelope = control.envelope(topics.COMPUTE_BUILD, make_build())
    as_report = control.sealer.seal(envelope, Kind.REPORT)
    assert refused(pipeline, topics.COMPUTE_BUILD, as_report) == "envelope.bad_signature"


def test_a_command_changed_on_the_way_is_refused(pipeline: Pipeline, control: Control) -> None:
    wire = control.build("i-1").replace('"vcpus":1', '"vcpus":8')
    assert refused(pipeline, topics.COMPUTE_BUILD, wire) == "envelope.bad_signature"


def test_a_command_under_another_task_name_is_refused(pipeline: Pipeline, control: Control) -> None:
    assert refused(pipeline, topics.COMPUTE_DELETE, control.build("i-1")) == "envelope.wrong_topic"


def test_a_command_issued_in_the_future_is_refused(pipeline: Pipeline, control: Control) -> None:
    wire = control.build("i-1", issued_at=time.time() + 3600, deadline=time.time() + 7200)
    assert refused(pipeline, topics.COMPUTE_BUILD, wire) == "envelope.clock"


@pytest.mark.parametrize("wire", ["", "nonsense", "a.b.{}", None, 7, {"a": 1}, "x" * (5 * 1024 * 1024)])
def test_what_is_no_envelope_at_all_is_refused(pipeline: Pipeline, wire: object) -> None:
    assert refused(pipeline, topics.COMPUTE_BUILD, wire) in {"envelope.malformed", "envelope.bad_signature"}  # type: ignore[arg-type]


def test_one_bad_command_does_not_spoil_its_message(pipeline: Pipeline, control: Control) -> None:
    reports = pipeline.build(control.build("i-1"), "nonsense", control.build("i-2"))
    assert [report.outcome for report in reports] == [Outcome.DONE, Outcome.DONE]


def test_a_signed_command_with_an_unusable_body_fails_and_says_which_field(
    pipeline: Pipeline, control: Control
) -> None:
    wire = control.command(topics.COMPUTE_BUILD, msgspec.Raw(b'{"instance_id": 7}'))
    (report,) = pipeline.build(wire)
    assert report.outcome is Outcome.FAILED
    assert report.error is not None
    assert (report.error.code, report.error.retryable) == ("envelope.malformed", False)
    assert "instance_id" in report.error.message


def test_unknown_fields_of_a_newer_control_plane_are_ignored(pipeline: Pipeline, control: Control) -> None:
    body = msgspec.json.decode(msgspec.json.encode(make_build("i-1")))
    raw = msgspec.Raw(msgspec.json.encode({**body, "of_a_later_release": {"x": 1}}))
    (report,) = pipeline.build(control.command(topics.COMPUTE_BUILD, raw))
    assert report.outcome is Outcome.DONE


def test_a_driver_error_fails_with_its_code_and_everything_made_is_undone(pipeline: Pipeline, control: Control) -> None:
    undone: list[str] = []

    def fail(instance_id: str) -> None:
        raise DriverError("hypervisor.full", "no room left", retryable=True)

    pipeline.hypervisor.hooks = {
        "built": fail,
        "undo.disk": lambda _: undone.append("disk"),
        "undo.ports": lambda _: undone.append("ports"),
    }
    (report,) = pipeline.build(control.build("i-1"))
    assert report.outcome is Outcome.FAILED
    assert report.error is not None
    assert (report.error.code, report.error.message, report.error.retryable) == (
        "hypervisor.full",
        "no room left",
        True,
    )
    assert undone == ["disk", "ports"]
    assert pipeline.hypervisor.observe_all() == []
    assert [event.name for event in report.events][-3:] == ["undo.domain", "undo.disk", "undo.ports"]


def test_an_error_while_undoing_hides_neither_the_first_error_nor_stops_the_rest(
    pipeline: Pipeline, control: Control
) -> None:
    undone: list[str] = []

    def fail(instance_id: str) -> None:
        raise DriverError("first", "the real reason", retryable=False)

    def fail_again(instance_id: str) -> None:
        raise RuntimeError("cannot remove the disk")

    pipeline.hypervisor.hooks = {
        "built": fail,
        "undo.disk": fail_again,
        "undo.ports": lambda _: undone.append("ports"),
    }
    (report,) = pipeline.build(control.build("i-1"))
    assert report.error is not None and report.error.code == "first"
    assert undone == ["ports"]
    details = {event.name: event.detail for event in report.events}
    assert "cannot remove the disk" in details["undo.disk"]


def test_a_crash_of_the_driver_fails_as_internal_and_is_undone(pipeline: Pipeline, control: Control) -> None:
    def crash(instance_id: str) -> None:
        raise ZeroDivisionError("oops")

    pipeline.hypervisor.hooks["built"] = crash
    (report,) = pipeline.build(control.build("i-1"))
    assert report.error is not None and report.error.code == "agent.internal"
    assert pipeline.hypervisor.observe_all() == []


def test_a_failed_command_repeated_gets_the_same_answer_and_a_new_generation_another_try(
    pipeline: Pipeline, control: Control
) -> None:
    def fail(instance_id: str) -> None:
        raise DriverError("once", "only this time")

    pipeline.hypervisor.hooks["disk.made"] = fail
    wire = control.build("i-1", operation_id="op", generation=1)
    pipeline.build(wire)
    pipeline.hypervisor.hooks.clear()
    assert [report.outcome for report in pipeline.build(wire)] == [Outcome.FAILED]
    again = control.build("i-1", operation_id="op", generation=2)
    assert [report.outcome for report in pipeline.build(again)] == [Outcome.DONE]


def test_a_build_begun_before_a_crash_is_finished_by_its_repeat_and_built_once(
    pipeline: Pipeline, control: Control
) -> None:
    class PowerCut(BaseException):
        pass

    def cut(instance_id: str) -> None:
        raise PowerCut

    pipeline.hypervisor.hooks["built"] = cut
    wire = control.build("i-1", operation_id="op-1")
    with pytest.raises(PowerCut):
        pipeline.executor.run(topics.COMPUTE_BUILD, [wire])
    pipeline.crash()
    assert pipeline.journal.unfinished(HOST_ID) == ["op-1"]
    (report,) = pipeline.build(wire)
    assert report.outcome is Outcome.DONE
    assert pipeline.hypervisor.built("i-1") == 1
    assert pipeline.journal.unfinished(HOST_ID) == []
