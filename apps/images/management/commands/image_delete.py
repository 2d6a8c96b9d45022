"""manage.py image_delete"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import actor_of, add_project
from apps.images.commands import image_of
from apps.images.services import images


class Command(CloudCommand):
    help = "Delete images. Instances that were built from them stay; content goes when no other image has it."
    examples = ("debian-11", "0190… 0191… --json")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("images", nargs="+", metavar="IMAGE", help="id, or name where only one image has it")
        add_project(parser)

    def work(self, **options: Any) -> int:
        actor = actor_of(options)
        rows = [image_of(actor, text) for text in options["images"]]
        for row in rows:
            images.delete(actor=actor, image_id=row.pk)
            self.say(f"{row.name} is deleted.", "green")
        if self.as_json:
            self.emit([{"id": row.pk, "name": row.name, "deleted": True} for row in rows])
        return DONE
