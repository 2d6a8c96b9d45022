"""manage.py simulate"""

import signal
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from apps.common.commands import DONE, CloudCommand, whole
from apps.common.errors import Invalid
from apps.scheduler import tuning
from apps.scheduler.services import choose
from apps.scheduler.simulation import azure, fleet, mixes, plot, readers, report, scratch, stage
from apps.scheduler.simulation.fleet import Fleet
from apps.scheduler.simulation.replay import Outcome, Replay
from apps.scheduler.simulation.trace import Survey, Trace, look_through
from apps.scheduler.tuning import Tuning
from apps.scheduler.weighers import WEIGHERS

# What packing and spreading turn round.
_FREE = ("memory", "cpu", "disk")
_EVENTS = 10_000
# What shells give who was stopped by Ctrl-C.
STOPPED = 130


class Command(CloudCommand):
    help = "Replay a load against the real scheduler, with hosts and a database of its own: what would be placed, refused, wasted. Nothing of this cloud is touched."
    examples = (
        "", "--mix batch --hosts 200 --events 50000 --pack --plot batch.png",
        "--trace load.csv --fleet 80xVCPU=64,MEMORY_MB=262144,DISK_GB=4000@west --fleet 20xVCPU=128,MEMORY_MB=1048576@east --json",
        "--trace packing_trace_zone_a_v1.sqlite --events 200000 --hosts 1000 --weight memory=-1 --weight cpu=0.5",
        "--mix web --fleet-of-this-cloud --occupied",
    )

    def options(self, parser: ArgumentParser) -> None:
        load = parser.add_argument_group("the load")
        load.add_argument("--trace", type=Path, metavar="FILE", help="creations and deletions in the order of time")
        load.add_argument("--format", choices=("auto", "csv", "jsonl", "azure"), default="auto", help="of the trace; default: by what is in it")
        load.add_argument("--azure-types", type=Path, metavar="FILE", help="CSV of vmType, for a CSV of vm (default: vmType.csv beside it)")
        load.add_argument("--azure-machine", metavar="ID", help="whose shares are taken (default: the machine that most types run on)")
        load.add_argument("--mix", choices=sorted(mixes.MIXES), help="; ".join(f"{name}: {each.words}" for name, each in sorted(mixes.MIXES.items())))
        load.add_argument("--events", type=whole(1, 100_000_000), metavar="N", help=f"of a trace: the first N; of a mix: so many (default: what runs at the beginning, and {_EVENTS})")
        load.add_argument("--load", type=whole(1, 1000), default=95, metavar="PERCENT", help="what a mix wants of the fleet's scarcest resource in the long run (default: %(default)s)")
        load.add_argument("--seed", type=whole(0, 2**31), default=1, help="of the mix and of the choice among equals (default: %(default)s)")
        hosts = parser.add_argument_group("the hosts; amounts are what can be claimed, overcommitment included")
        hosts.add_argument("--hosts", type=whole(1, fleet.MOST_HOSTS), metavar="N", help="N hosts that are alike (default: 100)")
        hosts.add_argument("--host-shape", metavar="SHAPE", help=f"default: {fleet.USUAL_HOST}")
        hosts.add_argument("--fleet", action="append", default=[], metavar="COUNTxSHAPE[@ZONE]", help="may be repeated")
        hosts.add_argument("--fleet-file", type=Path, metavar="FILE", help='JSON: [{"count": 50, "shape": {"VCPU": 64}, "zone": "west", "traits": []}]')
        hosts.add_argument("--fleet-of-this-cloud", action="store_true", help="hosts like those of this installation that take instances now")
        hosts.add_argument("--occupied", action="store_true", help="with that: what is claimed of them stays claimed")
        way = parser.add_argument_group("the scheduler; by default as this installation is set")
        either = way.add_mutually_exclusive_group()
        either.add_argument("--pack", action="store_true", help="the fullest host first, and always the best one")
        either.add_argument("--spread", action="store_true", help="the emptiest host first")
        way.add_argument("--weight", action="append", default=[], type=_weight, metavar="NAME=VALUE", help=f"of a weigher: {', '.join(each.name for each in WEIGHERS)}")
        way.add_argument("--among", type=whole(1, 100), metavar="N", help="the choice is made at random among so many of the best")
        parser.add_argument("--points", type=whole(2, 10_000), default=200, help="moments at which utilisation is looked at (default: %(default)s)")
        parser.add_argument("--plot", type=Path, metavar="FILE", help="draw it (.png, .svg)")
        parser.add_argument("--scratch", choices=scratch.KINDS, default="auto", help="where the simulation's own tables are: on the database server, or in a SQLite file")

    def work(self, **options: Any) -> int:
        if options["plot"]:
            plot.check(options["plot"])
        tuned = _tuned(options)
        hosts = _fleet(options)
        trace = _trace(options, hosts)
        try:
            with self._progress() as progress:
                reading = progress.add_task("reading the trace", total=None)
                survey = look_through(trace)
                progress.remove_task(reading)
                outcome = self._run(trace, survey, hosts, tuned, options, progress)
        except KeyboardInterrupt:
            self.stderr.write("Stopped. Nothing is kept.")
            return STOPPED
        data = report.as_data(outcome, _about(trace, survey, hosts, tuned, options))
        if options["plot"]:
            plot.draw(data, options["plot"])
        self._tell(data)
        return DONE

    def _run(self, trace: Trace, survey: Survey, hosts: Fleet, tuned: Tuning, options: dict[str, Any], progress: Progress) -> Outcome:
        bar = progress.add_task("making a database", total=survey.events)
        with scratch.database(options["scratch"]):
            stage.enrol(hosts)
            progress.update(bar, description="placing")
            choose.seed(options["seed"])
            try:
                with _between_events() as look:

                    def advance(done: int) -> None:
                        progress.update(bar, completed=done)
                        look()

                    return Replay(hosts, survey, tuned, points=options["points"]).run(trace, advance)
            finally:
                choose.seed(None)

    @contextmanager
    def _progress(self) -> Iterator[Progress]:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True, disable=self.as_json or not console.is_terminal) as progress:
            yield progress

    def _tell(self, data: dict[str, Any]) -> None:
        if self.as_json:
            self.emit(data)
            return
        self.facts(report.lines(data))
        self.say("")
        shares = [{"resource": name, **{which: f"{each:.1%}" for which, each in row.items() if each is not None}} for name, row in data["utilisation"].items()]
        self.show(shares, "resource", "mean", "peak", "end", nothing="The fleet has nothing.")
        self.say("")
        if data["refused"]:
            because = [{"refused_because": name, "refusals": row["refusals"], "of_the_hosts": f"{row['share_of_hosts']:.1%}"} for name, row in data["refused_because"].items()]
            self.show(because, "refused_because", "refusals", "of_the_hosts", nothing="")
            self.say("")
            shapes = [{"refused_shape": ",".join(f"{name}={amount}" for name, amount in row["shape"].items()), "times": row["refused"]} for row in data["refused_shapes"]]
            self.show(shapes, "refused_shape", "times", nothing="")
            self.say("")
        classes = data["fleet"]["capacity"]
        self.show(report.over_time(data), "after", "running", "placed", "refused", *classes, "fragmented_usual", "fragmented_largest", nothing="")


