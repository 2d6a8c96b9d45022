"""manage.py image_import"""

import uuid
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from apps.common.commands import DONE, CloudCommand, whole
from apps.common.context import SYSTEM
from apps.common.errors import Invalid
from apps.identity.commands import actor_of, add_project
from apps.images.api.serializers import FORMATS, image
from apps.images.services import images
from contracts.compute.v1 import DiskFormat


class Command(CloudCommand):
    help = "Register a local file as an image and take in its content."
    examples = (
        "debian-12.qcow2 --name debian-12 --format qcow2 --public",
        "vmlinuz --name my-kernel --format kernel --json",
        "root.raw --name direct --format raw --kernel 0190… --ramdisk 0191… --kernel-args 'console=ttyS0'",
    )

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("--name", required=True)
        parser.add_argument("--format", required=True, choices=FORMATS)
        parser.add_argument("--kernel", type=uuid.UUID, metavar="ID", help="boot with this kernel image")
        parser.add_argument("--ramdisk", type=uuid.UUID, metavar="ID")
        parser.add_argument("--kernel-args", default="", metavar="TEXT")
        parser.add_argument("--public", action="store_true", help="for all projects")
        parser.add_argument("--min-memory-mb", type=whole(0, 1024**3), default=0)
        parser.add_argument("--min-disk-gb", type=whole(0, 1024**2), default=0)
        add_project(parser)

    def work(self, **options: Any) -> int:
        path: Path = options["file"]
        if not path.is_file():
            raise Invalid("image.file", f"{path} is no file that can be read.", field="file")
        console = Console(stderr=True)
        with Progress(console=console, disable=self.as_json or not console.is_terminal) as progress, path.open("rb") as file:
            made = images.import_stream(
                actor=actor_of(options), name=options["name"], disk_format=DiskFormat(options["format"]),
                visibility="public" if options["public"] else "private",
                stream=progress.wrap_file(file, total=path.stat().st_size, description=path.name), size_bytes=path.stat().st_size,
                kernel_id=options["kernel"], ramdisk_id=options["ramdisk"], kernel_args=options["kernel_args"],
                min_memory_mb=options["min_memory_mb"], min_disk_gb=options["min_disk_gb"],
            )
        if self.as_json:
            self.emit(image(SYSTEM, made))
        else:
            self.say(f"{made.name}: {made.pk}", "green")
        return DONE
