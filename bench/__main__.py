"""`make bench`: starts PostgreSQL, Redis and the real processes with simulated hosts of no latency, and prints one table."""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from apps.quotas.resources import RESOURCES
from bench import addresses, floor, identity, measures, networks, objects, placement, scheduling
from bench.client import Client, Timing, concurrently
from bench.figures import Figures, Load
from bench.measures import Counters, conninfo
from cloudsite.launcher.stack import Stack

CONTROL_PLANE = ("web", "scheduler", "conductor", "worker-images", "ticker", "flower", "redis")


def main() -> int:
    options = _options()
    if options.objects:
        objects.check_room()  # now, not when all else is measured
    figures = Figures()
    say = Console(stderr=True).print
    with tempfile.TemporaryDirectory(prefix="cs-bench-") as folder:
        roomy = {"vcpus": 1024, "memory_mb": 1 << 20, "disk_gb": 100_000}
        stack = Stack(
            Path(folder), database="postgresql", simulated_hosts=options.hosts, simulated=roomy, flower=True, images=True,
            env={"CLOUDSITE_LOG_LEVEL": "WARNING", "CLOUDSITE_MAX_BATCH": "1000"},
        )
        say(f"starting PostgreSQL, Redis and the processes, {options.hosts} simulated hosts …")
        with stack:
            _measure(stack, options, figures, say)
    if options.networks:
        say("telling hosts of networks …")
        networks.measure(figures)
    if options.placement:
        say("allocation candidates of up to 10,000 providers, and allocations …")
        placement.measure(figures)
    if options.scheduling:
        say("scheduling decisions …")
        scheduling.measure(figures)
    if options.objects:
        objects.measure(figures, say=lambda step: say(f"objects: {step}"))
    if options.real:
        from bench import real

        say("real guests …")
        real.measure(figures, boots=options.real)
    _show(figures, options)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description="Figures of the whole system beside a floor of the same run.")
    parser.add_argument("--hosts", type=int, default=200, help="simulated hosts (200)")
    parser.add_argument("--boots", type=int, default=500, help="instances of a load (500)")
    parser.add_argument("--threads", type=int, default=16, help="requests at once (16)")
    parser.add_argument("--idle-boots", type=int, default=50, help="single boots on the idle system (50)")
    parser.add_argument(
        "--networks", action=argparse.BooleanOptionalAction, default=True, help="claim addresses, and tell 1,000 simulated hosts of networks (yes)"
    )
    parser.add_argument("--placement", action=argparse.BooleanOptionalAction, default=True, help="allocation candidates and allocations (yes)")
    parser.add_argument(
        "--scheduling", action=argparse.BooleanOptionalAction, default=True, help="scheduling decisions among up to 100,000 hosts (yes)"
    )
    parser.add_argument(
        "--objects", action=argparse.BooleanOptionalAction, default=True, help="the object store: 1 GiB, 4 KiB, and a bucket that grows (yes)"
    )
    parser.add_argument("--real", type=int, default=5, help="real guests to boot, 0: none (5)")
    parser.add_argument("--json", metavar="FILE", help="write the same figures as JSON")
    return parser.parse_args()


def _measure(stack: Stack, options: argparse.Namespace, figures: Figures, say: Any) -> None:
    # Counted as everywhere, but never refused: what is measured is the work.
    stack.manage("quota_set", "--default", *(f"{name}=-1" for name in RESOURCES), check=True)
    say("tokens …")
    identity.measure(stack, figures)
    client = Client(stack.url, stack.token)  # not before: the web process does not keep idle connections for ever
    load = Load(client, image_id=_image(stack), flavor_id=client.get("/flavors")["items"][-1]["id"])
    counters = Counters(stack.settings.database_url, stack.settings.broker_url)
    time.sleep(3)
    for name in CONTROL_PLANE:
        figures.put(f"idle memory {name}, MB", measures.pss_mb(stack.pid(name)))
    figures.put("idle memory of the control plane, MB", sum(v for k, v in figures.values.items() if k.startswith("idle memory")))
    figures.put(f"idle memory of the agent of {options.hosts} hosts, MB", measures.pss_mb(stack.pid("agent")))

    say("single boots on the idle system …")
    concurrently([load.boot] * 20, threads=4)  # warm every thread's connection
    time.sleep(2)
    _idle(load, counters, options, figures)
    load.delete_all(options.threads)

    say(f"{options.boots} boots one by one, {options.threads} at once; then the floor …")
    _one_by_one(stack, load, counters, options, figures)
    say(f"{options.boots} boots in one request …")
    _at_once(load, options, figures)
    say("the floor …")
    _floor(stack, options, figures)
    if options.networks:
        say("addresses …")
        addresses.measure(stack, figures)