@contextmanager
def _between_events() -> Iterator[Callable[[], None]]:
    """Whoever stops us does so where we look, and not in the middle of a transaction: then the scratch database goes, too."""
    came: list[int] = []

    def look() -> None:
        if came:
            raise KeyboardInterrupt

    old = {each: signal.signal(each, lambda number, _: came.append(number)) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield look
    finally:
        for each, handler in old.items():
            signal.signal(each, handler)


def _weight(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    number = readers.number_of(value)
    if name not in {each.name for each in WEIGHERS} or number is None or not -100 <= number <= 100:
        raise ArgumentTypeError(f"expected NAME=VALUE with one of {', '.join(each.name for each in WEIGHERS)} and -100 to 100, got {text[:64]!r}")
    return name, number


def _tuned(options: dict[str, Any]) -> Tuning:
    """What the operator has set, as far as the options do not say otherwise."""
    tuned = tuning.current()
    multipliers = dict(tuned.multipliers)
    if options["pack"] or options["spread"]:
        sign = -1 if options["pack"] else 1
        multipliers |= {name: sign * abs(multipliers[name]) for name in _FREE}
    multipliers |= dict(options["weight"])
    among = options["among"] or (1 if options["pack"] else tuned.among)
    return replace(tuned, among=among, multipliers=multipliers)


def _fleet(options: dict[str, Any]) -> Fleet:
    """Raises Invalid."""
    given = [name for name in ("fleet", "fleet_file", "fleet_of_this_cloud") if options[name]]
    given += ["hosts"] if options["hosts"] or options["host_shape"] else []
    if len(given) > 1:
        raise Invalid("simulation.fleet", f"Several fleets are given: {', '.join('--' + name.replace('_', '-') for name in given)}. Give one.", field=given[0])
    if options["occupied"] and not options["fleet_of_this_cloud"]:
        raise Invalid("simulation.fleet", "--occupied goes with --fleet-of-this-cloud.", field="occupied")
    if options["fleet"]:
        return fleet.grouped(options["fleet"])
    if options["fleet_file"]:
        return fleet.from_file(options["fleet_file"])
    if options["fleet_of_this_cloud"]:
        return fleet.of_this_cloud(occupied=options["occupied"])
    return fleet.uniform(options["hosts"] or 100, options["host_shape"] or fleet.USUAL_HOST)


def _trace(options: dict[str, Any], hosts: Fleet) -> Trace:
    """Raises Invalid."""
    path, limit = options["trace"], options["events"]
    if path is None:
        mix = mixes.MIXES[name := options["mix"] or "mixed"]
        rate = mixes.rate_for(mix, hosts.capacity, options["load"] / 100)
        limit = limit or mixes.running_at_once(mix, rate) + _EVENTS
        return Trace(f"mix {name}", lambda: mixes.generate(mix, rate=rate, seed=options["seed"]), limit)
    if options["mix"]:
        raise Invalid("simulation.trace", "Either --trace or --mix.", field="trace")
    readers.check(path)
    form, found = options["format"], readers.sniff(path)
    if form == "azure" or (form == "auto" and (found == "sqlite" or (found == "csv" and azure.is_export(readers.header(path))))):
        machine = {name: units.capacity for name, units in hosts.hosts[0].stock.items()}
        packing = azure.Packing(path, machine, machine_id=options["azure_machine"], types=options["azure_types"], is_csv=found != "sqlite")
        return Trace(path.name, lambda: packing.events(limit), limit)
    read = readers.read_jsonl if form == "jsonl" or (form == "auto" and found == "jsonl") else readers.read_csv
    return Trace(path.name, lambda: read(path), limit)


def _about(trace: Trace, survey: Survey, hosts: Fleet, tuned: Tuning, options: dict[str, Any]) -> dict[str, Any]:
    return {
        "trace": {"name": trace.name, "events": survey.events, "seconds": round(survey.end - survey.begin, 3), "shapes": len(survey.shapes)},
        "fleet": {"hosts": len(hosts.hosts), "left_out": hosts.left_out, "capacity": hosts.capacity},
        "scheduler": {"among": tuned.among, "weights": dict(tuned.multipliers), "seed": options["seed"]},
    }
