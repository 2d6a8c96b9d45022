"""manage.py group_create"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity import commands
from apps.identity.api.people_shapes import group
from apps.identity.services import groups


class Command(CloudCommand):
    help = "Create a group: users who get their roles together."
    examples = ("ops", "ops --domain acme --description 'on call'")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")
        commands.add_domain(parser)
        parser.add_argument("--description", default="")

    def work(self, **options: Any) -> int:
        made = groups.create_group(
            actor=commands.shell(), name=options["name"], description=options["description"], domain_id=commands.domain_id_of(options)
        )
        if self.as_json:
            self.emit(group(made))
        else:
            self.say(f"{made.name} is there, {made.pk}.", "green")
        return DONE
