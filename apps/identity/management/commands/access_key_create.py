"""manage.py access_key_create"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.api.access_keys import access_key
from apps.identity.commands import acting_as, add_project
from apps.identity.services import access_keys


class Command(CloudCommand):
    help = "Make an access key with which a user's EC2 and S3 clients sign their requests; its secret is printed once."
    examples = ("ann --project demo", "ann --project demo --name laptop --json")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", metavar="USER")
        add_project(parser)
        parser.add_argument("--name", default="", help="to tell keys apart")

    def work(self, **options: Any) -> int:
        made = access_keys.create(actor=acting_as(options["user"], options["project"]), name=options["name"])
        if self.as_json:
            self.emit({**access_key(made.key), "secret": made.secret})
        else:
            self.facts({"access_key_id": made.key.access, "secret_access_key": made.secret})
        return DONE
