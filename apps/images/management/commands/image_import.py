"""manage.py image_import"""

import uuid
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from apps.common.commands import DONE, whole
from apps.common.context import SYSTEM
from apps.common.errors import Invalid
from apps.identity.commands import actor_of, add_project
from apps.images.api.serializers import FORMATS, VISIBILITIES, image
from apps.images.commands import add_facts
from apps.images.models import Image
from apps.images.services import images, imports, uploads
from apps.operations.api import serializers as operations
from apps.operations.commands import OperationCommand


class Command(OperationCommand):
    help = "Register a local file as an image and take in its content, or have an image worker fetch it from a URL or the object store."
    examples = (
        "debian-12.qcow2 --name debian-12 --format qcow2 --public --property os_distro=debian --tag lts",
        "--url https://images.example.org/debian-12.qcow2 --sha256 9f2c… --name debian-12 --format qcow2 --wait",
        "--object uploads/debian-12.qcow2 --name debian-12 --format qcow2 --wait",
        "vmlinuz --name my-kernel --format kernel --json",
        "root.raw --name direct --format raw --kernel 0190… --ramdisk 0191… --kernel-args 'console=ttyS0'",
    )

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE", nargs="?")
        parser.add_argument("--url", default="", help="instead of a file: http:// or https://, at a public address")
        parser.add_argument("--object", default="", metavar="BUCKET/KEY", help="instead of a file: the latest version of an object")
        parser.add_argument("--sha256", default="", metavar="HEX", help="the image is refused if its content has another one")
        parser.add_argument("--name", required=True)
        parser.add_argument("--format", required=True, choices=FORMATS)
        parser.add_argument("--kernel", type=uuid.UUID, metavar="ID", help="boot with this kernel image")
        parser.add_argument("--ramdisk", type=uuid.UUID, metavar="ID")
        parser.add_argument("--kernel-args", default="", metavar="TEXT")
        parser.add_argument("--visibility", choices=VISIBILITIES, default="private", help="default: %(default)s")
        parser.add_argument("--public", dest="visibility", action="store_const", const="public", help="for all projects")
        parser.add_argument("--protected", action="store_true", help="cannot be deleted")
        parser.add_argument("--min-memory-mb", type=whole(0, 1024**3), default=0)
        parser.add_argument("--min-disk-gb", type=whole(0, 1024**2), default=0)
        add_facts(parser)
        add_project(parser)
        self.add_waiting(parser)

    def work(self, **options: Any) -> int:
        if [options["file"] is not None, bool(options["url"]), bool(options["object"])].count(True) != 1:
            raise Invalid("image.source", "Give a file, --url or --object, and one of them only.", field="file")
        about = {
            "name": options["name"], "disk_format": options["format"], "sha256": options["sha256"].lower(),
            "visibility": options["visibility"], "kernel_id": options["kernel"], "ramdisk_id": options["ramdisk"],
            "protected": options["protected"], "properties": dict(options["property"]), "tags": options["tag"],
            "kernel_args": options["kernel_args"], "min_memory_mb": options["min_memory_mb"], "min_disk_gb": options["min_disk_gb"],
        }
        return self._read(about, options["file"], **options) if options["file"] else self._fetch(about, **options)

    def _read(self, about: dict[str, Any], path: Path, **options: Any) -> int:
        if not path.is_file():
            raise Invalid("image.file", f"{path} is no file that can be read.", field="file")
        console = Console(stderr=True)
        with Progress(console=console, disable=self.as_json or not console.is_terminal) as progress, path.open("rb") as file:
            made = uploads.import_stream(
                actor=actor_of(options), **about,
                stream=progress.wrap_file(file, total=path.stat().st_size, description=path.name), size_bytes=path.stat().st_size,
            )
        if self.as_json:
            self.emit(image(SYSTEM, made))
        else:
            self.say(f"{made.name}: {made.pk}", "green")
        return DONE

    def _fetch(self, about: dict[str, Any], **options: Any) -> int:
        actor = actor_of(options)
        bucket, _, key = options["object"].partition("/")
        source = imports.FromUrl(url=options["url"]) if options["url"] else imports.FromObject(bucket=bucket, key=key)
        made = images.register(actor=actor, **{**about, "protected": False})
        try:
            operation = imports.start(actor=actor, image_id=made.pk, source=source)
        except BaseException:
            images.delete(actor=actor, image_id=made.pk)
            raise
        if about["protected"]:
            images.update(actor=actor, image_id=made.pk, protected=True)
        self.say(f"{made.name}: {made.pk}, operation {operation.pk}", "" if options["wait"] else "green")
        [operation] = self.wait_for([operation], timeout=options["timeout"] if options["wait"] else 0, text="fetching")
        if self.as_json:
            self.emit({"image": image(SYSTEM, Image.objects.get(pk=made.pk)), "operation": operations.operation(SYSTEM, operation)})
        return self.verdict([operation]) if options["wait"] else DONE
