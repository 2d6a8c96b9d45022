"""What every hypervisor driver must do. Each driver runs this suite with a `subject` fixture of its own."""

import hashlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Protocol

import pytest

from agent.drivers.base import DriverError, Hypervisor
from agent.trace import Trace
from agent.undo import Undo
from contracts.compute import v1 as compute
from contracts.compute import v2 as compute2
from contracts.compute import v3 as compute3
from contracts.compute.v1 import PowerAction, PowerState
from tests.agent.keeper import Keeper


class Subject(Protocol):
    """A driver and what a test must know of it to try it."""

    hypervisor: Hypervisor
    # Builds at once that the machine can bear.
    parallel: int

    def a_build(self) -> compute2.Build:
        """A command for a new instance with one port, which boots and then prints `cloudsite: ready`."""

    def incarnation(self, instance_id: str) -> object:
        """Changes when the instance is made or started anew."""

    def failing_late(self) -> AbstractContextManager[None]:
        """While it lasts, builds fail with a DriverError after everything was made."""


def build(subject: Subject, command: compute2.Build) -> Trace:
    """As the agent does it: undone when it fails."""
    trace, undo = Trace(), Undo()
    try:
        subject.hypervisor.build(command, trace, undo)
    except DriverError:
        undo.run(trace)
        raise
    return trace


def delete(subject: Subject, command: compute2.Build) -> Trace:
    trace = Trace()
    subject.hypervisor.delete(compute2.Delete(instance_id=command.instance_id), trace)
    return trace


def power(subject: Subject, command: compute2.Build, action: PowerAction) -> PowerState:
    order = compute.Power(instance_id=command.instance_id, action=action, grace_s=1.0)
    subject.hypervisor.power(order, Trace())
    return state(subject, command)


def state(subject: Subject, command: compute2.Build) -> PowerState:
    return subject.hypervisor.observe(command.instance_id).power_state


def snapshot(subject: Subject, command: compute2.Build, keeper: Keeper) -> compute3.Saved:
    order = compute3.Snapshot(instance_id=command.instance_id, image_id="image-1", upload_url=keeper.url)
    return subject.hypervisor.snapshot(order, Trace(), lambda: False)


def console(subject: Subject, instance_id: str, max_bytes: int = 65536) -> compute.ConsoleOutput:
    return subject.hypervisor.console(compute.Console(instance_id=instance_id, max_bytes=max_bytes))


def wait_for_console(subject: Subject, instance_id: str, line: str, timeout_s: float = 90.0) -> str:
    until = time.monotonic() + timeout_s
    while line not in (text := console(subject, instance_id).text.replace("\r", "")):
        assert time.monotonic() < until, f"no {line!r} on the console:\n{text}"
        time.sleep(0.1)
    return text


def nothing_left(subject: Subject, command: compute2.Build) -> bool:
    """Neither observation knows the instance, nor anything left behind of it."""
    absent = compute.Domain(instance_id=command.instance_id, power_state=PowerState.ABSENT)
    listed = {domain.instance_id for domain in subject.hypervisor.observe_all()}
    return subject.hypervisor.observe(command.instance_id) == absent and command.instance_id not in listed


