"""manage.py image_member_list"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import actor_of, add_project
from apps.images import selectors
from apps.images.api.serializers import member
from apps.images.commands import add_image, image_of


class Command(CloudCommand):
    help = "List with which projects an image is shared, and what they say to that."
    examples = ("debian-12",)

    def options(self, parser: ArgumentParser) -> None:
        add_image(parser)

        add_project(parser)

    def work(self, **options: Any) -> int:
        actor = actor_of(options)
        row = image_of(actor, options["image"])
        found = [member(each) for each in selectors.members(actor=actor, image_id=row.pk).order_by("pk")]
        self.show(found, "project_id", "status", "created_at", "updated_at", nothing=f"{row.name} is shared with no project.")
        return DONE
