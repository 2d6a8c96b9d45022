"""What follows from a host's answer: one handler per kind of operation, called inside the conductor's transaction."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from apps.common import clock, states
from apps.common.errors import CloudError, InvalidState, Unavailable
from apps.compute import payloads
from apps.compute.models import Instance
from apps.compute.services import release
from apps.compute.states import MACHINE, InstanceState
from apps.operations.kinds import Answer, kind_of
from apps.operations.redaction import shown_on_resource
from apps.operations.services import commands, lifecycle
from apps.operations.services.lifecycle import Note
from apps.operations.states import OpState
from contracts import report as wire
from contracts import topics
from contracts.compute import v1

if TYPE_CHECKING:
    from apps.operations.models import Operation

STATE_OF_POWER = {
    v1.PowerState.RUNNING: InstanceState.ACTIVE,
    v1.PowerState.PAUSED: InstanceState.ACTIVE,
    v1.PowerState.SHUTOFF: InstanceState.STOPPED,
    v1.PowerState.CRASHED: InstanceState.STOPPED,
}


def ids(answers: Sequence[Answer]) -> list[uuid.UUID]:
    return [answer.operation.resource_id for answer in answers]


def domain_of(answer: Answer) -> v1.Domain:
    """The result of build, power and observe."""
    return msgspec.json.decode(answer.report.result, type=v1.Domain)


def error_of(error: wire.Error | None) -> CloudError:
    """A host's error as one of ours."""
    error = error or wire.Error(code="agent.unknown", message="The host gave no reason.")
    return Unavailable(error.code, error.message)


def silent(operation: Operation) -> CloudError:
    """Nobody answers. The host's name is for operators: it stands on the operation, not in the text."""
    return Unavailable("host.silent", f"The host did not answer in time (step {operation.step}).")


class Observing:
    """Shared by all: after a deadline the host is asked about the instance."""

    def observe(self, operation: Operation) -> tuple[str, msgspec.Struct] | None:
        return topics.COMPUTE_OBSERVE, v1.Observe(instance_id=str(operation.resource_id))


