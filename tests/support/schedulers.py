"""Schedulers that fill a fleet to the last place and empty it again, as threads or as processes of their own.

`python -m tests.support.schedulers SEED` is one of them as a process: it reads the phases, one a line (`fill`, `empty`,
`churn`, `end`), and answers each with a line of JSON.
"""

import json
import os
import random
import sys
import uuid
from collections import Counter
from collections.abc import Iterable
from typing import Any

# They leave gaps of different forms, so that the last place is not the same for all.
SHAPES = (
    {"VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 5}, {"VCPU": 2, "MEMORY_MB": 3072, "DISK_GB": 10}, {"VCPU": 4, "MEMORY_MB": 1536, "DISK_GB": 30},
)
SMALLEST = SHAPES[0]
_ROUNDS = 200


class Scheduler:
    """Decides, claims and records as `place` does, one request at a time. `counts`: what happened, by name."""

    def __init__(self, seed: int) -> None:
        self._chosen = random.Random(seed)
        self._held: list[uuid.UUID] = []
        self.counts: Counter[str] = Counter()

    def fill(self) -> None:
        """Until not even the smallest finds a place. Nobody gives anything back meanwhile."""
        shapes = list(SHAPES)
        while shapes:
            shape = self._chosen.choice(shapes)
            if not self._place(shape, nobody_releases=True):
                shapes.remove(shape)

    def empty(self) -> None:
        """Give most back."""
        self._chosen.shuffle(self._held)
        self._release(len(self._held) * 3 // 4)

    def churn(self) -> None:
        """Come and go, while others do."""
        for _ in range(20):
            self._release(min(len(self._held), 2))
            for _ in range(2):
                self._place(self._chosen.choice(SHAPES), nobody_releases=False)

    def _release(self, count: int) -> None:
        from django.db import transaction

        from apps.placement.services import claims

        for _ in range(count):
            with transaction.atomic():
                claims.release([self._held.pop()])
            self.counts["released"] += 1

    def _place(self, shape: dict[str, int], *, nobody_releases: bool) -> bool:
        """Whether there was a place."""
        from django.db import transaction

        from apps.placement.services import claims
        from apps.scheduler.request import Request
        from apps.scheduler.services import choose

        request = Request(uuid.uuid4(), shape)
        self.counts["decisions"] += 1
        for number in range(_ROUNDS):
            choose.catch_up(surely=number > 0)
            with transaction.atomic():
                (choice,) = choose.choose([request])
                if choice.host_id is None:
                    self.counts["refused"] += 1
                    if nobody_releases and (room := room_for(shape)):
                        self.counts["refused though there was room"] += 1
                        print("room", room[:3], "refused", choice.judged.counts, file=sys.stderr)
                    choose.record([(uuid.uuid4(), choice)])
                    return False
                if not claims.claim([claims.Claim(request.instance_id, None, choice.host_id, shape)]):
                    choose.record([(uuid.uuid4(), choice)])
                    self._held.append(request.instance_id)
                    self.counts["placed"] += 1
                    return True
                choose.lost(choice)
            self.counts["lost races"] += 1
        raise AssertionError("it loses every race")


def room_for(shape: dict[str, int]) -> list[uuid.UUID]:
    """The hosts that could take it, by what is committed at this moment."""
    from apps.placement import selectors

    fits: Counter[uuid.UUID] = Counter()
    for host_id, name, capacity, used, *_ in selectors.scheduling_stock():
        fits[host_id] += capacity - used >= shape.get(name, 0)
    return [host_id for host_id, count in fits.items() if count == 3]


def total(counts: Iterable[dict[str, int]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for each in counts:
        found.update(each)
    return found


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloudsite.settings")
    import django

    django.setup()
    scheduler: Any = Scheduler(int(sys.argv[1]))
    for line in sys.stdin:
        if (phase := line.strip()) == "end":
            break
        getattr(scheduler, phase)()
        print(json.dumps(scheduler.counts), flush=True)


if __name__ == "__main__":
    main()
