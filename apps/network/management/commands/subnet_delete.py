"""manage.py subnet_delete"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import actor_of, add_project
from apps.network import commands
from apps.network.services import subnets


class Command(CloudCommand):
    help = "Delete subnets that nothing uses; a refusal names what does."
    examples = ("10.7.0.0/24", "0190… --json")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("subnet", metavar="NAME", nargs="+", help="range, name or id")
        add_project(parser)

    def work(self, **options: Any) -> int:
        actor = actor_of(options)
        # All are looked up before the first one goes: a typing error deletes nothing.
        found = [commands.subnet_of(actor, text) for text in options["subnet"]]
        for each in found:
            subnets.delete(actor=actor, subnet_id=each.pk)
            self.say(f"{each} ({each.pk}) is deleted.", "green")
        if self.as_json:
            self.emit({"deleted": [each.pk for each in found]})
        return DONE
