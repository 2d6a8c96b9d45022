"""manage.py user_show"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity import commands, selectors
from apps.identity.api.people_shapes import user
from apps.identity.api.role_shapes import effective
from apps.identity.selectors import Wanted


class Command(CloudCommand):
    help = "Show a user, its groups, and which roles it has where and why."
    examples = ("ann", "acme/ann --json")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", metavar="USER")

    def work(self, **options: Any) -> int:
        actor, found = commands.shell(), commands.user_of(options["user"])
        groups = [row.name for row in selectors.groups_of_user(actor=actor, user_id=found.pk).order_by("name")]
        roles = [effective(each) for each in selectors.effective(actor=actor, wanted=Wanted(user_id=found.pk))]
        if self.as_json:
            self.emit({**user(found), "domain": found.domain.name, "groups": groups, "roles": roles})
            return DONE
        self.facts({**user(found), "domain": found.domain.name, "groups": groups})
        self.say("")
        lines = [{**each, "where": "the system" if each["system"] else each["project_name"], "role": each["role_name"]} for each in roles]
        self.show(lines, "role", "where", "why", nothing="It has no role: see role_assign.")
        return DONE
