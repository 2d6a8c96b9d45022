"""manage.py user_create"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity import commands
from apps.identity.api.people_shapes import user
from apps.identity.services import users


class Command(CloudCommand):
    help = "Create a user. It may do nothing until it has a role: see role_assign. The password is asked for."
    examples = (
        "ann --email ann@example.org", "ann --domain acme --generate-password", "robot --no-password --default-project demo",
        "ann --password-file - < password.txt",
    )

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")
        commands.add_domain(parser)
        commands.add_password(parser)
        parser.add_argument("--email", default="")
        parser.add_argument("--description", default="")
        parser.add_argument("--default-project", default="", metavar="NAME", help="where it works if it names none")
        parser.add_argument("--disabled", action="store_true", help="not yet")

    def work(self, **options: Any) -> int:
        password, made_here = commands.password_of(options)
        project = commands.project_of(options["default_project"]) if options["default_project"] else None
        made = users.create_user(
            actor=commands.shell(), username=options["name"], password=password, email=options["email"],
            description=options["description"], domain_id=commands.domain_id_of(options), enabled=not options["disabled"],
            default_project_id=project.pk if project else None,
        )
        shown = {"generated_password": password} if made_here else {}
        if self.as_json:
            self.emit({**user(made), **shown})
        else:
            self.say(f"{made.username} is there, {made.pk}.", "green")
            if made_here:
                self.say(f"Password, shown this once: {password}")
        return DONE
