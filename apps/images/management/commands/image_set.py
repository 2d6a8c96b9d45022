"""manage.py image_set"""

import uuid
from argparse import ArgumentParser, BooleanOptionalAction
from typing import Any

from apps.common.commands import DONE, CloudCommand, whole
from apps.common.context import SYSTEM
from apps.common.errors import Invalid
from apps.identity.commands import actor_of, add_project
from apps.images.api.serializers import VISIBILITIES, image
from apps.images.commands import add_facts, add_image, image_of
from apps.images.services import images

_PLAIN = ("name", "visibility", "protected", "min_disk_gb", "min_memory_mb", "kernel_id", "ramdisk_id", "kernel_args")


class Command(CloudCommand):
    help = "Change what is said of an image. Its data never change."
    examples = (
        "debian-12 --visibility shared", "debian-12 --protected", "debian-12 --property hw_firmware_type=uefi --unset os_distro --tag lts",
    )

    def options(self, parser: ArgumentParser) -> None:
        add_image(parser)
        parser.add_argument("--name")
        parser.add_argument("--visibility", choices=VISIBILITIES)
        parser.add_argument("--protected", action=BooleanOptionalAction, default=None, help="cannot be deleted")
        parser.add_argument("--min-disk-gb", type=whole(0, 1024**2))
        parser.add_argument("--min-memory-mb", type=whole(0, 1024**3))
        parser.add_argument("--kernel", dest="kernel_id", type=uuid.UUID, metavar="ID")
        parser.add_argument("--ramdisk", dest="ramdisk_id", type=uuid.UUID, metavar="ID")
        parser.add_argument("--kernel-args", metavar="TEXT")
        add_facts(parser)
        parser.add_argument("--unset", action="append", default=[], metavar="NAME", help="take a property away")
        parser.add_argument("--untag", action="append", default=[], metavar="WORD", help="take a tag away")
        add_project(parser)

    def work(self, **options: Any) -> int:
        actor = actor_of(options)
        row = image_of(actor, options["image"])
        wanted: Any = {name: options[name] for name in _PLAIN if options[name] is not None}
        if options["property"] or options["unset"]:
            kept = {name: text for name, text in row.properties.items() if name not in options["unset"]}
            wanted["properties"] = {**kept, **dict(options["property"])}
        if options["tag"] or options["untag"]:
            wanted["tags"] = sorted({*images.tags_of(row), *options["tag"]} - {*options["untag"]})
        if not wanted:
            raise Invalid("image.nothing", "Say what is to be changed; --help lists what can be.")
        changed = images.update(actor=actor, image_id=row.pk, **wanted)
        if self.as_json:
            self.emit(image(SYSTEM, changed))
        else:
            self.say(f"{changed.name} is changed.", "green")
        return DONE
