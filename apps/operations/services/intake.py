"""The conductor's entry: every report of every host comes in here, is checked, and goes to the context that it concerns."""

import logging
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import TypeVar

import msgspec
from django.db import DataError, transaction

from apps.common.errors import CloudError
from apps.hosts import selectors as hosts
from apps.hosts.services import presence
from apps.operations.kinds import Answer, kind_of, observers
from apps.operations.models import Operation, Rejection
from apps.operations.services import lifecycle, sweep
from apps.operations.services.lifecycle import Note
from apps.operations.states import OPEN, OpState
from apps.quotas.services import reservations
from contracts import topics
from contracts.envelope import CLOCK_SKEW_S, BadSignature, Envelope, EnvelopeError, Kind, split, unpack
from contracts.hosts import v1
from contracts.report import Outcome, Report

log = logging.getLogger(__name__)
OBSERVE_STEP = "observe"
_KEY_ID = re.compile(r"[0-9a-f]{16}")
# What the content of a well-signed report can raise where it is used.
_UNUSABLE = (msgspec.MsgspecError, ValueError, OverflowError, DataError)
B = TypeVar("B")


@dataclass(frozen=True)
class Received:
    """A report whose signature is good; `host_id` is the host that signed it."""

    host_id: uuid.UUID
    host_name: str
    envelope: Envelope


def take_in(task: str, wires: Sequence[str]) -> None:
    """Check and work on what came of one task. What is not acceptable is recorded and dropped; nothing is raised for it."""
    received = []
    for wire in wires:
        try:
            received.append(_check(task, wire))
        except _Refused as refusal:
            reject(refusal.code, refusal.host_name, str(refusal))
    if received:
        _WORK[task](received)


def take_in_many(messages: Sequence[tuple[str, str]]) -> None:
    """The same for (task, wire) pairs of any tasks, in order; neighbours of one task are worked on together."""
    for task, group in groupby(messages, key=lambda message: message[0]):
        take_in(task, [wire for _, wire in group])


