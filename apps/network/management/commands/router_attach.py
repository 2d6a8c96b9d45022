"""manage.py router_attach"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import actor_of, add_project
from apps.network import commands
from apps.network.services import routers


class Command(CloudCommand):
    help = "Have a router serve a subnet, under the subnet's gateway address."
    examples = ("edge 10.7.0.0/24",)

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("router", metavar="ROUTER")
        parser.add_argument("subnet", metavar="SUBNET", help="range, name or id")
        add_project(parser)

    def work(self, **options: Any) -> int:
        actor = actor_of(options)
        router, subnet = commands.router_of(actor, options["router"]), commands.subnet_of(actor, options["subnet"])
        routers.attach(actor=actor, router_id=router.pk, subnet_id=subnet.pk)
        if self.as_json:
            self.emit({"router_id": router.pk, "subnet_id": subnet.pk})
        else:
            self.say(f"{router.name} serves {subnet.cidr} now.", "green")
        return DONE
