"""Objects of 4 KiB, eight requests at once, beside an authenticated HEAD of the same server, and beside radosgw."""

import http.client
import os
import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from bench import floor, radosgw
from bench.client import concurrently
from bench.figures import Figures
from bench.measures import conninfo
from bench.signed import Access, Client, Prepared
from cloudsite.launcher.programs import LaunchError
from cloudsite.launcher.stack import Stack

COUNT, THREADS, SIZE_BYTES = 2000, 8, 4096
_BATCH = 250
_BUCKET, _METHODS = "bench-small", ("HEAD", "GET", "PUT")


def measure(
    stack: Stack, access: Access, figures: Figures, *, count: int = COUNT, say: Callable[[str], object] = lambda step: None
) -> None:
    """Adds the figures of so many objects. `say` is told why there are none of radosgw."""
    rates = load(access, count)
    for name in _METHODS:
        figures.put(_told(name), rates[name])
        if name != "HEAD":
            figures.put(f"  {name} as a multiple of HEAD", rates[name] / rates["HEAD"], 2)
    rate = _floor(stack, count)
    figures.put("  floor: a file synced and renamed, and a bare commit, per second", rate)
    figures.put("  PUT / floor, %", 100 * rates["PUT"] / rate)
    if reason := _beside(stack, figures, rates, count):
        say(reason)


def _beside(stack: Stack, figures: Figures, rates: dict[str, float], count: int) -> str:
    """The same load on radosgw, on the same disk; why there is none, in a sentence."""
    if lacking := radosgw.missing():
        return f"No radosgw beside it: not on the path: {', '.join(lacking)} (Debian: radosgw, ceph-mon, ceph-osd)."
    try:
        with radosgw.running(stack.var / "ceph") as access:
            theirs = load(access, count)
    except LaunchError as error:
        return f"No radosgw beside it: it cannot be started here. {error}"
    except (AssertionError, OSError, http.client.HTTPException) as error:
        return f"No radosgw beside it: it was started, but did not do the work. {error!r}"
    for name in _METHODS:
        figures.put(f"radosgw: {_told(name)}", theirs[name])
        figures.put(f"  {name}: Cloudsite / radosgw", rates[name] / theirs[name], 2)
    return ""


def load(access: Access, count: int) -> dict[str, float]:
    """Requests per second of each method; every one on a key of its own, its signature made before."""
    client, content = Client(access.url, access), os.urandom(SIZE_BYTES)
    client.ask(client.prepare("PUT", f"/{_BUCKET}"))
    warm = [f"/{_BUCKET}/warm-{number}" for number in range(10 * THREADS)]
    for method in ("PUT", "HEAD", "GET"):  # every thread of the server has its connection then
        _seconds(client, [client.prepare(method, key) for key in warm], content if method == "PUT" else None)
    taken = dict.fromkeys(_METHODS, 0.0)
    for first in range(0, count, _BATCH):  # in turns, so that all have the same moments of the machine
        keys = [f"/{_BUCKET}/object-{number}" for number in range(first, min(first + _BATCH, count))]
        for method in ("PUT", "HEAD", "GET"):
            taken[method] += _seconds(client, [client.prepare(method, key) for key in keys], content if method == "PUT" else None)
    return {method: count / seconds for method, seconds in taken.items()}


def _told(method: str) -> str:
    return f"{method} of {SIZE_BYTES:,} bytes, {THREADS} at once, per second"


def _seconds(client: Client, requests: Sequence[Prepared], content: bytes | None) -> float:
    work = [partial(client.ask, request, content) for request in requests]
    os.sync()
    began = time.perf_counter()
    concurrently(work, threads=THREADS)
    return time.perf_counter() - began


def _floor(stack: Stack, count: int) -> float:
    """How many in a second, if they were nothing but what makes them last: a file with its name, and a row."""
    import psycopg

    database = conninfo(stack.settings.database_url)
    os.environ[floor.DATABASE] = database
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS floor (id bigserial PRIMARY KEY, stage text)")
    folder, content = stack.var / "floor", os.urandom(SIZE_BYTES)
    folder.mkdir()

    def keep(number: int) -> None:
        path = folder / f"{number}.new"
        _write(path, content)
        floor.commit("object")
        path.rename(folder / str(number))

    os.sync()
    began = time.perf_counter()
    concurrently([partial(keep, number) for number in range(count)], threads=THREADS)
    taken = time.perf_counter() - began
    shutil.rmtree(folder)
    return count / taken


def _write(path: Path, content: bytes) -> None:
    """On the disk, and its name too."""
    with path.open("wb", buffering=0) as file:
        file.write(content)
        os.fsync(file.fileno())
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
