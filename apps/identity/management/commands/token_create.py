"""manage.py token_create"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand, whole
from apps.identity import commands
from apps.identity.api.serializers import token
from apps.identity.services import signin


class Command(CloudCommand):
    help = "Make a bearer token for a user; its secret is printed once. Without --json the secret alone, for use in scripts."
    examples = ("admin", "admin --project demo --hours 1 --name ci", "admin --json")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", metavar="USER")
        parser.add_argument("--project", default="", metavar="NAME", help="project of the token (default: the user's only one)")
        parser.add_argument("--name", default="", help="to tell tokens apart")
        parser.add_argument("--hours", type=whole(1, 8760), help="how long it is good for")

    def work(self, **options: Any) -> int:
        user = commands.user_of(options["user"])
        project_id = signin.project_for(user, options["project"])
        issued = signin.issue_at_shell(user=user, project_id=project_id, name=options["name"], hours=options["hours"])
        if self.as_json:
            self.emit({**token(issued.token), "secret": issued.secret})
        else:
            self.stdout.write(issued.secret)
        return DONE
