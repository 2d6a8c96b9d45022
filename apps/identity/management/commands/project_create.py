"""manage.py project_create"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity import commands
from apps.identity.api.place_shapes import project
from apps.identity.services import projects


class Command(CloudCommand):
    help = "Create a project, at the top of a domain or below another project."
    examples = ("shop", "shop --domain acme --description 'the web shop' --tag web --tag paid", "stage --parent acme/shop")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")
        commands.add_domain(parser, "default: the parent's, or Default")
        parser.add_argument("--parent", default="", metavar="PROJECT", help="the project above it")
        parser.add_argument("--description", default="")
        parser.add_argument("--tag", action="append", default=[], dest="tags", help="a word to find it by; may be repeated")
        parser.add_argument("--disabled", action="store_true", help="not yet")

    def work(self, **options: Any) -> int:
        parent = commands.project_of(options["parent"]) if options["parent"] else None
        made = projects.create_project(
            actor=commands.shell(), name=options["name"], description=options["description"],
            domain_id=commands.domain_id_of(options), parent_id=parent.pk if parent else None, tags=options["tags"],
            enabled=not options["disabled"],
        )
        if self.as_json:
            self.emit(project(made))
        else:
            self.say(f"{made.name} is there, {made.pk}.", "green")
        return DONE
