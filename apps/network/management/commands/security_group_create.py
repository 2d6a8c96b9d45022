"""manage.py security_group_create"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import actor_of, add_project
from apps.network.api import group_shapes as shapes
from apps.network.services import groups


class Command(CloudCommand):
    help = "Create a security group, whose members may send anything and are sent nothing but answers."
    examples = ("web", "web --description 'front end' --json")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--description", default="")
        add_project(parser)

    def work(self, **options: Any) -> int:
        made = groups.create(actor=actor_of(options), name=options["name"], description=options["description"])
        if self.as_json:
            self.emit(shapes.group(made))
        else:
            self.say(f"{made.name} ({made.pk}) is there.", "green")
        return DONE