class _Refused(Exception):
    def __init__(self, code: str, host_name: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.host_name = code, host_name


def _check(task: str, wire: str) -> Received:
    name = ""
    try:
        key_id = split(wire)[0]
        signer = hosts.key(key_id) if _KEY_ID.fullmatch(key_id) else None
        if signer is None:
            raise BadSignature("signed by a key of no enrolled host")
        name = signer.name
        envelope = signer.key.open(wire, Kind.REPORT)
        if envelope.host != str(signer.host_id):
            raise _Refused("report.wrong_host", name, f"speaks for host {envelope.host}")
        if envelope.topic != task:
            raise _Refused("report.wrong_topic", name, f"{envelope.topic} sent as {task}")
        if task != topics.REPORT and abs(time.time() - envelope.issued_at) > CLOCK_SKEW_S:
            raise _Refused("report.clock", name, f"{task} issued {time.time() - envelope.issued_at:.0f} s ago by its own clock")
    except EnvelopeError as error:
        raise _Refused(error.code.replace("envelope.", "report."), name, str(error)) from error
    # PostgreSQL stores no NUL in text, and guests do print some.
    body = msgspec.Raw(bytes(envelope.body).replace(b"\\u0000", b"\\ufffd"))
    return Received(signer.host_id, signer.name, msgspec.structs.replace(envelope, body=body))


def reject(code: str, host_name: str, detail: str) -> None:
    """Remember a refused report, for the operator."""
    log.warning("refused a report: %s %s: %s", code, host_name, detail)
    Rejection.objects.create(code=code, host_name=host_name, detail=detail[:2000].replace("\0", "\ufffd"))


def _malformed(item: Received, error: Exception) -> None:
    reject("report.malformed", item.host_name, f"{item.envelope.topic}: {error}")


def _unpacked(received: Iterable[Received], shape: type[B]) -> Iterator[tuple[Received, B]]:
    """Those whose body is of that shape; the others are refused."""
    for item in received:
        try:
            body = unpack(item.envelope, shape)
        except EnvelopeError as error:
            _malformed(item, error)
        else:
            yield item, body


def _reports(received: list[Received]) -> None:
    pairs = list(_unpacked(received, Report))
    try:
        _conduct(pairs)
    except _UNUSABLE:
        for pair in pairs:  # a result that cannot be used spoils what came with it: each on its own
            try:
                _conduct([pair])
            except _UNUSABLE as error:
                _malformed(pair[0], error)


@transaction.atomic
def _conduct(pairs: list[tuple[Received, Report]]) -> None:
    """One transaction: lock the operations, drop what is not for them, let the contexts decide."""
    operations = {str(op.pk): op for op in lifecycle.lock({item.envelope.operation_id for item, _ in _with_uuid(pairs)})}
    answers: list[Answer] = []
    ended: set[uuid.UUID] = set()
    for item, report in pairs:
        operation = operations.get(item.envelope.operation_id)
        if (operation is None or operation.pk not in ended) and _concerns(item, report, operation):
            assert operation is not None
            answers.append(Answer(operation, item.envelope, report))
            if report.outcome is not Outcome.PROGRESS:
                # One final answer per operation and batch: whatever else it says of it is older or a duplicate.
                ended.add(operation.pk)
    answers = [a for a in answers if a.operation.pk not in ended or a.report.outcome is not Outcome.PROGRESS]
    lifecycle.write(note for answer in answers for note in _host_notes(answer))
    with reservations.gathered():
        for group in _grouped(answers):
            _apply(group)


def _with_uuid(pairs: list[tuple[Received, Report]]) -> list[tuple[Received, Report]]:
    def good(text: str) -> bool:
        try:
            return bool(uuid.UUID(text))
        except ValueError:
            return False

    return [pair for pair in pairs if good(pair[0].envelope.operation_id)]


def _concerns(item: Received, report: Report, operation: Operation | None) -> bool:
    """Whether this is news about an open operation on the very host that speaks."""
    envelope = item.envelope
    if operation is None:
        log.info("report of %s about an operation that is not known (any more): %s", item.host_name, envelope.operation_id)
        return False
    if operation.host_id != item.host_id and str(item.host_id) not in operation.excluded_hosts:
        reject("report.wrong_host", item.host_name, f"operation {operation.pk} is not on this host")
        return False
    expected = OBSERVE_STEP if operation.state == OpState.OVERDUE else operation.step
    return (
        operation.state in OPEN
        and operation.host_id == item.host_id
        and envelope.generation == operation.generation
        # A late answer to the step itself is as good as the answer to "what is true".
        and envelope.step in (expected, operation.step)
    )


def _host_notes(answer: Answer) -> list[Note]:
    if answer.report.outcome is Outcome.PROGRESS:
        return []
    return [
        Note(answer.operation.pk, "host", event.name, event.detail[:4000], event.took_ms, _moment(event.at))
        for event in answer.report.events
    ]


def _moment(at: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(at, UTC)
    except (OverflowError, ValueError, OSError):  # no clock shows this
        return None


def _grouped(answers: list[Answer]) -> list[list[Answer]]:
    groups: dict[tuple[str, str, str], list[Answer]] = {}
    for answer in answers:
        key = (answer.operation.kind, answer.envelope.step, answer.report.outcome)
        groups.setdefault(key, []).append(answer)
    return list(groups.values())


def _apply(group: list[Answer]) -> None:
    """Same kind, step and outcome: hand it to the context."""
    outcome, step = group[0].report.outcome, group[0].envelope.step
    handler = kind_of(group[0].operation.kind).handler
    if outcome is Outcome.PROGRESS:
        lifecycle.still_running([answer.operation for answer in group])
        for answer in group:
            if answer.report.percent is not None:
                lifecycle.progress(answer.operation, answer.report.percent)
    elif outcome in (Outcome.STALE, Outcome.EXPIRED):
        for answer in group:
            # While the host is being asked what is true, only the answer to that (or its absence) is evidence.
            if answer.operation.state != OpState.OVERDUE or step == OBSERVE_STEP:
                sweep.look_into(answer.operation)
    elif step == OBSERVE_STEP:
        for answer in group:
            handler.observed(answer)
    elif outcome is Outcome.DONE:
        handler.done(group)
    else:
        handler.failed(group)


def _hellos(received: list[Received]) -> None:
    for item, said in _unpacked(received, v1.Hello):
        if not presence.hello(host_id=item.host_id, envelope=item.envelope, said=said):
            reject("report.replayed", item.host_name, "hello is older than what was heard before")
            continue
        try:
            for greet in greeters:
                greet(item.host_id, item.host_name, said)
        except CloudError as error:
            _malformed(item, error)
        _observe(item, v1.Observation(started_at=said.started_at, domains=said.domains, images=said.images))
        if not said.repeated:
            sweep.resend_of_host(item.host_id)


def _heartbeats(received: list[Received]) -> None:
    beats = list(_unpacked(received, v1.Heartbeat))
    presence.heartbeats([(item.host_id, item.envelope, beat) for item, beat in beats])
    for feel in pulses:
        feel([(item.host_id, beat) for item, beat in beats])


def _observations(received: list[Received]) -> None:
    for item, observation in _unpacked(received, v1.Observation):
        _observe(item, observation)


def _observe(item: Received, observation: v1.Observation) -> None:
    try:
        # By the host's own clock, which `_check` has compared with ours: later than said is not when it was made.
        if not 0 <= observation.started_at <= item.envelope.issued_at:
            raise ValueError(f"made at {observation.started_at}, said at {item.envelope.issued_at}")
        for handler in observers():
            handler(host_id=str(item.host_id), observation=observation)
    except _UNUSABLE as error:
        _malformed(item, error)


# Contexts that want to know of a host's start (placement takes its inventory): (host id, name, hello).
greeters: list[Callable[[uuid.UUID, str, v1.Hello], None]] = []
# Contexts that want to know of heartbeats, many at once: (host id, heartbeat) of each.
pulses: list[Callable[[Sequence[tuple[uuid.UUID, v1.Heartbeat]]], None]] = []


def listen(topic: str, shape: type[B], take: Callable[[Sequence[tuple[uuid.UUID, B]]], None]) -> None:
    """Have a context take what hosts say unasked about its own subject, many at once: (host id, body) of each."""
    _WORK[topic] = lambda received: take([(item.host_id, body) for item, body in _unpacked(received, shape)])



_WORK: dict[str, Callable[[list[Received]], None]] = {
    topics.REPORT: _reports,
    topics.HELLO: _hellos,
    topics.HEARTBEAT: _heartbeats,
    topics.OBSERVATION: _observations,
}
