"""manage.py image_show"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.common.context import SYSTEM
from apps.identity.commands import actor_of, add_project
from apps.images.api.serializers import image
from apps.images.commands import add_image, image_of


class Command(CloudCommand):
    help = "Show an image with all that is said of it."
    examples = ("debian-12", "0190… --json")

    def options(self, parser: ArgumentParser) -> None:
        add_image(parser)
        add_project(parser)

    def work(self, **options: Any) -> int:
        self.facts(image(SYSTEM, image_of(actor_of(options), options["image"])))
        return DONE
