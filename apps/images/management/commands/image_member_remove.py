"""manage.py image_member_remove"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import actor_of, add_project, project_of
from apps.images.commands import add_image, image_of
from apps.images.services import members


class Command(CloudCommand):
    help = "Share an image with a project no more; instances that it has built stay."
    examples = ("debian-12 blue",)

    def options(self, parser: ArgumentParser) -> None:
        add_image(parser)
        parser.add_argument("member", metavar="PROJECT", help="the project that loses it")
        add_project(parser)

    def work(self, **options: Any) -> int:
        actor = actor_of(options)
        row, other = image_of(actor, options["image"]), project_of(options["member"])
        members.remove(actor=actor, image_id=row.pk, project_id=other.pk)
        if self.as_json:
            self.emit({"image_id": row.pk, "project_id": other.pk, "removed": True})
        else:
            self.say(f"{row.name} is not shared with {other} any more.", "green")
        return DONE
