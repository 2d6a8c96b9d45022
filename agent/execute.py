"""The way of a command through the host: check, lock, fence, carry out or undo, report.

Nothing here raises out of the Celery task: what cannot be answered by a report is logged and counted.
"""

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Final

import structlog
from structlog.contextvars import bound_contextvars

from agent.drivers.base import DriverError
from agent.handlers.compute import HANDLERS, Context, Handler
from agent.journal import Fence, Journal, Key
from agent.locks import KeyedLocks
from agent.reporter import Outgoing, Reporter
from agent.running import Command, Running
from agent.runtime import Agent
from agent.undo import Undo
from contracts import topics
from contracts.compute import v1 as compute
from contracts.envelope import EnvelopeError, pack, unpack
from contracts.report import Error, Outcome, Report

log = structlog.get_logger(__name__)

# Reports of one message wait for each other this long before those that are ready go ahead.
GATHER_S: Final = 0.25
# Who waits for a lane looks this often whether it is still wanted.
POLL_S: Final = 0.1
INTERNAL: Final = "agent.internal"


class _Lanes:
    """Room for so many commands at work at once, and threads for those that came in one message."""

    def __init__(self, number: int, name: str) -> None:
        self.free = threading.BoundedSemaphore(number)
        self.pool = ThreadPoolExecutor(max_workers=number, thread_name_prefix=name)


