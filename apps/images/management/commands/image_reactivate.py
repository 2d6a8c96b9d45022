"""manage.py image_reactivate"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.common.context import SYSTEM
from apps.identity.commands import actor_of, add_project
from apps.images.api.serializers import image
from apps.images.commands import add_image, image_of
from apps.images.services import images


class Command(CloudCommand):
    help = "Put an image back into use that was deactivated."
    examples = ("debian-12", "0190… --json")

    def options(self, parser: ArgumentParser) -> None:
        add_image(parser)
        add_project(parser)

    def work(self, **options: Any) -> int:
        actor = actor_of(options)
        changed = images.reactivate(actor=actor, image_id=image_of(actor, options["image"]).pk)
        if self.as_json:
            self.emit(image(SYSTEM, changed))
        else:
            self.say(f"{changed.name} is {changed.state}.", "green")
        return DONE
