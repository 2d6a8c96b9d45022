"""The run: every event in its order, with the scheduler's own choice and Placement's own claims. Nobody waits: time is the trace's.

What is created at one moment is placed in one transaction, up to a hundred, as the instances of one request are. What one cannot know
is left out: builds take no time and do not fail, hosts have no load.
"""

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from django.db import transaction

from apps.placement import selectors as placement
from apps.placement.services import claims
from apps.scheduler.feed import feed
from apps.scheduler.request import Request
from apps.scheduler.services import choose
from apps.scheduler.simulation.fleet import Fleet
from apps.scheduler.simulation.ledger import Fragmentation, Ledger
from apps.scheduler.simulation.stage import host_id, number_of
from apps.scheduler.simulation.trace import Amounts, Event, Shape, Survey
from apps.scheduler.tuning import Tuning

# So many who come, or go, one after the other, do so in one transaction.
_AT_ONCE = 100


@dataclass(frozen=True)
class Sample:
    """How it was at one moment. `at`: seconds since the first event; `placed`, `refused`: since the sample before."""

    at: float
    running: int
    placed: int
    refused: int
    utilisation: dict[str, float]
    usual: Fragmentation
    largest: Fragmentation


@dataclass
class Outcome:
    """`reasons`: filter → in how many refusals it had a part, and the sum of the shares of hosts that it refused. `mean`: of
    utilisation, over time. `choice_ms`: of each choice alone; `whole_ms`: for each, how long its transaction took."""

    usual_shape: Amounts
    largest_shape: Amounts
    placed: int = 0
    refused: int = 0
    deleted: int = 0
    passed_over: int = 0
    running: int = 0
    running_peak: int = 0
    reasons: dict[str, tuple[int, float]] = field(default_factory=dict)
    refused_shapes: Counter[Amounts] = field(default_factory=Counter)
    peak: dict[str, float] = field(default_factory=dict)
    mean: dict[str, float] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    choice_ms: list[float] = field(default_factory=list)
    whole_ms: list[float] = field(default_factory=list)
    took_s: float = 0.0


