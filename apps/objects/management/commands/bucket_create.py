"""manage.py bucket_create"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import actor_in, add_project
from apps.objects.access.acl import CANNED
from apps.objects.api import shapes
from apps.objects.services import buckets


class Command(CloudCommand):
    help = "Create a bucket in a project. Its name is unique in the whole installation."
    examples = ("backups --project shop", "site --acl public-read", "backups --user ann --json")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help="3 to 63 lower-case letters, digits, dots and hyphens")
        parser.add_argument("--acl", choices=sorted(CANNED), help="who else may read or write it (default: nobody)")
        parser.add_argument("--user", default="", metavar="NAME", help="whose it is to be (default: nobody's but the project's)")
        add_project(parser)

    def work(self, **options: Any) -> int:
        actor = actor_in(options["project"], user=options["user"])
        acl = {"canned": options["acl"]} if options["acl"] else None
        self.facts(shapes.bucket(buckets.create(actor=actor, name=options["name"], acl=acl)))
        return DONE
