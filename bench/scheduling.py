"""How long a scheduling decision takes by the number of hosts: choice, claim, explanation, record and upkeep of the table.

`python -m bench.scheduling` measures fleets of 100 to 100,000 hosts on a PostgreSQL of its own, without HTTP or messages;
`--plot FILE` draws the curve. With `--inside` it is the part that runs within the installation's settings and prints JSON.
"""

import argparse
import gc
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.curves import curve
from bench.figures import Figures
from bench.rows import copy_rows
from cloudsite.launcher.stack import Stack

SIZES = (100, 1_000, 10_000, 100_000)
# Hosts → ms that the whole of one decision may take in the middle.
TARGETS = {1_000: 2.0, 10_000: 5.0, 100_000: 40.0}
DECISIONS, WARM = 300, 30
SHAPES = ({"VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 5}, {"VCPU": 2, "MEMORY_MB": 4096, "DISK_GB": 20}, {"VCPU": 8, "MEMORY_MB": 16384, "DISK_GB": 80})
INVENTORY = {"VCPU": 256, "MEMORY_MB": 262_144, "DISK_GB": 4000}
TRAITS = tuple(f"CUSTOM_BENCH_{number}" for number in range(10))
# Between two decisions others change hosts, too.
OTHERS = 5


def measure(figures: Figures, sizes: Iterable[int] = SIZES) -> dict[int, dict[str, float]]:
    """Adds the figures of scheduling decisions; returns them by size."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="cs-bench-") as folder, Stack(
        Path(folder), database="postgresql", env={"CLOUDSITE_LOG_LEVEL": "WARNING"}
    ) as stack:
        for name in ("agent", "conductor", "ticker", "scheduler", "web"):
            stack.stop_one(name)
        for size in sizes:
            command = [sys.executable, "-m", "bench.scheduling", "--inside", str(size)]
            found[size] = json.loads(subprocess.run(command, env=stack.env, check=True, capture_output=True, text=True).stdout)
    for size, each in found.items():
        among = f"decision among {size:,} hosts"
        for name, key, digits in (
            ("with claim and record, now and then, p50 ms", "whole_p50_ms", 2), ("  p95 ms", "whole_p95_ms", 2),
            ("  choice alone, p50 ms", "choice_p50_ms", 3), ("  floor: a transaction with one row written, p50 ms", "floor_p50_ms", 2),
            ("one after the other, p50 ms", "row_p50_ms", 2), ("  choice alone, in a row, p50 ms", "row_choice_p50_ms", 3),
            ("  floor, p50 ms", "row_floor_p50_ms", 2),
            ("all hosts read for the first time, ms", "read_ms", 1), ("memory per host, bytes", "bytes_per_host", 0),
        ):
            figures.put(f"{among}: {name}", each[key], digits)
    return found


def draw(found: dict[int, dict[str, float]], path: Path) -> None:
    """The curve, as SVG or PNG by the name's end."""
    sizes = sorted(found)
    with curve(path, across="hosts", up="p50, ms") as axes:
        for key, label, style in (
            ("whole_p50_ms", "choice, claim, explanation and record; now and then", "o-"), ("row_p50_ms", "… one after the other", "o--"),
            ("row_choice_p50_ms", "choice alone", "s--"), ("row_floor_p50_ms", "a transaction with one row", ":"),
        ):
            axes.plot(sizes, [found[size][key] for size in sizes], style, label=label)
        axes.plot(list(TARGETS), list(TARGETS.values()), "kv", fillstyle="none", label="at most, whole")


class _Fleet:
    """Works on the tables by their names: the bench is no part of the contexts that they belong to."""

    def __init__(self, size: int) -> None:
        self.ids = [uuid.uuid4() for _ in range(size)]

    def make(self) -> None:
        """Empties the tables, and fills them with hosts that are up, each with three classes and ten traits, partly used."""
        from django.apps import apps
        from django.db import connection

        from apps.common import clock

        names = [
            ("placement", "Allocation"), ("placement", "Consumer"), ("placement", "Inventory"), ("placement", "ProviderTrait"),
            ("placement", "ResourceProvider"), ("network", "HostNetwork"), ("hosts", "HostDelta"), ("hosts", "Host"), ("scheduler", "Decision"),
        ]
        models = {name: apps.get_model(context, name) for context, name in names}
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {', '.join(model._meta.db_table for model in models.values())} CASCADE")
        chosen, now = random.Random(1), clock.now()
        copy_rows(models["Host"], (
            {"id": key, "name": f"h{n}", "zone": f"zone-{n % 3}", "key_id": f"{n:016x}", "public_key": f"{n:064x}", "state": "up", "created_at": now}
            for n, key in enumerate(self.ids)
        ))
        copy_rows(models["HostNetwork"], ({"host_id": key, "host_name": f"h{n}", "speaks": True} for n, key in enumerate(self.ids)))
        copy_rows(models["ResourceProvider"], ({"id": key, "name": f"h{n}", "root_id": key, "updated_at": now} for n, key in enumerate(self.ids)))
        copy_rows(models["Inventory"], (
            {
                "provider_id": key, "resource_class": name, "total": total, "capacity": total, "ceiling": total,
                "used": chosen.randrange(total // 4), "updated_at": now,
            }
            for key in self.ids
            for name, total in INVENTORY.items()
        ))
        copy_rows(models["ProviderTrait"], ({"provider_id": key, "name": name} for key in self.ids for name in TRAITS))
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")

    def others_change_some(self) -> None:
        from django.db import transaction

        from apps.hosts.services import deltas

        with transaction.atomic():
            deltas.note(random.sample(self.ids, OTHERS), claims_only=True)
            deltas.note(random.sample(self.ids, random.randrange(2)))


def _request(number: int) -> Any:
    from apps.scheduler.request import Request

    return Request(
        uuid.uuid4(), SHAPES[number % 3], project_id=uuid.uuid4(), zone=f"zone-{number % 3}" if number % 2 else "",
        required_traits=frozenset(TRAITS[:2]) if number % 4 == 0 else frozenset(),
    )


def _decide(request: Any) -> float:
    """One decision as a scheduler makes it; the milliseconds of its choice alone."""
    from django.db import transaction

    from apps.placement.services import claims
    from apps.scheduler.services import choose

    choose.catch_up()
    with transaction.atomic():
        (choice,) = choose.choose([request])
        assert choice.host_id is not None, choice.summary
        assert not claims.claim([claims.Claim(request.instance_id, request.project_id, choice.host_id, request.amounts)])
        choose.record([(uuid.uuid4(), choice)])
    return choice.took_ms


def _floor() -> None:
    """What no way of writing something down in the database can do without."""
    from django.db import transaction

    from apps.hosts.services import deltas

    with transaction.atomic():
        deltas.note([uuid.uuid4()], claims_only=True)


def _inside(size: int) -> dict[str, float]:
    from apps.scheduler import feed

    fleet = _Fleet(size)
    fleet.make()
    began = time.perf_counter()
    feed.feed.current()
    read_ms = (time.perf_counter() - began) * 1000
    apart, row = _timed(fleet, rest_s=0.02), _timed(fleet, rest_s=0)
    return {
        "whole_p50_ms": statistics.median(apart.whole), "whole_p95_ms": sorted(apart.whole)[int(len(apart.whole) * 0.95)],
        "choice_p50_ms": statistics.median(apart.choices), "floor_p50_ms": statistics.median(apart.floor),
        "row_p50_ms": statistics.median(row.whole), "row_choice_p50_ms": statistics.median(row.choices),
        "row_floor_p50_ms": statistics.median(row.floor), "read_ms": read_ms, "bytes_per_host": _bytes(size),
    }


@dataclass
class _Taken:
    """Milliseconds of each decision, of its choice alone, and of the floor beside it."""

    whole: list[float] = field(default_factory=list)
    choices: list[float] = field(default_factory=list)
    floor: list[float] = field(default_factory=list)


def _timed(fleet: _Fleet, *, rest_s: float) -> _Taken:
    """`rest_s`: at most so long between two, when caches grow cold and the table old."""
    taken = _Taken()
    for number in range(DECISIONS + WARM):
        fleet.others_change_some()
        time.sleep(random.random() * rest_s)
        request = _request(number)
        began = time.perf_counter()
        choice_ms = _decide(request)
        ended = time.perf_counter()
        _floor()
        if number >= WARM:
            taken.whole.append((ended - began) * 1000)
            taken.choices.append(choice_ms)
            taken.floor.append((time.perf_counter() - ended) * 1000)
    return taken


def _bytes(size: int) -> float:
    """What a table takes that is read anew, names and ids included."""
    from apps.scheduler import feed

    feed.feed.forget()
    gc.collect()
    tracemalloc.start()
    feed.feed.current()
    gc.collect()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return taken / size


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.scheduling", description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="numbers of hosts, separated by commas")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the curve (.svg, .png)")
    parser.add_argument("--inside", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloudsite.settings")
        import django

        django.setup()
        print(json.dumps(_inside(options.inside)))
        return
    figures = Figures()
    found = measure(figures, [int(size) for size in options.sizes.split(",")])
    print(json.dumps(figures.values, indent=2))
    if options.plot:
        draw(found, options.plot)


if __name__ == "__main__":
    main()