def _image(stack: Stack) -> str:
    """Simulated hosts take any content."""
    client = Client(stack.url, stack.token)
    image = client.post("/images", {"name": "bench", "disk_format": "raw"})
    client.upload(f"/images/{image['id']}/file", os.urandom(65536))
    return str(image["id"])


def _idle(load: Load, counters: Counters, options: argparse.Namespace, figures: Figures) -> None:
    counters.reset()
    began = time.perf_counter()
    time.sleep(2)
    noise = (counters.messages() / 2, (counters.statements() or 0) / 2, (counters.commits() or 0) / 2)
    counters.reset()
    began = time.perf_counter()
    timing = Timing([load.one_boot() for _ in range(options.idle_boots)])
    taken = time.perf_counter() - began
    figures.put("one boot, idle, p50 ms", timing.percentile(0.5))
    figures.put("one boot, idle, p95 ms", timing.percentile(0.95))
    figures.put("messages per boot", (counters.messages() - noise[0] * taken) / options.idle_boots, 2)
    if counters.statements() is not None:
        # The last GETs poll; what they ask is in here too.
        figures.put("statements per boot (with waiting for it)", ((counters.statements() or 0) - noise[1] * taken) / options.idle_boots)
        figures.put("commits per boot", ((counters.commits() or 0) - noise[2] * taken) / options.idle_boots, 2)


def _one_by_one(stack: Stack, load: Load, counters: Counters, options: argparse.Namespace, figures: Figures) -> None:
    before = {name: measures.cpu_s(pid) for name, pid in stack.pids().items()}
    counters.reset()
    rate, posts = load.boots_one_by_one(options.boots, options.threads)
    after = {name: measures.cpu_s(pid) for name, pid in stack.pids().items()}
    figures.put("boots/s one by one", rate)
    figures.put("messages per boot under load", counters.messages() / options.boots, 2)
    if counters.statements() is not None:
        figures.put("statements per boot under load", (counters.statements() or 0) / options.boots)
    figures.put("POST p50 ms", posts.percentile(0.5))
    figures.put("POST p95 ms", posts.percentile(0.95))
    for name, used_s in after.items():
        figures.put(f"CPU ms per boot: {name}", (used_s - before.get(name, 0.0)) * 1000 / options.boots, 2)
    load.check_all_active(options.boots)
    load.boot(1000 - options.boots)
    while not load.no_more("BUILD"):
        time.sleep(0.05)
    figures.put("list of 1,000 p50 ms", Timing([load.list_all(1000) for _ in range(15)]).percentile(0.5))
    figures.put("deletes/s", load.delete_all(options.threads))


def _at_once(load: Load, options: argparse.Namespace, figures: Figures) -> None:
    rates = []
    for _ in range(3):
        rates.append(load.boots_at_once(options.boots))
        load.check_all_active(options.boots)
        load.delete_all(options.threads)
    figures.put(f"boots/s, {options.boots} in one request (median of 3)", sorted(rates)[1])
    figures.put("  as a multiple of one by one", sorted(rates)[1] / figures.values["boots/s one by one"], 2)


def _floor(stack: Stack, options: argparse.Namespace, figures: Figures) -> None:
    for name in ("web", "scheduler", "conductor", "ticker", "agent", "flower"):
        stack.stop_one(name)
    rate = floor.measure(
        broker=stack.settings.broker_url, database=conninfo(stack.settings.database_url), env=stack.env,
        chains=options.boots, threads=options.threads,
    )
    figures.put("floor: chains/s (3 messages, 3 commits)", rate)
    figures.put("  boots one by one / floor, %", 100 * figures.values["boots/s one by one"] / rate)


def _show(figures: Figures, options: argparse.Namespace) -> None:
    table = Table(title=f"Cloudsite, {options.hosts} simulated hosts, {os.cpu_count()} cores")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in figures.values.items():
        table.add_row(name, f"{value:,}")
    Console().print(table)
    if options.json:
        Path(options.json).write_text(json.dumps(figures.values, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
