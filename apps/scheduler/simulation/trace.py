"""What a trace is: creations and deletions in the order of time, and a first look through all of them before anything is run."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from apps.common.errors import Invalid
from apps.placement.names import DISK_GB, MAX_INT, MEMORY_MB, VCPU, is_class

# Resource class → amount, in the usual order; hashable, because thousands of instances share a few of them.
Amounts = tuple[tuple[str, int], ...]
_ORDER = {VCPU: 0, MEMORY_MB: 1, DISK_GB: 2}
_WHOLE = re.compile(r"[0-9]{1,18}", re.ASCII)


class Shape(NamedTuple):
    """What a creation asks for. `zone`, `traits`: empty for any."""

    amounts: Amounts
    zone: str = ""
    traits: frozenset[str] = frozenset()


class Event(NamedTuple):
    """`at`: seconds, from any moment on. `shape`: None for a deletion. `line`: where it was read, or how many came before it."""

    at: float
    key: str
    shape: Shape | None
    line: int


@dataclass(frozen=True)
class Trace:
    """`opened` gives its events from the beginning, each time that it is called; `limit`: so many of them and no more."""

    name: str
    opened: Callable[[], Iterator[Event]]
    limit: int | None = None

    def __iter__(self) -> Iterator[Event]:
        return islice(self.opened(), self.limit)


@dataclass(frozen=True)
class Survey:
    """What a trace holds. `begin`, `end`: of its first and its last event; `shapes`: how often each is created."""

    events: int
    creates: int
    begin: float
    end: float
    shapes: Counter[Amounts]


def look_through(trace: Trace) -> Survey:
    """Read all of it, so that what is wrong with it is known before a long run. Raises Invalid."""
    alive: set[str] = set()
    shapes: Counter[Amounts] = Counter()
    events, creates, begin, end = 0, 0, 0.0, float("-inf")
    for event in trace:
        if event.at < end:
            raise wrong(trace.name, event.line, f"time goes back from {end:g} to {event.at:g}: sort the trace by time")
        begin, end = (event.at if not events else begin), event.at
        if event.shape is None:
            if event.key not in alive:
                raise wrong(trace.name, event.line, f"{event.key[:64]!r} is deleted, but there is none: it was not created before")
            alive.remove(event.key)
        else:
            if event.key in alive:
                raise wrong(trace.name, event.line, f"{event.key[:64]!r} is created a second time, and was not deleted before")
            alive.add(event.key)
            shapes[event.shape.amounts] += 1
            creates += 1
        events += 1
    if not creates:
        raise Invalid("simulation.trace", f"{trace.name}: nothing is created in it.", field="trace")
    return Survey(events, creates, begin, end, shapes)


def wrong(name: str, line: int, what: str) -> Invalid:
    """The refusal of a trace; `line` 0: of all of it."""
    return Invalid("simulation.trace", f"{name}, line {line}: {what}." if line else f"{name}: {what}.", field="trace", line=line)


def amounts_of(given: Mapping[str, int]) -> Amounts:
    """In the usual order, without what is zero."""
    kept = [(name, amount) for name, amount in given.items() if amount]
    return tuple(sorted(kept, key=lambda each: (_ORDER.get(each[0], len(_ORDER)), each[0])))


def class_named(text: str) -> str:
    """The resource class of that name in any case; empty if there is none."""
    name = "VCPU" if text.upper() == "VCPUS" else text.upper()
    return name if is_class(name) else ""


def amount_of(value: object) -> int | None:
    """A whole number that may be claimed, given as number or text; None for anything else."""
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_INT:
        return value
    return None


def shape_text(amounts: Amounts) -> str:
    """As people write it."""
    return ",".join(f"{name}={amount}" for name, amount in amounts)
