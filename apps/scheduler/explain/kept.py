"""The parts of a decision as they are read again; `written` is how they came to be stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from apps.scheduler.models import Decision

# Where a filter's name could stand: none refused it.
FITS = "passed"


@dataclass(frozen=True)
class Step:
    """A filter, how many hosts came to it and how many were left."""

    filter: str
    before: int
    after: int

    @property
    def refused(self) -> int:
        return self.before - self.after


@dataclass(frozen=True)
class Verdict:
    """`hosts` have it, and `names` are theirs, or some of theirs. `reason`: the first filter that refused them, or FITS."""

    reason: str
    hosts: int
    names: list[str]


@dataclass(frozen=True)
class Miss:
    """Hosts that only these filters refused, each of them: they would fit if it were not for these.

    `names`: some of them, the nearest first. `zone` and `amounts` are of the first: resource class → `needs` and `free`, and
    `least`, `most`, `step` where it is these that the amount does not keep to. `which`: filter → what of the request or of
    the hosts it is about → how many of the hosts.
    """

    filters: list[str]
    hosts: int
    names: list[str]
    zone: str
    amounts: dict[str, dict[str, int]] = field(default_factory=dict)
    which: dict[str, dict[str, int]] = field(default_factory=dict)


def steps_of(decision: Decision) -> list[Step]:
    """In order, those that refused nobody included."""
    found, before = [], decision.hosts
    for name, after in orjson.loads(decision.steps):
        found.append(Step(name, before, after))
        before = after
    return found


def verdicts_of(decision: Decision) -> list[Verdict]:
    """In the order of the filters, those that fit last; empty if it took a host that an earlier decision had left."""
    return [
        Verdict(reason, named["hosts"], named["some"]) if isinstance(named, dict) else Verdict(reason, len(named), named)
        for reason, named in orjson.loads(decision.verdicts).items()
    ]


def best_of(decision: Decision) -> list[dict[str, Any]]:
    """The best with their weights, the best first."""
    found: list[dict[str, Any]] = orjson.loads(decision.best)
    return found


def alternates_of(decision: Decision) -> list[tuple[str, str]]:
    """(id, name) of the hosts that were left for a retry, the best first."""
    return [(host_id, name) for host_id, name in orjson.loads(decision.alternates)]


def misses_of(decision: Decision) -> list[Miss]:
    """The nearest misses, the nearest first; empty if there was a host."""
    return [Miss(**each) for each in orjson.loads(decision.nearest)]
