"""manage.py router_create"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import actor_of, add_project
from apps.network import commands
from apps.network.api import router_shapes as shapes
from apps.network.services import routers


class Command(CloudCommand):
    help = "Create a router that joins nothing yet."
    examples = ("edge", "edge --external internet", "inner --external none --json")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--external", default="", metavar="NETWORK", help="the way out; default: the installation's; `none`: none")
        parser.add_argument("--no-snat", action="store_true", help="guests without a floating IP do not get out")
        add_project(parser)

    def work(self, **options: Any) -> int:
        actor, asked = actor_of(options), options["external"]
        outside = ... if not asked else None if asked == "none" else commands.network_of(actor, asked).pk
        made = routers.create(actor=actor, name=options["name"], external_network_id=outside, snat=not options["no_snat"])
        if self.as_json:
            self.emit(shapes.router(made))
        else:
            way_out = made.external_network.name if made.external_network else "none"
            self.say(f"{made.name} ({made.pk}) is there, way out: {way_out}.", "green")
        return DONE
