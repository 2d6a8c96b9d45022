"""manage.py role_unassign"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity import commands
from apps.identity.services import assignments


class Command(CloudCommand):
    help = "Take a role away, as it was given. It is gone with the next request."
    examples = ("member --user ann --project demo", "admin --group ops --system")

    def options(self, parser: ArgumentParser) -> None:
        commands.add_given(parser)

    def work(self, **options: Any) -> int:
        assignments.take(actor=commands.shell(), given=commands.given_of(options))
        if self.as_json:
            self.emit({"taken": True})
        else:
            self.say(f"{options['user'] or options['group']} has the role {options['role']} no more.", "green")
        return DONE
