"""The object store over S3, on an installation of its own: a large object, small ones, and a bucket that grows.

`python -m bench.objects` prints the same figures alone; `--plot FILE` draws the curve of the growing bucket. All files are on
the disk of this installation (`CLOUDSITE_VAR`), in a folder that is removed again.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from bench import buckets, smallobjects, transfers
from bench.figures import Figures
from bench.signed import access_to
from cloudsite.launcher.programs import LaunchError
from cloudsite.launcher.stack import Stack
from cloudsite.settings.environment import BASE_DIR

_GIB = 1024**3
# What the servers need with an empty store: journals of PostgreSQL, and Ceph, if it is there.
_SERVERS_BYTES = 4 * _GIB
# With its indexes.
_ROW_BYTES = 1024


def measure(
    figures: Figures, *, mib: int = transfers.MIB, rounds: int = transfers.ROUNDS, small: int = smallobjects.COUNT,
    sizes: Iterable[int] = buckets.SIZES, say: Callable[[str], object] = lambda step: None,
) -> dict[int, dict[str, float]]:
    """Adds the figures; returns those of the growing bucket by its size. Of what is 0 or empty there are none.

    `say` is told of each step. Raises LaunchError.
    """
    sizes = sorted(sizes)
    var = check_room(mib=mib, rounds=rounds, sizes=sizes)
    say("starting PostgreSQL, Redis and the processes …")
    with tempfile.TemporaryDirectory(prefix="cs-bench-", dir=var) as folder, Stack(
        Path(folder), database="postgresql", s3=True, env={"CLOUDSITE_LOG_LEVEL": "WARNING"}
    ) as stack:
        access = access_to(stack)
        if mib:
            say(f"{mib:,} MiB there and back, beside their floors, {rounds} times …")
            transfers.measure(stack, access, figures, mib=mib, rounds=rounds)
        if small:
            say(f"{small:,} objects of 4 KiB, {smallobjects.THREADS} at once …")
            smallobjects.measure(stack, access, figures, count=small, say=say)
        return buckets.measure(stack, access, figures, sizes, say=say) if sizes else {}


def check_room(*, mib: int = transfers.MIB, rounds: int = transfers.ROUNDS, sizes: Iterable[int] = buckets.SIZES) -> Path:
    """The folder for content, which has room for it, as has the one of the database. Raises LaunchError."""
    var = Path(os.environ.get("CLOUDSITE_VAR") or BASE_DIR / "var")
    var.mkdir(parents=True, exist_ok=True)
    for folder, needed, setting in (
        (var, transfers.bytes_needed(mib, rounds) + _SERVERS_BYTES, "CLOUDSITE_VAR"),
        (Path(tempfile.gettempdir()), max(sizes, default=0) * _ROW_BYTES + _SERVERS_BYTES, "TMPDIR"),
    ):
        free = shutil.disk_usage(folder).free
        if free < needed:
            raise LaunchError(
                f"{folder} has {free / _GIB:.1f} GiB free; the benchmark of the object store needs {needed / _GIB:.1f} GiB there for some"
                f" minutes. Set {setting} to a folder on a larger disk, or ask for less: python -m bench.objects --help."
            )
    return var


def main() -> int:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers and files go in good order
    figures = Figures()
    try:
        found = measure(
            figures, mib=options.mib, rounds=options.rounds, small=options.small, sizes=options.sizes,
            say=lambda step: print(step, file=sys.stderr, flush=True),
        )
    except LaunchError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(json.dumps(figures.values, indent=2))
    if options.plot and found:
        buckets.draw(found, options.plot)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.objects", description=__doc__.splitlines()[0],
        epilog="Figures go to standard output as JSON, steps to standard error. With radosgw, ceph-mon and ceph-osd on the path the small"
        " objects are sent to a radosgw as well.",
    )
    parser.add_argument("--mib", type=_count, default=transfers.MIB, help="size of the large object, 0: none (%(default)s)")
    parser.add_argument("--rounds", type=_rounds, default=transfers.ROUNDS, help="how often it is sent and fetched; medians are shown (%(default)s)")
    parser.add_argument("--small", type=_count, default=smallobjects.COUNT, help="how many objects of 4 KiB, 0: none (%(default)s)")
    parser.add_argument(
        "--sizes", type=_sizes, default=",".join(map(str, buckets.SIZES)), metavar="N,N…",
        help=f"objects in the growing bucket, {buckets.PAGE:,} at least; '': no such bucket (%(default)s)",
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the curve of the growing bucket (.svg, .png)")
    options = parser.parse_args()
    if options.plot and options.plot.suffix not in (".svg", ".png"):
        parser.error(f"--plot: {options.plot} ends neither with .svg nor with .png")
    return options


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 0 or more")
    return int(text)


def _rounds(text: str) -> int:
    if _count(text) < 1:
        raise argparse.ArgumentTypeError("at least one is needed")
    return int(text)


def _sizes(text: str) -> list[int]:
    found = [_count(each) for each in text.split(",")] if text else []
    if any(each < buckets.PAGE for each in found):
        raise argparse.ArgumentTypeError(f"a page of a list has {buckets.PAGE:,} keys, so at least as many must be there")
    return found


if __name__ == "__main__":
    sys.exit(main())
