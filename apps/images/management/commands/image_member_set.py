"""manage.py image_member_set"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import actor_of, add_project
from apps.identity.policy import in_project
from apps.images.api.serializers import STATUSES, member
from apps.images.commands import add_image, image_of
from apps.images.services import members


class Command(CloudCommand):
    help = "Say for a project whether it accepts an image that another one shares with it."
    examples = ("0190… accepted --project blue",)

    def options(self, parser: ArgumentParser) -> None:
        add_image(parser)
        parser.add_argument("status", choices=STATUSES)
        add_project(parser)

    def work(self, **options: Any) -> int:
        actor = actor_of(options)
        row = image_of(actor, options["image"])
        said = members.answer(actor=actor, image_id=row.pk, project_id=in_project(actor), status=options["status"])
        if self.as_json:
            self.emit(member(said))
        else:
            self.say(f"{row.name} is {said.status}.", "green")
        return DONE