class FailsPlainly:
    """For work whose failure changes no resource: the operation is closed with the reason, and that is all."""

    def failed(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            lifecycle.fail(answer.operation, error_of(answer.report.error))

    def unanswered(self, operation: Operation) -> None:
        lifecycle.fail(operation, silent(operation))


class Build(Observing):
    """schedule → build, or undo."""

    def done(self, answers: Sequence[Answer]) -> None:
        built = [answer for answer in answers if answer.operation.step == "build"]
        if built:
            rows = Instance.objects.filter(pk__in=ids(built))
            states.move(
                rows, MACHINE, InstanceState.ACTIVE, launched_at=clock.now(), power_state=v1.PowerState.RUNNING.value, error=None
            )
            lifecycle.succeed([answer.operation for answer in built])
            lifecycle.write(Note(answer.operation.pk, "conductor", "finished") for answer in built)
        for answer in answers:
            if answer.operation.step == "undo":
                self._undone(answer.operation)

    def failed(self, answers: Sequence[Answer]) -> None:
        # All at once, so that the hosts' inventories are locked in one order.
        release.free(ids([answer for answer in answers if answer.operation.step == "build"]))
        for answer in answers:
            if answer.operation.step == "undo":
                self.unanswered(answer.operation)
            else:
                self._not_built(answer.operation, error_of(answer.report.error), _retryable(answer.report.error))

    def observed(self, answer: Answer) -> None:
        operation, domain = answer.operation, domain_of(answer)
        if operation.step == "undo":
            self._undone(operation) if nothing_left(domain) else self._undo(operation)
        elif domain.power_state is v1.PowerState.RUNNING:
            self.done([answer])
        else:
            # Also when nothing is there: the build command may still be on its way to a host that was silent.
            self._undo(operation)

    def unanswered(self, operation: Operation) -> None:
        instance = Instance.objects.select_for_update().get(pk=operation.resource_id)
        if operation.host_id is None:
            late = Unavailable("scheduler.timeout", "No scheduler took this up in time.")
            release.build_failed(operation, instance, late)
        else:
            release.build_failed(operation, instance, silent(operation), on_host=True)

    def _not_built(self, operation: Operation, error: CloudError, retryable: bool) -> None:
        """Nothing of it is on the host: another host, or the end."""
        instance = Instance.objects.select_for_update().get(pk=operation.resource_id)
        if retryable and operation.attempt < kind_of(operation.kind).max_attempts:
            self._elsewhere(operation, instance, error)
        else:
            release.build_failed(operation, instance, error)

    def _elsewhere(self, operation: Operation, instance: Instance, error: CloudError) -> None:
        release.free([instance.pk])
        instance.generation += 1
        instance.host_id, instance.host_name, instance.addresses = None, "", []
        instance.save(update_fields=["generation", "host_id", "host_name", "addresses"])
        tried = [*operation.excluded_hosts, str(operation.host_id)]
        lifecycle.advance(
            operation, step="schedule", state=OpState.QUEUED, attempt=operation.attempt + 1, generation=instance.generation,
            host_id=None, host_name="", excluded_hosts=tried,
            queue=topics.SCHEDULER, task=topics.PLACE, message=str(operation.pk),
        )
        lifecycle.save_all([operation])
        lifecycle.write([Note(operation.pk, "conductor", "trying another host", error.message)])
        lifecycle.dispatch([operation])

    def _undo(self, operation: Operation) -> None:
        """Have what is there of it removed, fenced against the late build by a higher generation."""
        _have_removed(operation, step="undo", why="the build did not finish in time")

    def _undone(self, operation: Operation) -> None:
        self._not_built(operation, Unavailable("build.timeout", "The host did not finish the build in time."), retryable=True)


def _have_removed(operation: Operation, *, step: str, why: str) -> None:
    """Send a delete command as this step of a locked operation, with a new generation: what was told before is void."""
    instance = Instance.objects.select_for_update().get(pk=operation.resource_id)
    instance.generation += 1
    instance.save(update_fields=["generation"])
    lifecycle.advance(operation, step=step, state=OpState.SENT, generation=instance.generation)
    commands.address(operation, task=topics.COMPUTE_DELETE, body=payloads.delete(instance.pk))
    lifecycle.save_all([operation])
    lifecycle.write([Note(operation.pk, "conductor", "removing again" if step == "delete" else "undoing", why)])
    lifecycle.dispatch([operation])


class Delete(Observing):
    """The instance goes; its claims are freed only when the host says that nothing is left."""

    def done(self, answers: Sequence[Answer]) -> None:
        release.gone(ids(answers))
        lifecycle.succeed([answer.operation for answer in answers])
        lifecycle.write(Note(answer.operation.pk, "conductor", "finished") for answer in answers)

    def failed(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            self._not_gone(answer.operation, error_of(answer.report.error))

    def observed(self, answer: Answer) -> None:
        if nothing_left(domain_of(answer)):
            self.done([answer])
        else:
            self._not_gone(answer.operation, Unavailable("delete.timeout", "The host did not finish the deletion in time."))

    def unanswered(self, operation: Operation) -> None:
        self._stays(operation, silent(operation))

    def _not_gone(self, operation: Operation, error: CloudError) -> None:
        """There is no other host to try: the same one again, some times."""
        if operation.attempt < kind_of(operation.kind).max_attempts:
            operation.attempt += 1
            _have_removed(operation, step="delete", why=error.message)
        else:
            self._stays(operation, error)

    def _stays(self, operation: Operation, error: CloudError) -> None:
        """ERROR, but still wanted gone: reconciliation goes on with it when the host is heard again."""
        rows = Instance.objects.filter(pk=operation.resource_id)
        states.move(rows, MACHINE, InstanceState.ERROR, error=shown_on_resource(error, operation.host_name), wanted_gone=True)
        lifecycle.fail(operation, error)
        lifecycle.write([Note(operation.pk, "conductor", "failed", error.message)])


class Purge(FailsPlainly, Observing):
    """Leftovers of an instance in ERROR are removed and its claims freed; the instance stays as a record of the error."""

    def done(self, answers: Sequence[Answer]) -> None:
        release.free(ids(answers))
        Instance.objects.filter(pk__in=ids(answers), state=InstanceState.ERROR).update(host_id=None, host_name="", addresses=[])
        lifecycle.succeed([answer.operation for answer in answers])

    def observed(self, answer: Answer) -> None:
        if nothing_left(domain_of(answer)):
            self.done([answer])
        else:
            self.unanswered(answer.operation)


class Power(FailsPlainly, Observing):
    """Start, stop, reboot: the instance's state is what the host says afterwards."""

    def done(self, answers: Sequence[Answer]) -> None:
        for power, same in _by_power(answers).items():
            settle(ids(same), power)
        lifecycle.succeed([answer.operation for answer in answers])
        lifecycle.write(Note(answer.operation.pk, "conductor", "finished") for answer in answers)

    def failed(self, answers: Sequence[Answer]) -> None:
        super().failed(answers)
        lifecycle.write(
            Note(answer.operation.pk, "conductor", "failed", error_of(answer.report.error).message) for answer in answers
        )

    def observed(self, answer: Answer) -> None:
        """What is true counts; whether the wish came true decides how the operation ends."""
        domain = domain_of(answer)
        settle([answer.operation.resource_id], domain.power_state)
        stopped = domain.power_state in (v1.PowerState.SHUTOFF, v1.PowerState.CRASHED)
        if domain.power_state is not v1.PowerState.ABSENT and stopped == answer.operation.kind.endswith(".stop"):
            lifecycle.succeed([answer.operation])
        else:
            late = Unavailable("power.timeout", f"The host did not finish in time; the instance is {domain.power_state.value}.")
            lifecycle.fail(answer.operation, late)


class Console(FailsPlainly):
    """A console log that was read for somebody who waits for it; no instance changes by it."""

    def done(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            output = msgspec.json.decode(answer.report.result, type=v1.ConsoleOutput)
            lifecycle.succeed([answer.operation], result=msgspec.to_builtins(output))

    def observed(self, answer: Answer) -> None:
        self.unanswered(answer.operation)

    def observe(self, operation: Operation) -> None:
        return None


def settle(instance_ids: Sequence[uuid.UUID], power: v1.PowerState) -> None:
    rows = Instance.objects.filter(pk__in=instance_ids)
    if power is v1.PowerState.ABSENT:
        lost = InvalidState("instance.lost", "The host does not have this instance any more.")
        states.move(rows, MACHINE, InstanceState.ERROR, power_state=power.value, error=lost.as_dict())
    else:
        states.move(rows, MACHINE, STATE_OF_POWER[power], power_state=power.value, error=None)


def _by_power(answers: Sequence[Answer]) -> dict[v1.PowerState, list[Answer]]:
    grouped: dict[v1.PowerState, list[Answer]] = {}
    for answer in answers:
        grouped.setdefault(domain_of(answer).power_state, []).append(answer)
    return grouped


def nothing_left(domain: v1.Domain) -> bool:
    return domain.power_state is v1.PowerState.ABSENT and not domain.residue


def _retryable(error: wire.Error | None) -> bool:
    return error is None or error.retryable
