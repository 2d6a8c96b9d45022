"""manage.py server_group_show"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import actor_of, add_project
from apps.scheduler import commands
from apps.scheduler.api import group_shapes as shapes


class Command(CloudCommand):
    help = "Show a server group: its policy, its members and where they are."
    examples = ("web", "0190… --json")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("group", metavar="NAME", help="name or id")
        add_project(parser)

    def work(self, **options: Any) -> int:
        actor = actor_of(options)
        shown = shapes.server_group(actor, commands.group_of(actor, options["group"]))
        if self.as_json:
            self.emit(shown)
            return DONE
        members = shown.pop("members")
        self.facts(shown)
        self.say("")
        self.show(members, "instance_id", "host_name", nothing="It has no members.")
        return DONE
