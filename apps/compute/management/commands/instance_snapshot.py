"""manage.py instance_snapshot"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE
from apps.common.context import SYSTEM
from apps.compute import commands
from apps.compute.services import snapshot
from apps.hosts.commands import pairs
from apps.identity.commands import actor_of, add_project
from apps.operations.api import serializers
from apps.operations.commands import OperationCommand


class Command(OperationCommand):
    help = "Make an image of an instance, running or stopped, in the instance's project."
    examples = ("web-1 --name web-1-before-upgrade --wait", "web-1 --name golden --set os_distro=debian --json")

    def options(self, parser: ArgumentParser) -> None:
        commands.add_instance(parser)
        parser.add_argument("--name", required=True, help="the image's")
        parser.add_argument(
            "--set", action="append", default=[], metavar="NAME=VALUE", help="property of the image, beside those of the instance's own; may be repeated"
        )
        add_project(parser)
        self.add_waiting(parser)

    def work(self, **options: Any) -> int:
        instance = commands.find(lambda: actor_of(options), options["id"])
        begun = snapshot.snapshot(actor=SYSTEM, instance_id=instance.pk, name=options["name"], properties=pairs(options["set"]))
        (operation,) = self.wait_for([begun.operation], timeout=options["timeout"], text="copying") if options["wait"] else [begun.operation]
        if self.as_json:
            shown = serializers.operations(SYSTEM, serializers.rows_of([operation]))[0]
            self.emit({"operation": shown, "image_id": begun.image.pk})
        else:
            self.say(f"{instance.name} ({instance.pk}): image {begun.image.pk}: {operation.state}")
        return self.verdict([operation]) if options["wait"] else DONE