class Executor:
    """Carries out commands. `lanes`: how many that make something may be at work at once, and how many that remove something."""

    def __init__(self, agent: Agent, journal: Journal, reporter: Reporter, running: Running, *, lanes: int) -> None:
        self._agent = agent
        self._journal = journal
        self._reporter = reporter
        self._running = running
        self._locks = KeyedLocks()
        # Apart: builds may fill theirs for long, all waiting for one image, and deletes end that.
        self._making, self._removing = _Lanes(lanes, "lane"), _Lanes(lanes, "removal")
        self.refused: Counter[str] = Counter()

    def run(self, topic: str, wires: list[str]) -> None:
        """Carry out the commands of one message and report on them. Never raises."""
        try:
            if not isinstance(wires, list):
                self._refuse(topic, EnvelopeError("expected a list of envelopes"))
                return
            # All of them first: what waits for its turn has to be seen by what it supersedes, and the other way round.
            admitted = [self._admit(topic, wire) for wire in wires]
            if len(wires) == 1 or not HANDLERS[topic].mutates:
                # Questions are quick, and must not wait for a lane.
                self._report([self._one(each) for each in admitted])
            else:
                self._many(topic, admitted)
        except Exception:
            log.exception("commands.failed", topic=topic)

    def _many(self, topic: str, admitted: "list[Command | Outgoing | None]") -> None:
        pool = self._lanes_of(HANDLERS[topic]).pool
        pending: set[Future[Outgoing | None]] = {pool.submit(self._one, each) for each in admitted}
        while pending:
            # All within the time, or those that are done by then: a quick one does not wait for a slow one.
            done, pending = wait(pending, timeout=GATHER_S)
            self._report([future.result() for future in done])

    def _report(self, reports: list[Outgoing | None]) -> None:
        self._reporter.send([report for report in reports if report is not None])

    def _refuse(self, topic: str, error: EnvelopeError) -> None:
        self.refused[error.code] += 1
        log.warning("command.refused", topic=topic, code=error.code, reason=str(error))

    def _admit(self, topic: str, wire: str) -> Command | Outgoing | None:
        """Check a command; from here on it is under way. Otherwise the answer to it, or None where there is none."""
        try:
            host, envelope = self._agent.admit(topic, wire)
        except EnvelopeError as error:
            self._refuse(topic, error)
            return None
        except Exception:
            # Those of the same message that were admitted have to be carried out all the same.
            log.exception("command.failed", topic=topic)
            return None
        command = Command(host, envelope, Key(host.id, envelope.operation_id, envelope.step, envelope.generation))
        handler = HANDLERS[topic]
        with _logged(command):
            try:
                command.body = unpack(envelope, handler.shape)
            except EnvelopeError as error:
                self._refuse(topic, error)
                return self._answer(command, _failed(error.code, str(error), retryable=False))
            command.subject = handler.subject(command.body)
            if handler.mutates and not self._running.begin(command):
                log.info("command.ignored", reason="the same command is being carried out right now")
                return None
        return command

    def _one(self, command: Command | Outgoing | None) -> Outgoing | None:
        if not isinstance(command, Command):
            return command
        handler = HANDLERS[command.envelope.topic]
        with _logged(command), bound_contextvars(instance=command.subject):
            try:
                return self._admitted(command, handler) if handler.mutates else self._read(command, handler)
            except Exception as error:
                log.exception("command.failed")
                return self._answer(command, _failed(INTERNAL, f"{type(error).__name__}: {error}"))

    def _admitted(self, command: Command, handler: Handler) -> Outgoing:
        try:
            with self._locks.hold((command.key.host_id, command.subject)), self._lane(command, handler):
                return self._fenced(command, handler)
        finally:
            self._running.end(command)

    @contextmanager
    def _lane(self, command: Command, handler: Handler) -> Iterator[None]:
        """Wait for a free lane. Who is superseded needs none: nothing will be done."""
        free = self._lanes_of(handler).free
        while not free.acquire(timeout=POLL_S):
            if self._running.is_superseded(command):
                yield
                return
        try:
            yield
        finally:
            free.release()

    def _lanes_of(self, handler: Handler) -> _Lanes:
        return self._removing if handler.removes else self._making

    def _read(self, command: Command, handler: Handler) -> Outgoing:
        """Answer a question: no lock, no lane, no journal entry, so that it waits for no build."""
        if late := _late(command):
            return self._answer(command, late)
        if command.envelope.topic == topics.COMPUTE_OBSERVE:
            under_way = self._running.find(command.key.host_id, command.key.operation_id)
            if under_way:
                trace = under_way.trace
                progress = Report(outcome=Outcome.PROGRESS, events=trace.events(), percent=trace.percent)
                return self._answer(command, progress)
        newest = self._journal.newest_generation(command.key.host_id, command.subject)
        return self._answer(command, self._carry_out(command, handler, newest)[0])

    def _fenced(self, command: Command, handler: Handler) -> Outgoing:
        if void := _late(command) or self._superseded(command):
            # Void means that nothing was done, so one that was done in time gets its true answer.
            stored = self._journal.stored_report(command.key)
            return Outgoing(stored) if stored else self._answer(command, void)
        verdict = self._journal.begin(command.key, command.subject)
        if verdict.fence is Fence.REPEAT:
            log.info("command.repeated")
            return Outgoing(verdict.report)
        if verdict.fence is Fence.STALE:
            reason = f"generation {command.key.generation} is older than {verdict.newest}"
            return self._answer(command, _refused(Outcome.STALE, "command.stale", reason))
        report, gone = self._carry_out(command, handler, command.key.generation)
        wire = command.host.seal_report(command.envelope, report)
        try:
            self._journal.end(verdict.entry, wire, gone=gone)
        except sqlite3.Error:
            # The disk is full, say. What was done is done all the same; a repeat would be carried out again.
            log.exception("journal.failed")
            return Outgoing(wire)
        return Outgoing(wire, entry=verdict.entry)

    def _superseded(self, command: Command) -> Report | None:
        if not self._running.is_superseded(command):
            return None
        return _refused(Outcome.STALE, "command.stale", f"something newer than generation {command.key.generation} is here already")

    def _carry_out(self, command: Command, handler: Handler, generation: int) -> tuple[Report, bool]:
        """Run the handler, undo when it fails. Returns the report, and whether what it is about is gone now."""
        undo, trace = Undo(), command.trace
        waited_ms = (time.time() - command.envelope.issued_at) * 1000
        trace.add("host.received", took_ms=round(max(0.0, waited_ms), 3))
        error: Error | None = None
        try:
            stopped = partial(self._running.is_superseded, command)
            result = handler.run(Context(command.host.hypervisor, trace, undo, generation, stopped), command.body)
        except DriverError as raised:
            error = Error(code=raised.code, message=str(raised), retryable=raised.retryable)
        except Exception as raised:
            log.exception("command.crashed")
            error = Error(code=INTERNAL, message=f"{type(raised).__name__}: {raised}")
        took_ms = round((time.monotonic() - command.began) * 1000, 1)
        if error is None:
            log.info("command.done", took_ms=took_ms)
            gone = isinstance(result, compute.Domain) and result.power_state is compute.PowerState.ABSENT
            return Report(outcome=Outcome.DONE, events=trace.events(), result=pack(result)), gone or handler.forgettable
        undo.run(trace)
        log.warning("command.failed", code=error.code, reason=error.message, took_ms=took_ms)
        return Report(outcome=Outcome.FAILED, events=trace.events(), error=error), handler.forgettable

    @staticmethod
    def _answer(command: Command, report: Report) -> Outgoing:
        """A report that is not journaled: asked again, the same answer would be made again."""
        return Outgoing(command.host.seal_report(command.envelope, report))


def _logged(command: Command) -> AbstractContextManager[object]:
    envelope = command.envelope
    return bound_contextvars(
        request_id=envelope.request_id, operation_id=envelope.operation_id, host=command.host.name, topic=envelope.topic
    )


def _late(command: Command) -> Report | None:
    late_s = time.time() - command.envelope.deadline
    if late_s <= 0:
        return None
    reason = f"arrived {late_s:.1f} s past its deadline" if command.envelope.deadline else "it has no deadline"
    return _refused(Outcome.EXPIRED, "command.expired", reason)


def _refused(outcome: Outcome, code: str, reason: str) -> Report:
    log.info("command.refused", outcome=outcome.value, code=code, reason=reason)
    return Report(outcome=outcome, error=Error(code=code, message=reason))


def _failed(code: str, message: str, *, retryable: bool = True) -> Report:
    return Report(outcome=Outcome.FAILED, error=Error(code=code, message=message, retryable=retryable))
