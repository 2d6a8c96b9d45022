"""manage.py user_set_password"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity import commands
from apps.identity.services import users


class Command(CloudCommand):
    help = "Give a user another password, or none. All its tokens end. The password is asked for."
    examples = ("ann", "ann --generate-password", "robot --no-password")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", metavar="USER")
        commands.add_password(parser)

    def work(self, **options: Any) -> int:
        password, made_here = commands.password_of(options)
        found = commands.user_of(options["user"])
        users.set_password(actor=commands.shell(), user_id=found.pk, password=password)
        if self.as_json:
            self.emit({"id": found.pk, **({"generated_password": password} if made_here else {})})
        else:
            self.say(f"{found.username} has {'no password any more' if password is None else 'another password'}; its tokens ended.", "green")
            if made_here:
                self.say(f"Password, shown this once: {password}")
        return DONE
