"""manage.py router_delete"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import actor_of, add_project
from apps.network import commands
from apps.network.services import routers


class Command(CloudCommand):
    help = "Delete routers that nothing uses; a refusal names what does."
    examples = ("edge", "0190… --json")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("router", metavar="NAME", nargs="+", help="name or id")
        add_project(parser)

    def work(self, **options: Any) -> int:
        actor = actor_of(options)
        # All are looked up before the first one goes: a typing error deletes nothing.
        found = [commands.router_of(actor, text) for text in options["router"]]
        for each in found:
            routers.delete(actor=actor, router_id=each.pk)
            self.say(f"{each} ({each.pk}) is deleted.", "green")
        if self.as_json:
            self.emit({"deleted": [each.pk for each in found]})
        return DONE
