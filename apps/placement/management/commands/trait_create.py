"""manage.py trait_create"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import shell
from apps.placement.services import traits


class Command(CloudCommand):
    help = "Make a trait of your own, CUSTOM_ and then A-Z, 0-9 and _. Nothing happens if it is there."
    examples = ("CUSTOM_GOLD",)

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")

    def work(self, **options: Any) -> int:
        made = traits.create(actor=shell(), name=options["name"])
        if self.as_json:
            self.emit({"name": options["name"], "new": made})
        else:
            self.say(f"The trait {options['name']} is there. `provider_trait_set HOST --add {options['name']}` gives it to a host.", "green")
        return DONE
