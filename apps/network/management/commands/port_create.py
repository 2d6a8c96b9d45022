"""manage.py port_create"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import actor_of, add_project
from apps.network import commands
from apps.network.api import port_shapes as shapes
from apps.network.services import ports


class Command(CloudCommand):
    help = "Create a port that can be attached to an instance, and outlives it."
    examples = ("backend", "backend --address 10.7.0.9 --name web --group web --json")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("network", metavar="NETWORK")
        parser.add_argument("--name", default="")
        parser.add_argument("--address", action="append", metavar="ADDRESS", help="may be repeated; default: one of each family")
        parser.add_argument("--mac", default="")
        parser.add_argument("--group", action="append", metavar="NAME", help="security group, instead of the default one; may be repeated")
        add_project(parser)

    def work(self, **options: Any) -> int:
        actor = actor_of(options)
        network = commands.network_of(actor, options["network"])
        made = ports.create(
            actor=actor, network_id=network.pk, name=options["name"], mac=options["mac"],
            fixed=[{"address": address} for address in options["address"]] if options["address"] else None,
            group_ids=commands.group_ids(actor, options["group"]),
        )
        shown = shapes.port(actor, made)
        if self.as_json:
            self.emit(shown)
        else:
            self.say(f"{made.name or made.mac} ({made.pk}): {', '.join(shown['addresses']) or 'no address'}", "green")
        return DONE
