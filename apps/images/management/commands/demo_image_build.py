"""manage.py demo_image_build"""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings

from apps.common.commands import DONE, FAILED, CloudCommand
from apps.images import demo


class Command(CloudCommand):
    help = (
        "Build the small demo guest out of Debian's own packages: a disk that boots by BIOS, and the same as kernel and\n"
        "ramdisk. Downloads some 30 MB, installs nothing, needs no root."
    )
    examples = ("", "--out /tmp/demo --json")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the files (default: <var>/demo-image)")
        parser.add_argument("--cache", type=Path, metavar="DIR", help="keep downloaded packages here")

    def work(self, **options: Any) -> int:
        try:
            with self.waiting("building the demo image") as status:
                tell = status.update if status else _silently
                built = demo.build(options["out"] or settings.ENV.var / "demo-image", progress=tell, cache=options["cache"])
        except (demo.DemoImageError, OSError) as error:
            self.stderr.write(f"{error}")
            return FAILED
        self.facts({"version": built.version, "disk": str(built.disk), "kernel": str(built.kernel), "ramdisk": str(built.ramdisk)})
        return DONE


def _silently(step: str) -> None:
    """Nobody watches."""
