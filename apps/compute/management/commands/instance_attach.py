"""manage.py instance_attach"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE
from apps.common.context import SYSTEM
from apps.compute import commands
from apps.compute.services import interfaces
from apps.compute.services.cards import WantedCard
from apps.identity.commands import actor_of, add_project
from apps.network import selectors as networks
from apps.operations.api import serializers
from apps.operations.commands import OperationCommand


class Command(OperationCommand):
    help = "Attach a network card to an instance, running or stopped: a new port in a network, or a port that is there."
    examples = ("web-1 --network backend --wait", "web-1 --network backend --address 10.64.0.9 --group web", "web-1 --port spare --json")

    def options(self, parser: ArgumentParser) -> None:
        commands.add_instance(parser)
        where = parser.add_mutually_exclusive_group(required=True)
        where.add_argument("--network", metavar="NAME", help="for a new port")
        where.add_argument("--port", metavar="NAME", help="a port of the project, by its id, name or MAC")
        parser.add_argument("--address", default="", help="exactly this one of the network")
        parser.add_argument("--group", action="append", metavar="NAME", help="security group, instead of the default one; may be repeated")
        add_project(parser)
        self.add_waiting(parser)

    def work(self, **options: Any) -> int:
        instance = commands.find(lambda: actor_of(options), options["id"])
        owner = commands.owner_of(instance)
        network = networks.network_named(actor=owner, name=options["network"]) if options["network"] else None
        card = WantedCard(
            network_id=network.pk if network else None, port_id=commands.port_id(owner, options["port"]) if options["port"] else None, address=options["address"],
            security_groups=options["group"],
        )
        made = interfaces.attach(actor=SYSTEM, instance_id=instance.pk, card=card)
        (operation,) = self.wait_for([made.operation], timeout=options["timeout"], text="attaching") if options["wait"] else [made.operation]
        if self.as_json:
            shown = serializers.operations(SYSTEM, serializers.rows_of([operation]))[0]
            self.emit({"operation": shown, "port_id": made.port_id, "addresses": made.addresses})
        else:
            held = ", ".join(str(each["address"]) for each in made.addresses) or "no address"
            self.say(f"{instance.name} ({instance.pk}): port {made.port_id}, {held}: {operation.state}")
        return self.verdict([operation]) if options["wait"] else DONE
