"""manage.py token_list"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity import selectors
from apps.identity.api.serializers import token
from apps.identity.commands import acting_as


class Command(CloudCommand):
    help = "List a user's bearer tokens that work."
    examples = ("ann", "ann --json")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", metavar="USER")

    def work(self, **options: Any) -> int:
        rows = selectors.tokens(actor=acting_as(options["user"])).order_by("pk")
        columns = ("id", "prefix", "name", "project_name", "system", "created_at", "expires_at", "last_used_at")
        self.show((token(row) for row in rows), *columns, nothing="This user has no token that works.")
        return DONE
