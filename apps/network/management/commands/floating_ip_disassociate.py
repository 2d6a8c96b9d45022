"""manage.py floating_ip_disassociate"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import actor_of, add_project
from apps.network import commands
from apps.network.api import router_shapes as shapes
from apps.network.services import floating


class Command(CloudCommand):
    help = "Have a floating IP stand for nothing; it stays the project's."
    examples = ("192.0.2.7",)

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("address", metavar="ADDRESS", help="of the floating IP, or its id")
        add_project(parser)

    def work(self, **options: Any) -> int:
        actor = actor_of(options)
        found = commands.floating_ip_of(actor, options["address"])
        made = floating.disassociate(actor=actor, floating_ip_id=found.pk)
        if self.as_json:
            self.emit(shapes.floating_ip(made))
        else:
            self.say(f"{made.address} stands for nothing.", "green")
        return DONE
