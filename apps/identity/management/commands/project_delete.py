"""manage.py project_delete"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity import commands
from apps.identity.services import projects


class Command(CloudCommand):
    help = "Delete projects that have nothing any more, with the roles in them. A refusal says what is left."
    examples = ("demo", "acme/web acme/shop")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("projects", metavar="PROJECT", nargs="+")

    def work(self, **options: Any) -> int:
        found = [commands.project_of(name) for name in options["projects"]]
        for row in found:
            projects.delete_project(actor=commands.shell(), project_id=row.pk)
            self.say(f"{row} is deleted.", "green")
        if self.as_json:
            self.emit([row.pk for row in found])
        return DONE
