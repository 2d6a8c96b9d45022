"""manage.py access_key_list"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.api.access_keys import access_key
from apps.identity.commands import acting_as
from apps.identity.selectors import delegated


class Command(CloudCommand):
    help = "List a user's access keys for EC2 and S3."
    examples = ("ann", "ann --json")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", metavar="USER")

    def work(self, **options: Any) -> int:
        rows = delegated.access_keys(actor=acting_as(options["user"])).order_by("pk")
        columns = ("access", "name", "project_name", "created_at", "last_used_at")
        self.show((access_key(row) for row in rows), *columns, nothing="This user has no access key.")
        return DONE
