"""Loads as they usually are, made by chance from a seed: which shapes come, how long they stay, how day and night differ.

Arrivals follow a Poisson process in groups; lifetimes are lognormal. At the beginning there is what would run by then, had it always
been so: it is created at the first moment, and stays for the rest of its life.
"""

import heapq
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from apps.common.errors import Invalid
from apps.placement.names import DISK_GB, MEMORY_MB, VCPU
from apps.scheduler.simulation.trace import Event, Shape, amounts_of

_MINUTE_S, _HOUR_S, _DAY_S = 60.0, 3600.0, 86400.0


@dataclass(frozen=True)
class Kind:
    """`share`: of the arrivals. `life_s`: half of them live longer; `sigma`: how much lives differ."""

    shape: Shape
    share: float
    life_s: float
    sigma: float

    @property
    def mean_life_s(self) -> float:
        return self.life_s * math.exp(self.sigma**2 / 2)


@dataclass(frozen=True)
class Mix:
    """`swing`: how much more than on average comes at the busiest hour, 0 to 1. `together`: so many come at one moment, on average."""

    words: str
    kinds: tuple[Kind, ...]
    swing: float
    together: float


def _kinds(life_s: float, sigma: float, *shapes: tuple[float, int, int, int]) -> tuple[Kind, ...]:
    """Each (share, vCPUs, GiB of memory, GiB of disk)."""
    return tuple(
        Kind(Shape(amounts_of({VCPU: vcpus, MEMORY_MB: memory * 1024, DISK_GB: disk})), share, life_s, sigma)
        for share, vcpus, memory, disk in shapes
    )


def _part(kinds: Sequence[Kind], share: float) -> tuple[Kind, ...]:
    return tuple(Kind(each.shape, each.share * share, each.life_s, each.sigma) for each in kinds)


_WEB = _kinds(2 * _DAY_S, 1.2, (0.45, 1, 2, 20), (0.35, 2, 4, 40), (0.2, 4, 16, 80))
_BATCH = _kinds(2 * _HOUR_S, 1.0, (0.5, 8, 16, 50), (0.3, 16, 32, 100), (0.2, 32, 64, 200))
_CI = _kinds(10 * _MINUTE_S, 0.6, (0.6, 2, 4, 30), (0.3, 4, 8, 40), (0.1, 8, 16, 60))
_DATABASE = _kinds(60 * _DAY_S, 1.0, (0.5, 4, 32, 200), (0.35, 8, 64, 400), (0.15, 16, 128, 800))

MIXES: Mapping[str, Mix] = {
    "web": Mix("small instances for days, more of them by day", _WEB, 0.5, 2),
    "batch": Mix("large instances for hours, in bursts", _BATCH, 0.2, 8),
    "ci": Mix("small instances for minutes, hardly any by night", _CI, 0.9, 3),
    "database": Mix("instances with much memory and disk, for months", _DATABASE, 0.0, 1),
    "mixed": Mix("all of these", (*_part(_WEB, 0.4), *_part(_BATCH, 0.2), *_part(_CI, 0.38), *_part(_DATABASE, 0.02)), 0.5, 3),
}


def rate_for(mix: Mix, capacity: Mapping[str, int], load: float) -> float:
    """Arrivals per second at which, in the long run, `load` (1: all) of the scarcest resource is wanted at once. Raises Invalid."""
    wanted: dict[str, float] = {}
    for each in mix.kinds:
        for name, amount in each.shape.amounts:
            wanted[name] = wanted.get(name, 0.0) + each.share * amount * each.mean_life_s
    scarcest = min((capacity.get(name, 0) / amount for name, amount in wanted.items()), default=0.0)
    if scarcest <= 0:
        raise Invalid("simulation.fleet", f"The mix wants {', '.join(wanted)}, and the fleet lacks some of it.", field="mix")
    return load * scarcest


def running_at_once(mix: Mix, rate: float) -> int:
    """How many, on average."""
    return round(rate * sum(each.share * each.mean_life_s for each in mix.kinds))


def generate(mix: Mix, *, rate: float, seed: int) -> Iterator[Event]:
    """Without end, the same for the same seed. `rate`: arrivals per second, on average over a day."""
    chance = random.Random(seed)
    shares = [each.share for each in mix.kinds]
    ends: list[tuple[float, str]] = []
    now, made, line = 0.0, 0, 0
    for kind in chance.choices(mix.kinds, [each.share * each.mean_life_s for each in mix.kinds], k=running_at_once(mix, rate)):
        made, line = made + 1, line + 1
        yield Event(0.0, f"i{made}", kind.shape, line)
        # Who is met at any moment lives longer than others do, and part of that life is over.
        life = chance.random() * chance.lognormvariate(math.log(kind.life_s) + kind.sigma**2, kind.sigma)
        heapq.heappush(ends, (life, f"i{made}"))
    while True:
        now = _next(mix, rate / mix.together, now, chance)
        while ends and ends[0][0] <= now:
            at, key = heapq.heappop(ends)
            line += 1
            yield Event(at, key, None, line)
        # A geometric number, at least one.
        group = 1 if mix.together <= 1 else 1 + int(math.log(1 - chance.random()) / math.log(1 - 1 / mix.together))
        for kind in chance.choices(mix.kinds, shares, k=group):
            made, line = made + 1, line + 1
            yield Event(now, f"i{made}", kind.shape, line)
            heapq.heappush(ends, (now + chance.lognormvariate(math.log(kind.life_s), kind.sigma), f"i{made}"))


def _next(mix: Mix, rate: float, now: float, chance: random.Random) -> float:
    """When the next group comes: at the rate of the busiest hour, and some of them do not come at the others."""
    while True:
        now += chance.expovariate(rate * (1 + mix.swing))
        if chance.random() * (1 + mix.swing) <= 1 + mix.swing * math.sin(2 * math.pi * now / _DAY_S):
            return now
