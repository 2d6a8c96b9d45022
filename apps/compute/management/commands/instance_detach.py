"""manage.py instance_detach"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE
from apps.common.context import SYSTEM
from apps.compute import commands
from apps.compute.services import interfaces
from apps.identity.commands import actor_of, add_project
from apps.operations.api import serializers
from apps.operations.commands import OperationCommand


class Command(OperationCommand):
    help = "Take a network card out of an instance; a port that was made by itself is kept."
    examples = ("web-1 0190… --wait", "web-1 02:5e:91:0c:77:4a --json")

    def options(self, parser: ArgumentParser) -> None:
        commands.add_instance(parser)
        parser.add_argument("port", metavar="PORT", help="its port, by id, name or MAC")
        add_project(parser)
        self.add_waiting(parser)

    def work(self, **options: Any) -> int:
        instance = commands.find(lambda: actor_of(options), options["id"])
        port_id = commands.port_id(commands.owner_of(instance), options["port"])
        operation = interfaces.detach(actor=SYSTEM, instance_id=instance.pk, port_id=port_id)
        if options["wait"]:
            (operation,) = self.wait_for([operation], timeout=options["timeout"], text="detaching")
        if self.as_json:
            self.emit(serializers.operations(SYSTEM, serializers.rows_of([operation]))[0])
        else:
            self.say(f"{instance.name} ({instance.pk}): {'detached' if operation.state == 'succeeded' else operation.state}")
        return self.verdict([operation]) if options["wait"] else DONE
