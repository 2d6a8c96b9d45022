"""manage.py role_assign"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity import commands
from apps.identity.api.role_shapes import assignment
from apps.identity.services import assignments


class Command(CloudCommand):
    help = "Give a user or a group a role: in a project, in a domain, or on the system, where it counts everywhere."
    examples = (
        "member --user ann --project demo", "admin --group ops --system", "reader --user acme/eve --domain acme --inherited",
    )

    def options(self, parser: ArgumentParser) -> None:
        commands.add_given(parser)

    def work(self, **options: Any) -> int:
        made = assignments.give(actor=commands.shell(), given=commands.given_of(options))
        if self.as_json:
            self.emit(assignment(made))
        else:
            self.say(f"{made.user or made.group} has the role {made.role}.", "green")
        return DONE
