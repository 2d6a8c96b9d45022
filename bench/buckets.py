"""One bucket that grows: what a put, a get and a page of a list take in it. Most of it are rows alone, made by COPY.

`python -m bench.buckets HAVE SIZE` is the part that runs inside the installation's own settings: it adds the rows HAVE to SIZE.
"""

import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from bench.curves import curve
from bench.figures import Figures
from bench.rows import copy_rows
from bench.signed import Access, Client
from cloudsite.launcher.stack import Stack
from cloudsite.settings.environment import BASE_DIR

SIZES = (1_000, 10_000, 100_000, 1_000_000)
NAME, PAGE, OBJECTS, SIZE_BYTES = "bench-growth", 1000, 200, 4096
_LISTED_EVERY = 4
# As many folders as a page has entries, whatever is in them.
_FOLDERS = PAGE
_TOLD = {
    "put": f"put of {SIZE_BYTES} bytes", "get": f"get of {SIZE_BYTES} bytes", "page": f"page of {PAGE:,} keys",
    "folders": f"page of {PAGE:,} common prefixes", "head": "beside it: HEAD of the bucket",
}


def measure(
    stack: Stack, access: Access, figures: Figures, sizes: Iterable[int] = SIZES, *, say: Callable[[str], object] = lambda step: None
) -> dict[int, dict[str, float]]:
    """Adds the figures of a bucket with so many objects, the smallest first; returns the medians in ms by size."""
    client, found, have = Client(access.url, access), dict[int, dict[str, float]](), 0
    client.ask(client.prepare("PUT", f"/{NAME}"))
    for size in sorted(sizes):
        say(f"a bucket with {size:,} objects …")
        subprocess.run([sys.executable, "-m", "bench.buckets", str(have), str(size)], cwd=BASE_DIR, env=stack.env, check=True)
        client.close()  # it was idle
        os.sync()
        found[size], have = _at(client, size), size
    for size, each in found.items():
        for key, told in _TOLD.items():
            figures.put(f"bucket with {size:,} objects: {told}, p50 ms", each[key], 2)
    if len(found) > 1:
        least, most = min(found), max(found)
        for key, told in _TOLD.items():
            figures.put(f"  {told}: with {most:,} objects as a multiple of {least:,}", found[most][key] / found[least][key], 2)
    return found


def draw(found: dict[int, dict[str, float]], path: Path) -> None:
    """The curve, as SVG or PNG by the name's end."""
    sizes = sorted(found)
    with curve(path, across="objects in the bucket", up="p50 over HTTP, ms") as axes:
        for key, style in zip(_TOLD, ("o-", "s-", "^--", "v--", ":"), strict=True):
            axes.plot(sizes, [found[size][key] for size in sizes], style, label=_TOLD[key])
        axes.set_ylim(bottom=0.5)


def _at(client: Client, size: int) -> dict[str, float]:
    """Medians in ms, by one client that asks one thing after the other, in turns, so that all have the same moments of the machine."""
    chosen, content = random.Random(size), os.urandom(SIZE_BYTES)
    keys = [f"/{NAME}/{_folder(chosen.randrange(_FOLDERS))}/put-{size}-{number}" for number in range(OBJECTS)]
    # Behind where a page begins there is enough to fill it.
    last = max(0, _FOLDERS - PAGE * _FOLDERS // size)
    page, taken = f"/{NAME}?list-type=2&max-keys={PAGE}", dict[str, list[float]]()

    def ask(name: str, method: str, target: str, body: bytes | None = None, expected: tuple[bytes, int] | None = None) -> None:
        prepared = client.prepare(method, target)
        began = time.perf_counter()
        answer = client.ask(prepared, body)
        taken.setdefault(name, []).append(time.perf_counter() - began)
        assert expected is None or answer.count(expected[0]) == expected[1], f"{target}: {answer[:300]!r}"

    for number, key in enumerate(keys):
        ask("head", "HEAD", f"/{NAME}")
        ask("put", "PUT", key, content)
        ask("get", "GET", keys[chosen.randint(0, number)], expected=(content, 1))
        if number % _LISTED_EVERY == 0:
            ask("page", "GET", f"{page}&start-after={_folder(chosen.randint(0, last))}", expected=(b"<Key>", PAGE))
            ask("folders", "GET", f"{page}&delimiter=%2F", expected=(b"<CommonPrefixes>", PAGE))
    # The first tenth warms what is cold after so many new rows.
    return {name: statistics.median(each[len(each) // 10 :]) * 1000 for name, each in taken.items()}


def _folder(number: int) -> str:
    return f"folder-{number:04d}"


def _add(have: int, size: int) -> None:
    """The rows of objects without content, spread over all folders, so that what is new is beside what is old."""
    from django.apps import apps
    from django.db import connection

    from apps.common import clock
    from apps.common.ids import new_id

    version, bucket = apps.get_model("objects", "Version"), apps.get_model("objects", "Bucket").objects.get(name=NAME)
    now = clock.now()
    copy_rows(version, (
        {
            "id": new_id(), "bucket_id": bucket.pk, "key": f"{_folder(number % _FOLDERS)}/{number:07d}.bin", "version": "null",
            "is_latest": True, "size_bytes": SIZE_BYTES, "etag": f"{number:032x}", "content_type": "application/octet-stream",
            "project_id": bucket.project_id, "user_id": bucket.user_id, "created_at": now,
        }
        for number in range(have, size)
    ))
    with connection.cursor() as cursor:  # what autovacuum would have done in the time in which so many come
        cursor.execute(f"VACUUM (ANALYZE) {version._meta.db_table}")
        cursor.execute("CHECKPOINT")  # or it comes while requests are timed


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloudsite.settings")
    import django

    django.setup()
    _add(int(sys.argv[1]), int(sys.argv[2]))
