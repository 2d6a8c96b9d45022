"""manage.py image_convert"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE
from apps.common.context import SYSTEM
from apps.identity.commands import actor_of, add_project
from apps.images import conversion
from apps.images.api.serializers import image
from apps.images.commands import add_image, image_of
from apps.images.models import Image
from apps.images.services import convert
from apps.operations.api import serializers as operations
from apps.operations.commands import OperationCommand


class Command(OperationCommand):
    help = "Have an image worker make a new image of this one, in another format."
    examples = ("debian-12 --format qcow2 --wait", "debian-12 --format vmdk --name debian-12-for-elsewhere --json")

    def options(self, parser: ArgumentParser) -> None:
        add_image(parser)
        parser.add_argument("--format", required=True, choices=conversion.FORMATS)
        parser.add_argument("--name", default="", help="default: the image's name with the format behind it")
        add_project(parser)
        self.add_waiting(parser)

    def work(self, **options: Any) -> int:
        actor = actor_of(options)
        source = image_of(actor, options["image"])
        made, operation = convert.start(actor=actor, image_id=source.pk, disk_format=options["format"], name=options["name"])
        self.say(f"{made.name}: {made.pk}, operation {operation.pk}", "" if options["wait"] else "green")
        [operation] = self.wait_for([operation], timeout=options["timeout"] if options["wait"] else 0, text="converting")
        if self.as_json:
            self.emit({"image": image(SYSTEM, Image.objects.get(pk=made.pk)), "operation": operations.operation(SYSTEM, operation)})
        return self.verdict([operation]) if options["wait"] else DONE
