"""manage.py floating_ip_associate"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import actor_of, add_project
from apps.network import commands
from apps.network.api import router_shapes as shapes
from apps.network.services import floating


class Command(CloudCommand):
    help = "Have a floating IP stand for a port's address from now on, whatever it stood for before."
    examples = ("192.0.2.7 web", "192.0.2.7 web --fixed 10.7.0.9")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("address", metavar="ADDRESS", help="of the floating IP, or its id")
        parser.add_argument("port", metavar="PORT", help="name, MAC or id")
        parser.add_argument("--fixed", default="", metavar="ADDRESS", help="where the port has several")
        add_project(parser)

    def work(self, **options: Any) -> int:
        actor = actor_of(options)
        found, port = commands.floating_ip_of(actor, options["address"]), commands.port_of(actor, options["port"])
        made = floating.associate(actor=actor, floating_ip_id=found.pk, port_id=port.pk, fixed_address=options["fixed"])
        if self.as_json:
            self.emit(shapes.floating_ip(made))
        else:
            self.say(f"{made.address} stands for {made.fixed_ip.address if made.fixed_ip else 'nothing'}.", "green")
        return DONE
