"""`python -m apps.images.demo --out DIR`: build the demo guest without the rest of the cloud."""

import argparse
import sys
from pathlib import Path

from apps.images.demo import COMMAND_LINE, DemoImageError, build

_DESCRIPTION = """\
Build the demo guest out of Debian's packages: demo.qcow2, a disk that boots by BIOS, and the same guest as the pair
demo-vmlinuz and demo-initrd. Downloads some 30 MB with apt-get; installs nothing and needs no root.
"""


def main() -> int:
    """The command; 0, or 1 with the reason on standard error."""
    parser = argparse.ArgumentParser(
        prog="python -m apps.images.demo",
        description=_DESCRIPTION,
        epilog=f"The pair boots with the command line: {COMMAND_LINE}",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the files, made if missing")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep the downloaded packages here for next time")
    options = parser.parse_args()
    try:
        image = build(options.out.resolve(), progress=lambda step: print(step, file=sys.stderr), cache=options.cache and options.cache.resolve())
    except (DemoImageError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for path in (image.disk, image.kernel, image.ramdisk):
        print(f"{path}\t{path.stat().st_size / 1e6:.1f} MB")
    print(f"version\t{image.version}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
