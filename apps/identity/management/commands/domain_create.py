"""manage.py domain_create"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity import commands
from apps.identity.api.place_shapes import domain
from apps.identity.services import domains


class Command(CloudCommand):
    help = "Create a domain: an owner of users, groups and projects, with admins of its own."
    examples = ("acme", "acme --description 'Acme Ltd.'")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--description", default="")

    def work(self, **options: Any) -> int:
        made = domains.create_domain(actor=commands.shell(), name=options["name"], description=options["description"])
        if self.as_json:
            self.emit(domain(made))
        else:
            self.say(f"{made.name} is there, {made.pk}.", "green")
        return DONE
