"""manage.py floating_ip_create"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import actor_of, add_project
from apps.network import commands
from apps.network.api import router_shapes as shapes
from apps.network.services import floating


class Command(CloudCommand):
    help = "Take a floating IP for a project; with --port it stands for that port's address at once."
    examples = ("", "--network internet --address 192.0.2.7", "--port web --json")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("--network", default="", metavar="NAME", help="an external one; default: that of the port's router, or the installation's")
        parser.add_argument("--address", default="", help="exactly this one")
        parser.add_argument("--port", default="", metavar="NAME", help="what it stands for: an instance with one port, or a port's name, MAC or id")
        parser.add_argument("--description", default="")
        add_project(parser)

    def work(self, **options: Any) -> int:
        actor = actor_of(options)
        network = commands.network_of(actor, options["network"]).pk if options["network"] else None
        port = commands.port_of(actor, options["port"]).pk if options["port"] else None
        made = floating.create(
            actor=actor, network_id=network, address=options["address"], port_id=port, description=options["description"]
        )
        if self.as_json:
            self.emit(shapes.floating_ip(made))
        else:
            self.say(f"{made.address} ({made.pk})" + (f" stands for {made.fixed_ip.address}" if made.fixed_ip else ""), "green")
        return DONE
