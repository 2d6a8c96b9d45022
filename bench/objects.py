"""The object store over S3, on an installation of its own: a large object, small ones, and a bucket that grows.

`python -m bench.objects` prints the same figures alone; `--plot FILE` draws the curve of the growing bucket. All files are on
the disk of this installation (`CLOUDSITE_VAR`), in a folder that is removed again.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from bench import buckets, smallobjects, transfers
from bench.figures import Figures
from bench.signed import access_to
from cloudsite.launcher.stack import Stack
from cloudsite.settings.environment import BASE_DIR


def measure(
    figures: Figures, *, mib: int = transfers.MIB, rounds: int = transfers.ROUNDS, small: int = smallobjects.COUNT,
    sizes: Iterable[int] = buckets.SIZES,
) -> dict[int, dict[str, float]]:
    """Adds the figures; returns those of the growing bucket by its size. Of what is 0 or empty there are none."""
    var = Path(os.environ.get("CLOUDSITE_VAR") or BASE_DIR / "var")
    var.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="cs-bench-", dir=var) as folder, Stack(
        Path(folder), database="postgresql", s3=True, env={"CLOUDSITE_LOG_LEVEL": "WARNING"}
    ) as stack:
        access = access_to(stack)
        if mib:
            transfers.measure(stack, access, figures, mib=mib, rounds=rounds)
        if small:
            smallobjects.measure(stack, access, figures, count=small)
        sizes = list(sizes)
        return buckets.measure(stack, access, figures, sizes) if sizes else {}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.objects", description=__doc__.splitlines()[0])
    parser.add_argument("--mib", type=int, default=transfers.MIB, help="size of the large object, 0: none (%(default)s)")
    parser.add_argument("--rounds", type=int, default=transfers.ROUNDS, help="how often it is sent and fetched; medians are shown (%(default)s)")
    parser.add_argument("--small", type=int, default=smallobjects.COUNT, help="how many objects of 4 KiB, 0: none (%(default)s)")
    parser.add_argument("--sizes", default=",".join(map(str, buckets.SIZES)), help="objects in the growing bucket, separated by commas; empty: none")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the curve of the growing bucket (.svg, .png)")
    options = parser.parse_args()
    figures = Figures()
    found = measure(
        figures, mib=options.mib, rounds=options.rounds, small=options.small, sizes=[int(size) for size in options.sizes.split(",") if size],
    )
    print(json.dumps(figures.values, indent=2))
    if options.plot:
        buckets.draw(found, options.plot)


if __name__ == "__main__":
    main()
