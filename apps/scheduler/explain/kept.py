"""The parts of a decision as they are stored, and as they are read again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from apps.scheduler.filters import PASSED, Judged
from apps.scheduler.request import Request

if TYPE_CHECKING:
    from apps.scheduler.models import Decision

# Where a filter's name could stand: none refused it.
FITS = "passed"
# Beyond so many hosts only some of each verdict are named.
_ALL_NAMED, _SOME = 200, 20


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


def request(asked: Request) -> dict[str, Any]:
    """What was asked, without what was not."""
    group = asked.group
    parts: dict[str, Any] = {
        "wires": sorted(asked.wires), "required_traits": sorted(asked.required_traits),
        "forbidden_traits": sorted(asked.forbidden_traits), "host_metadata": dict(asked.host_metadata),
        "architecture": asked.architecture, "hypervisor_type": asked.hypervisor_type,
        "hosts": sorted(map(str, asked.hosts)), "avoided_hosts": sorted(map(str, asked.avoided)),
        "group": None if group is None else {"id": str(group.id), "policy": group.policy.value, "max_per_host": group.max_per_host},
    }
    return {
        "amounts": dict(asked.amounts), "zone": asked.zone, "excluded": [str(host_id) for host_id in asked.excluded],
        **{name: value for name, value in parts.items() if value},
    }


def steps(judged: Judged) -> str:
    """As JSON text."""
    return text(list(zip(judged.names, judged.left, strict=True)))


def verdicts(names: Sequence[str], judged: Judged) -> str:
    """As JSON text: reason → names of hosts, or of many hosts their number and some names."""
    numbers = {reason: number for number, reason in enumerate(judged.names)} | {FITS: PASSED}
    found: dict[str, Any] = {}
    for reason, hosts in judged.counts.items():
        rows = np.flatnonzero(judged.verdicts == numbers[reason])
        if judged.hosts <= _ALL_NAMED:
            found[reason] = [names[row] for row in rows.tolist()]
        else:
            found[reason] = {"hosts": hosts, "some": [names[row] for row in rows[:_SOME].tolist()]}
    return text(found)


def text(value: object) -> str:
    """As JSON."""
    return orjson.dumps(value).decode()


# What is read again.


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