class Replay:
    """`points`: samples are taken at so many moments, equally far from each other, and at the end."""

    def __init__(self, fleet: Fleet, survey: Survey, tuned: Tuning, *, points: int) -> None:
        self.ledger = Ledger(fleet)
        self._size = len(fleet.hosts)
        self._survey, self._points = survey, points
        # Nothing is ever under way here; what the table counts until the next look at operations would depend on the clock.
        self._tuned = replace(tuned, builds_per_host=0, multipliers={**tuned.multipliers, "building": 0.0})
        usual = min(survey.shapes, key=lambda each: (-survey.shapes[each], each))
        largest = max(survey.shapes, key=lambda each: (self._fits_an_empty_host(each), self.ledger.weight(each), each))
        self.outcome = Outcome(usual, largest)
        self._alive: dict[str, tuple[uuid.UUID, int, Amounts]] = {}
        self._coming: list[tuple[str, Request, Amounts]] = []
        self._leaving: list[uuid.UUID] = []
        self._made = self._seen = 0
        self._told = (0, 0)
        self._clock = survey.begin
        self._areas = dict.fromkeys(self.ledger.capacity, 0.0)

    def run(self, events: Iterable[Event], advance: Callable[[int], None]) -> Outcome:
        """`advance` is told now and then how many events are done."""
        began = time.perf_counter()
        for event in events:
            self._to(event.at)
            if event.shape is None:
                self._go(event.key)
            else:
                self._come(event.key, event.shape)
            self._seen += 1
            if self._survey.begin == self._survey.end:
                self._sample_if(self._seen / self._survey.events)
            if not self._seen % 100:
                advance(self._seen)
        self._place()
        self._release()
        self._finish()
        self.outcome.took_s = time.perf_counter() - began
        advance(self._seen)
        return self.outcome

    def _to(self, at: float) -> None:
        """Time goes on: what was until now lasted so long."""
        survey, outcome = self._survey, self.outcome
        if at > self._clock:
            self._place()
            step = (survey.end - survey.begin) / self._points
            while (due := survey.begin + len(outcome.samples) * step) < at:
                self._sample(due)
            for name, share in self.ledger.utilisation().items():
                self._areas[name] += share * (at - self._clock)
            self._clock = at

    def _come(self, key: str, shape: Shape) -> None:
        self._release()
        self._made += 1
        request = Request(uuid.UUID(int=self._made), dict(shape.amounts), zone=shape.zone, required_traits=shape.traits)
        self._coming.append((key, request, shape.amounts))
        if len(self._coming) >= _AT_ONCE:
            self._place()

    def _place(self) -> None:
        """Those who have come meanwhile."""
        if not self._coming:
            return
        coming, self._coming = self._coming, []
        began = time.perf_counter()
        choose.catch_up()
        with transaction.atomic():
            choices = choose.choose([request for _, request, _ in coming], tuned=self._tuned)
            full = claims.claim([
                claims.Claim(each.request.instance_id, None, each.host_id, each.request.amounts) for each in choices if each.host_id is not None
            ])
            assert not full, f"{full} were chosen, and are too full: nobody else claims here"
        self.outcome.whole_ms += [(time.perf_counter() - began) * 1000] * len(coming)
        for (key, request, amounts), choice in zip(coming, choices, strict=True):
            self.outcome.choice_ms.append(choice.took_ms)
            if choice.host_id is None:
                self._refuse(amounts, choice)
            else:
                self._keep(key, request.instance_id, number_of(choice.host_id), amounts)

    def _keep(self, key: str, consumer_id: uuid.UUID, host: int, amounts: Amounts) -> None:
        self._alive[key] = consumer_id, host, amounts
        self.ledger.move(host, amounts, 1)
        outcome, now = self.outcome, self.ledger.utilisation()
        outcome.placed += 1
        outcome.running_peak = max(outcome.running_peak, len(self._alive))
        outcome.peak = {name: max(share, outcome.peak.get(name, 0.0)) for name, share in now.items()}

    def _refuse(self, amounts: Amounts, choice: choose.Choice) -> None:
        self.outcome.refused += 1
        self.outcome.refused_shapes[amounts] += 1
        for name, count in choice.counts.items():
            times, shares = self.outcome.reasons.get(name, (0, 0.0))
            self.outcome.reasons[name] = times + 1, shares + count / self._size

    def _go(self, key: str) -> None:
        self._place()
        found = self._alive.pop(key, None)
        if found is None:  # it was refused
            self.outcome.passed_over += 1
            return
        consumer_id, host, amounts = found
        self.outcome.deleted += 1
        self.ledger.move(host, amounts, -1)
        self._leaving.append(consumer_id)
        if len(self._leaving) >= _AT_ONCE:
            self._release()

    def _release(self) -> None:
        if self._leaving:
            claims.release(self._leaving)
            self._leaving = []
            # What became free is seen at once, not when some milliseconds are over: they pass differently in every run.
            feed.expire()

    def _sample_if(self, done: float) -> None:
        """Where all is at one moment, the order of events is the time."""
        if len(self.outcome.samples) < done * self._points:
            self._place()
        while len(self.outcome.samples) < done * self._points:
            self._sample(float(self._seen))

    def _sample(self, at: float) -> None:
        outcome, (placed, refused) = self.outcome, self._told
        begin = self._survey.begin if self._survey.end > self._survey.begin else 0.0
        outcome.samples.append(Sample(
            at - begin, len(self._alive), outcome.placed - placed, outcome.refused - refused, self.ledger.utilisation(),
            self.ledger.fragmentation(outcome.usual_shape), self.ledger.fragmentation(outcome.largest_shape),
        ))
        self._told = outcome.placed, outcome.refused

    def _finish(self) -> None:
        """The last sample, the mean, and the proof: the database says of every host what we have counted."""
        survey, outcome = self._survey, self.outcome
        outcome.running = len(self._alive)
        self._sample(survey.end if survey.end > survey.begin else float(survey.events))
        if (span := survey.end - survey.begin) > 0:
            outcome.mean = {name: area / span for name, area in self._areas.items()}
        said = {(number_of(key), name): capacity - used for key, name, capacity, used, *_ in placement.scheduling_stock()}
        counted = self.ledger.free()
        if said != counted:
            host, name = next(slot for slot in counted if said.get(slot) != counted[slot])
            raise AssertionError(f"{name} of {host_id(host)}: {counted[host, name]} should be free, the database says {said.get((host, name))}")

    def _fits_an_empty_host(self, amounts: Amounts) -> bool:
        return self.ledger.fragmentation(amounts).fits > 0


def percentiles(values: list[float]) -> dict[str, float]:
    """p50, p95, p99 and the longest, in ms."""
    found = np.percentile(values, [50, 95, 99, 100]) if values else np.zeros(4)
    return {name: round(float(value), 3) for name, value in zip(("p50", "p95", "p99", "max"), found, strict=True)}
