"""manage.py user_enable"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity import commands
from apps.identity.api.people_shapes import user
from apps.identity.services import users


class Command(CloudCommand):
    help = "Let users in again; they sign in anew."
    examples = ("ann", "ann acme/bob")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("users", metavar="USER", nargs="+")

    def work(self, **options: Any) -> int:
        found = [commands.user_of(name) for name in options["users"]]
        changed = [users.update_user(actor=commands.shell(), user_id=row.pk, enabled=True) for row in found]
        if self.as_json:
            self.emit([user(row) for row in changed])
        for row in changed:
            self.say(f"{row.username} may sign in again.", "green")
        return DONE
