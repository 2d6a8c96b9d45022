"""manage.py server_group_delete"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import actor_of, add_project
from apps.scheduler import commands
from apps.scheduler.services import groups


class Command(CloudCommand):
    help = "Delete server groups that no instance is in; a refusal names those that are."
    examples = ("web", "0190… --json")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("group", metavar="NAME", nargs="+", help="name or id")
        add_project(parser)

    def work(self, **options: Any) -> int:
        actor = actor_of(options)
        # All are looked up before the first one goes: a typing error deletes nothing.
        found = [commands.group_of(actor, text) for text in options["group"]]
        for each in found:
            groups.delete(actor=actor, group_id=each.pk)
            self.say(f"{each} ({each.pk}) is deleted.", "green")
        if self.as_json:
            self.emit({"deleted": [each.pk for each in found]})
        return DONE
