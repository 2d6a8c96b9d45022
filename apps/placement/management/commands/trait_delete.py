"""manage.py trait_delete"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import shell
from apps.placement.services import traits


class Command(CloudCommand):
    help = "Delete a trait that was made here. Refused while a resource provider has it."
    examples = ("CUSTOM_GOLD",)

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")

    def work(self, **options: Any) -> int:
        traits.delete(actor=shell(), name=options["name"])
        if not self.as_json:
            self.say(f"The trait {options['name']} is deleted.", "green")
        return DONE
