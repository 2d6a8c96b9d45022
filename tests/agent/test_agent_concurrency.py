"""Commands beside and behind each other: repeats of what is running, questions, locks, lanes, progress."""

import sqlite3
import threading
import time
from pathlib import Path

import pytest

from agent.config import Simulated
from agent.running import FIRST_PROGRESS_S
from contracts import topics
from contracts.compute import v1 as compute
from contracts.compute.v1 import PowerState
from contracts.report import Outcome, Report
from tests.agent.kit import HOST_ID, Control, Pipeline, domain, wait_for


class Held:
    """Holds builds at their disk until let go."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.reached = threading.Event()
        self.go = threading.Event()
        pipeline.hypervisor.hooks["disk.made"] = self._hold

    def _hold(self, instance_id: str) -> None:
        self.reached.set()
        assert self.go.wait(100)


def in_background(pipeline: Pipeline, wire: str) -> threading.Thread:
    thread = threading.Thread(target=pipeline.executor.run, args=(topics.COMPUTE_BUILD, [wire]))
    thread.start()
    return thread


def outcomes(pipeline: Pipeline) -> list[Outcome]:
    return [pipeline.control.open(wire)[1].outcome for _, wires in pipeline.messages for wire in wires]


def test_a_repeat_of_what_is_running_right_now_is_ignored(pipeline: Pipeline, control: Control) -> None:
    held, wire = Held(pipeline), control.build("i-1")
    thread = in_background(pipeline, wire)
    assert held.reached.wait(60)
    assert pipeline.build(wire) == []
    held.go.set()
    thread.join()
    assert outcomes(pipeline) == [Outcome.DONE]
    assert pipeline.hypervisor.built("i-1") == 1


def test_observe_answers_while_a_build_is_running_and_says_progress_of_that_very_operation(
    pipeline: Pipeline, control: Control
) -> None:
    held, wire = Held(pipeline), control.build("i-1", operation_id="op-1", generation=2)
    thread = in_background(pipeline, wire)
    assert held.reached.wait(60)
    (of_it,) = pipeline.run(topics.COMPUTE_OBSERVE, control.observe("i-1", operation_id="op-1", step="observe"))
    assert of_it.outcome is Outcome.PROGRESS
    assert [event.name for event in of_it.events] == ["host.received", "image.ready", "ports.ready"]
    (of_another,) = pipeline.run(topics.COMPUTE_OBSERVE, control.observe("i-1", operation_id="op-2"))
    assert of_another.outcome is Outcome.DONE
    assert domain(of_another) == compute.Domain(instance_id="i-1", power_state=PowerState.ABSENT, generation=2)
    held.go.set()
    thread.join()


def test_many_questions_in_one_message_wait_for_no_lane(tmp_path: Path, control: Control) -> None:
    pipeline = Pipeline(tmp_path, control, lanes=1)
    held = Held(pipeline)
    thread = in_background(pipeline, control.build("i-1"))
    assert held.reached.wait(60)
    reports = pipeline.run(topics.COMPUTE_OBSERVE, *[control.observe(f"i-{number}") for number in range(5)])
    assert [report.outcome for report in reports] == [Outcome.DONE] * 5
    assert len(pipeline.messages) == 1
    held.go.set()
    thread.join()


def test_what_was_done_is_reported_although_the_journal_cannot_be_written(
    pipeline: Pipeline, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(pipeline.journal, "end", full)
    (report,) = pipeline.build(control.build("i-1"))
    assert report.outcome is Outcome.DONE
    monkeypatch.setattr(pipeline.journal, "begin", full)
    (report,) = pipeline.build(control.build("i-2"))
    assert report.error is not None and report.error.code == "agent.internal"
    assert pipeline.hypervisor.observe("i-2").power_state is PowerState.ABSENT


def test_observe_answers_with_the_last_generation_whatever_its_own(pipeline: Pipeline, control: Control) -> None:
    pipeline.build(control.build("i-1", generation=5))
    (report,) = pipeline.run(topics.COMPUTE_OBSERVE, control.observe("i-1", generation=1))
    assert domain(report) == compute.Domain(instance_id="i-1", power_state=PowerState.RUNNING, generation=5)
    (report,) = pipeline.run(topics.COMPUTE_OBSERVE, control.observe("unknown", generation=9))
    assert domain(report) == compute.Domain(instance_id="unknown", power_state=PowerState.ABSENT, generation=0)


def test_commands_for_one_instance_wait_for_each_other_and_for_others_do_not(
    pipeline: Pipeline, control: Control
) -> None:
    held = Held(pipeline)
    builder = in_background(pipeline, control.build("i-1", generation=1))
    assert held.reached.wait(60)
    deleter = threading.Thread(
        target=pipeline.executor.run, args=(topics.COMPUTE_DELETE, [control.delete("i-1", generation=2)])
    )
    deleter.start()
    (report,) = pipeline.run(topics.COMPUTE_DELETE, control.delete("i-2"))
    assert report.outcome is Outcome.DONE
    assert deleter.is_alive()
    held.go.set()
    builder.join()
    deleter.join()
    assert pipeline.hypervisor.observe("i-1").power_state is PowerState.ABSENT


def test_no_more_commands_than_lanes_are_at_work(tmp_path: Path, control: Control) -> None:
    pipeline = Pipeline(tmp_path, control, lanes=2)
    at_work, most, mutex = 0, 0, threading.Lock()

    def count(instance_id: str) -> None:
        nonlocal at_work, most
        with mutex:
            at_work += 1
            most = max(most, at_work)
        wait_for(lambda: most > 1)
        time.sleep(0.03)
        with mutex:
            at_work -= 1

    pipeline.hypervisor.hooks["disk.made"] = count
    threads = [in_background(pipeline, control.build()) for _ in range(8)]
    for thread in threads:
        thread.join()
    assert most == 2
    assert outcomes(pipeline) == [Outcome.DONE] * 8


def test_reports_of_one_message_travel_together(pipeline: Pipeline, control: Control) -> None:
    pipeline.build(*[control.build() for _ in range(10)])
    ((topic, wires),) = pipeline.messages
    assert (topic, len(wires)) == (topics.REPORT, 10)


def test_a_quick_command_does_not_wait_for_a_slow_one_of_the_same_message(pipeline: Pipeline, control: Control) -> None:
    go = threading.Event()
    pipeline.hypervisor.hooks["disk.made"] = lambda instance_id: instance_id != "slow" or go.wait(100)
    wires = [control.build("slow"), control.build("quick")]
    thread = threading.Thread(target=pipeline.executor.run, args=(topics.COMPUTE_BUILD, wires))
    thread.start()
    wait_for(lambda: len(pipeline.messages) == 1)
    go.set()
    thread.join()
    assert [len(wires) for _, wires in pipeline.messages] == [1, 1]


def test_a_long_command_tells_how_far_it_is(pipeline: Pipeline, control: Control) -> None:
    held = Held(pipeline)
    thread = in_background(pipeline, control.build("i-1", operation_id="op-1"))
    assert held.reached.wait(60)
    command = pipeline.running.find(HOST_ID, "op-1")
    assert command is not None
    now = command.began
    assert pipeline.running.progress_due(now) == []
    (wire,) = pipeline.running.progress_due(now + FIRST_PROGRESS_S)
    assert pipeline.running.progress_due(now + FIRST_PROGRESS_S + 4) == []
    assert len(pipeline.running.progress_due(now + FIRST_PROGRESS_S + 6)) == 1
    envelope, report = control.open(wire)
    assert (envelope.operation_id, envelope.step, report.outcome) == ("op-1", "build", Outcome.PROGRESS)
    assert [event.name for event in report.events] == ["host.received", "image.ready", "ports.ready"]
    held.go.set()
    thread.join()
    assert pipeline.running.progress_due(now + 100) == []


def test_random_failures_leave_nothing_behind(tmp_path: Path, control: Control) -> None:
    pipeline = Pipeline(tmp_path, control, simulated=Simulated(failure_rate=0.5, seed=3))
    reports: list[Report] = pipeline.build(*[control.build() for _ in range(100)])
    done = [report for report in reports if report.outcome is Outcome.DONE]
    failed = [report for report in reports if report.outcome is Outcome.FAILED]
    assert len(done) + len(failed) == 100 and 30 < len(failed) < 70
    assert {report.error.code for report in failed if report.error} == {"simulated.failure"}
    assert len(pipeline.hypervisor.observe_all()) == len(done)
