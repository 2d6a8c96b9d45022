"""manage.py resource_class_create"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import shell
from apps.placement.services import classes


class Command(CloudCommand):
    help = "Make a resource class of your own, CUSTOM_ and then A-Z, 0-9 and _. Nothing happens if it is there."
    examples = ("CUSTOM_LICENSE",)

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")

    def work(self, **options: Any) -> int:
        made = classes.ensure(actor=shell(), name=options["name"])
        if self.as_json:
            self.emit({"name": options["name"], "new": made})
        else:
            self.say(f"The resource class {options['name']} is there.", "green")
        return DONE
