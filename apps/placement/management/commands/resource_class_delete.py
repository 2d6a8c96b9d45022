"""manage.py resource_class_delete"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import shell
from apps.placement.services import classes


class Command(CloudCommand):
    help = "Delete a resource class that was made here. Refused while an inventory is of it."
    examples = ("CUSTOM_LICENSE",)

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")

    def work(self, **options: Any) -> int:
        classes.delete(actor=shell(), name=options["name"])
        if not self.as_json:
            self.say(f"The resource class {options['name']} is deleted.", "green")
        return DONE