class HypervisorConformance:
    """Subclass it, name the subclass Test…, and provide `subject`."""

    @pytest.fixture
    def keeper(self) -> Iterator[Keeper]:
        keeper = Keeper()
        yield keeper
        keeper.close()

    @pytest.fixture
    def command(self, subject: Subject) -> compute2.Build:
        return subject.a_build()

    def test_it_says_what_it_is_and_that_it_is_well(self, subject: Subject) -> None:
        subject.hypervisor.check()
        what = subject.hypervisor.capabilities()
        assert what.hypervisor
        assert set(what.inventory) == {"VCPU", "MEMORY_MB", "DISK_GB"}
        assert all(total > 0 for total in what.inventory.values())

    def test_a_build_makes_the_instance_run_and_be_observed(self, subject: Subject, command: compute2.Build) -> None:
        trace = build(subject, command)
        running = compute.Domain(instance_id=command.instance_id, power_state=PowerState.RUNNING)
        assert subject.hypervisor.observe(command.instance_id) == running
        assert running in subject.hypervisor.observe_all()
        assert trace.events() and all(event.took_ms is not None for event in trace.events())

    def test_a_repeated_build_changes_nothing(self, subject: Subject, command: compute2.Build) -> None:
        build(subject, command)
        before = subject.incarnation(command.instance_id)
        build(subject, command)
        assert subject.incarnation(command.instance_id) == before
        assert state(subject, command) is PowerState.RUNNING

    def test_a_build_of_a_stopped_instance_starts_it(self, subject: Subject, command: compute2.Build) -> None:
        build(subject, command)
        assert power(subject, command, PowerAction.STOP) is PowerState.SHUTOFF
        build(subject, command)
        assert state(subject, command) is PowerState.RUNNING

    def test_a_delete_leaves_nothing_behind(self, subject: Subject, command: compute2.Build) -> None:
        build(subject, command)
        delete(subject, command)
        assert nothing_left(subject, command)

    def test_a_delete_of_a_stopped_instance_leaves_nothing_behind(
        self, subject: Subject, command: compute2.Build
    ) -> None:
        build(subject, command)
        power(subject, command, PowerAction.STOP)
        delete(subject, command)
        assert nothing_left(subject, command)

    def test_a_delete_of_nothing_is_done(self, subject: Subject, command: compute2.Build) -> None:
        delete(subject, command)
        build(subject, command)
        delete(subject, command)
        delete(subject, command)
        assert nothing_left(subject, command)

    def test_an_instance_can_be_built_again_after_its_delete(self, subject: Subject, command: compute2.Build) -> None:
        build(subject, command)
        first = subject.incarnation(command.instance_id)
        delete(subject, command)
        build(subject, command)
        assert state(subject, command) is PowerState.RUNNING
        assert subject.incarnation(command.instance_id) != first

    def test_a_power_cycle(self, subject: Subject, command: compute2.Build) -> None:
        build(subject, command)
        before = subject.incarnation(command.instance_id)
        assert power(subject, command, PowerAction.START) is PowerState.RUNNING
        assert subject.incarnation(command.instance_id) == before, "a start of what runs is no restart"
        assert power(subject, command, PowerAction.STOP) is PowerState.SHUTOFF
        assert power(subject, command, PowerAction.STOP) is PowerState.SHUTOFF
        assert power(subject, command, PowerAction.START) is PowerState.RUNNING
        for action in (PowerAction.REBOOT_HARD, PowerAction.REBOOT_SOFT):
            before = subject.incarnation(command.instance_id)
            assert power(subject, command, action) is PowerState.RUNNING
            assert subject.incarnation(command.instance_id) != before

    @pytest.mark.parametrize("action", list(PowerAction))
    def test_power_over_nothing_is_an_error(
        self, subject: Subject, command: compute2.Build, action: PowerAction
    ) -> None:
        with pytest.raises(DriverError) as raised:
            power(subject, command, action)
        assert (raised.value.code, raised.value.retryable) == ("instance.absent", False)
        assert nothing_left(subject, command)

    def test_the_console_tells_who_the_guest_is(self, subject: Subject, command: compute2.Build) -> None:
        build(subject, command)
        (card,) = command.cards
        text = wait_for_console(subject, command.instance_id, "cloudsite: ready")
        for fact in (f"instance-id={command.instance_id}", f"address={card.addresses[0].address}/{card.addresses[0].prefix_length}"):
            assert f"cloudsite: {fact}\n" in text
        assert "cloudsite: hostname=" in text

    def test_the_console_is_cut_to_what_was_asked_for(self, subject: Subject, command: compute2.Build) -> None:
        build(subject, command)
        wait_for_console(subject, command.instance_id, "cloudsite: ready")
        tail = console(subject, command.instance_id, max_bytes=10)
        assert (len(tail.text), tail.truncated) == (10, True)
        assert console(subject, command.instance_id, max_bytes=1024 * 1024).truncated is False

    def test_the_console_of_nothing_is_an_error(self, subject: Subject, command: compute2.Build) -> None:
        with pytest.raises(DriverError) as raised:
            console(subject, command.instance_id)
        assert raised.value.code == "instance.absent"

    def test_what_is_unknown_is_absent_and_no_error(self, subject: Subject, command: compute2.Build) -> None:
        assert nothing_left(subject, command)

    def test_a_build_that_fails_late_is_undone_and_can_be_repeated(
        self, subject: Subject, command: compute2.Build
    ) -> None:
        with subject.failing_late(), pytest.raises(DriverError):
            build(subject, command)
        assert nothing_left(subject, command)
        build(subject, command)
        assert state(subject, command) is PowerState.RUNNING

    def test_a_copy_of_its_disk_is_sent_whether_it_runs_or_not(
        self, subject: Subject, command: compute2.Build, keeper: Keeper
    ) -> None:
        build(subject, command)
        before = subject.incarnation(command.instance_id)
        running = snapshot(subject, command, keeper)
        assert keeper.content is not None and keeper.content.startswith(b"QFI\xfb")
        assert (running.size_bytes, running.sha256) == (len(keeper.content), hashlib.sha256(keeper.content).hexdigest())
        assert (state(subject, command), subject.incarnation(command.instance_id)) == (PowerState.RUNNING, before)
        power(subject, command, PowerAction.STOP)
        keeper.content = None
        snapshot(subject, command, keeper)
        assert keeper.content is not None
        assert power(subject, command, PowerAction.START) is PowerState.RUNNING
        delete(subject, command)
        assert nothing_left(subject, command)

    def test_a_copy_that_nobody_takes_is_an_error_and_the_instance_stays_as_it_is(
        self, subject: Subject, command: compute2.Build, keeper: Keeper
    ) -> None:
        build(subject, command)
        keeper.refusals = [(413, "quota.exceeded")]
        with pytest.raises(DriverError) as raised:
            snapshot(subject, command, keeper)
        assert (raised.value.code, raised.value.retryable) == ("snapshot.refused", False)
        subject.hypervisor.tend()
        assert state(subject, command) is PowerState.RUNNING

    def test_a_copy_of_nothing_is_an_error(self, subject: Subject, command: compute2.Build, keeper: Keeper) -> None:
        with pytest.raises(DriverError) as raised:
            snapshot(subject, command, keeper)
        assert raised.value.code == "instance.absent"
        assert keeper.content is None

    def test_an_image_is_fetched_before_it_is_wanted(self, subject: Subject, command: compute2.Build) -> None:
        found = subject.hypervisor.seed(compute3.Seed(image=command.image), Trace())
        assert (found.sha256, found.size_bytes) == (command.image.sha256, command.image.size_bytes)
        assert command.image.sha256 in {each.sha256 for each in subject.hypervisor.images()}

    def test_a_build_that_was_superseded_ends_early_and_leaves_nothing(self, subject: Subject, command: compute2.Build) -> None:
        undo = Undo()
        with pytest.raises(DriverError) as raised:
            subject.hypervisor.build(command, Trace(), undo, lambda: True)
        undo.run(Trace())
        assert raised.value.code == "command.superseded"
        assert nothing_left(subject, command)
        delete(subject, command)
        assert nothing_left(subject, command)

    def test_different_instances_are_worked_on_at_once(self, subject: Subject) -> None:
        commands = [subject.a_build() for _ in range(subject.parallel * 2)]
        together = threading.Barrier(subject.parallel)

        def live(command: compute2.Build) -> None:
            together.wait(60)
            build(subject, command)
            assert state(subject, command) is PowerState.RUNNING
            delete(subject, command)
            assert nothing_left(subject, command)

        with ThreadPoolExecutor(subject.parallel) as pool:
            list(pool.map(live, commands))
