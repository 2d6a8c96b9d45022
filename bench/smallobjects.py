"""Objects of 4 KiB, eight requests at once, beside an authenticated HEAD of the same server; and any other S3 server by the same load."""

import os
import shutil
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench import floor
from bench.client import concurrently
from bench.figures import Figures
from bench.measures import conninfo
from bench.signed import Access, Client, Prepared
from cloudsite.launcher.stack import Stack

COUNT, THREADS, SIZE_BYTES = 2000, 8, 4096
_BUCKET = "bench-small"


def measure(stack: Stack, access: Access, figures: Figures, *, count: int = COUNT) -> None:
    """Adds the figures of so many objects."""
    rates = load(access, count)
    for name in ("HEAD", "GET", "PUT"):
        figures.put(f"{name} of {SIZE_BYTES} bytes, {THREADS} at once, per second", rates[name])
        if name != "HEAD":
            figures.put(f"  {name} as a multiple of HEAD", rates[name] / rates["HEAD"], 2)
    rate = _floor(stack, count)
    figures.put("  floor: a file synced and renamed, and a bare commit, per second", rate)
    figures.put("  PUT / floor, %", 100 * rates["PUT"] / rate)


def beside(access: Access, figures: Figures, *, count: int = COUNT) -> None:
    """The same load on another server, which runs already."""
    rates = load(access, count)
    for name in ("HEAD", "GET", "PUT"):
        figures.put(f"the other S3 server: {name} of {SIZE_BYTES} bytes, {THREADS} at once, per second", rates[name])
        figures.put(f"  {name}: Cloudsite / the other", figures.values[f"{name} of {SIZE_BYTES} bytes, {THREADS} at once, per second"] / rates[name], 2)


def no_radosgw() -> str:
    """Why nothing is beside it, in a sentence."""
    if shutil.which("radosgw") is None:
        return "No radosgw beside it: Debian's radosgw is not installed here."
    return "No radosgw beside it: it is installed, but needs a running Ceph cluster; start one, and give its address with --beside."


def load(access: Access, count: int) -> dict[str, float]:
    """Requests per second of each method; every one on a key of its own, its signature made before."""
    client, content = Client(access.url, access), os.urandom(SIZE_BYTES)
    client.ask(client.prepare("PUT", f"/{_BUCKET}"))
    warm = [f"/{_BUCKET}/warm-{number}" for number in range(10 * THREADS)]
    for method in ("PUT", "HEAD", "GET"):  # every thread of the server has its connection then
        _rate(client, [client.prepare(method, key) for key in warm], content if method == "PUT" else None)
    keys = [f"/{_BUCKET}/object-{number}" for number in range(count)]
    rates = {}
    for method in ("PUT", "HEAD", "GET"):
        rates[method] = _rate(client, [client.prepare(method, key) for key in keys], content if method == "PUT" else None)
    return rates


def _rate(client: Client, requests: Sequence[Prepared], content: bytes | None) -> float:
    work = [partial(client.ask, request, content) for request in requests]
    os.sync()
    began = time.perf_counter()
    concurrently(work, threads=THREADS)
    return len(requests) / (time.perf_counter() - began)


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
