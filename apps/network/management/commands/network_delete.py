"""manage.py network_delete"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import actor_of, add_project
from apps.network import commands
from apps.network.services import networks


class Command(CloudCommand):
    help = "Delete networks that nothing uses; a refusal names what does."
    examples = ("backend lab", "0190… --json")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("network", metavar="NAME", nargs="+", help="name or id")
        add_project(parser)

    def work(self, **options: Any) -> int:
        actor = actor_of(options)
        # All are looked up before the first one goes: a typing error deletes nothing.
        found = [commands.network_of(actor, text) for text in options["network"]]
        for each in found:
            networks.delete(actor=actor, network_id=each.pk)
            self.say(f"{each} ({each.pk}) is deleted.", "green")
        if self.as_json:
            self.emit({"deleted": [each.pk for each in found]})
        return DONE
