"""manage.py image_member_add"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import actor_of, add_project, project_of
from apps.images.api.serializers import member
from apps.images.commands import add_image, image_of
from apps.images.services import members


class Command(CloudCommand):
    help = "Share a shared image with another project, which then accepts it or does not."
    examples = ("debian-12 blue",)

    def options(self, parser: ArgumentParser) -> None:
        add_image(parser)
        parser.add_argument("member", metavar="PROJECT", help="the project to share it with")
        add_project(parser)

    def work(self, **options: Any) -> int:
        actor = actor_of(options)
        row, other = image_of(actor, options["image"]), project_of(options["member"])
        made = members.add(actor=actor, image_id=row.pk, project_id=other.pk)
        if self.as_json:
            self.emit(member(made))
        else:
            self.say(f"{row.name} is shared with {other}, which has not accepted it yet.", "green")
        return DONE
