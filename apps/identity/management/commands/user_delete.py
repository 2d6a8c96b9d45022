"""manage.py user_delete"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity import commands
from apps.identity.services import users


class Command(CloudCommand):
    help = "Delete users with their roles, tokens and credentials. What they made in projects stays."
    examples = ("ann", "ann acme/bob")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("users", metavar="USER", nargs="+")

    def work(self, **options: Any) -> int:
        found = [commands.user_of(name) for name in options["users"]]
        for row in found:
            users.delete_user(actor=commands.shell(), user_id=row.pk)
            self.say(f"{row} is deleted.", "green")
        if self.as_json:
            self.emit([row.pk for row in found])
        return DONE
