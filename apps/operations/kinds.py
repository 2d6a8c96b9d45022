"""Kinds of operations, declared as data by the contexts that own the resources."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from apps.operations.models import Operation
from contracts.envelope import Envelope
from contracts.hosts.v1 import Observation
from contracts.report import Report


@dataclass(frozen=True)
class Step:
    """One step. `role`: who runs it (`scheduler`, `compute`); `timeout`: the setting that bounds it, in seconds."""

    name: str
    role: str
    task: str
    timeout: str


@dataclass(frozen=True)
class Answer:
    """A report together with the operation (locked) that it answers."""

    operation: Operation
    envelope: Envelope
    report: Report


class Handler(Protocol):
    """What a context does when something is heard of its operations. Called inside the conductor's transaction."""

    def done(self, answers: Sequence[Answer]) -> None: ...

    def failed(self, answers: Sequence[Answer]) -> None: ...

    def observed(self, answer: Answer) -> None:
        """The answer to `observe` after a deadline: decides by what is true."""

    def unanswered(self, operation: Operation) -> None:
        """Nobody answered, not even to `observe`: the way out."""

    def observe(self, operation: Operation) -> tuple[str, msgspec.Struct] | None:
        """The task and body that ask the host for the truth; None if there is nothing to ask."""


@dataclass(frozen=True)
class Kind:
    """A kind of operation: its steps in order, and the context's handler. `keep_s`: closed rows are pruned after that."""

    name: str
    resource_type: str
    steps: tuple[Step, ...]
    handler: Handler
    max_attempts: int = 1
    keep_s: float | None = None

    def step(self, name: str) -> Step:
        return next(step for step in self.steps if step.name == name)


class ObservationHandler(Protocol):
    """Compares what a host says it has with what the database says."""

    def __call__(self, *, host_id: str, observation: Observation) -> None: ...


_kinds: dict[str, Kind] = {}
_observers: list[ObservationHandler] = []


def register(*kinds: Kind) -> None:
    """Called by a context when the process starts. Raises ValueError for a name that is taken."""
    for kind in kinds:
        if kind.name in _kinds:
            raise ValueError(f"operation kind {kind.name} is registered twice")
        _kinds[kind.name] = kind


def observe_hosts(handler: ObservationHandler) -> None:
    """Have `handler` called with every full observation of a host."""
    _observers.append(handler)


def kind_of(name: str) -> Kind:
    """Raises KeyError."""
    return _kinds[name]


def all_kinds() -> list[Kind]:
    return list(_kinds.values())


def observers() -> list[ObservationHandler]:
    return list(_observers)
