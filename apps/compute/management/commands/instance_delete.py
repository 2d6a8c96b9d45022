"""manage.py instance_delete"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE
from apps.common.context import SYSTEM
from apps.compute import commands
from apps.compute.services import delete
from apps.identity.commands import actor_of, add_project
from apps.operations.api import serializers
from apps.operations.commands import OperationCommand


class Command(OperationCommand):
    help = "Delete instances, whatever they are doing."
    examples = ("web-1 web-2 --wait", "0190… --json")

    def options(self, parser: ArgumentParser) -> None:
        commands.add_instance(parser, several=True)
        add_project(parser)
        self.add_waiting(parser)

    def work(self, **options: Any) -> int:
        # All are looked up before the first one goes: a typing error deletes nothing.
        instances = [commands.find(lambda: actor_of(options), text) for text in options["id"]]
        operations = [delete.delete(actor=SYSTEM, instance_id=instance.pk) for instance in instances]
        if options["wait"]:
            operations = self.wait_for(operations, timeout=options["timeout"], text="deleting")
        if self.as_json:
            self.emit(serializers.operations(SYSTEM, serializers.rows_of(operations)))
        else:
            for instance, operation in zip(instances, operations, strict=True):
                self.say(f"{instance.name} ({instance.pk}): {'deleted' if operation.state == 'succeeded' else operation.state}")
        return self.verdict(operations) if options["wait"] else DONE
