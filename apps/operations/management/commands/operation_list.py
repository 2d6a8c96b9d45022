"""manage.py operation_list"""

import uuid
from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand, whole
from apps.common.context import SYSTEM
from apps.operations import selectors
from apps.operations.api import serializers
from apps.operations.states import OPEN_VALUES, OpState


class Command(CloudCommand):
    help = "List operations of all projects, newest first."
    examples = ("--open", "--state failed --limit 5", "--kind instance.build --json", "--resource 0190…")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("--open", action="store_true", help="only those under way")
        parser.add_argument("--state", choices=[state.value for state in OpState])
        parser.add_argument("--kind", help="such as instance.build")
        parser.add_argument("--resource", type=uuid.UUID, metavar="ID")
        parser.add_argument("--host", metavar="NAME")
        parser.add_argument("--limit", type=whole(1, 10_000), default=50, help="default: %(default)s")

    def work(self, **options: Any) -> int:
        rows = selectors.operations(actor=SYSTEM, all_projects=True).order_by("-pk")
        columns = {"state": "state", "kind": "kind", "resource": "resource_id", "host": "host_name"}
        rows = rows.filter(**{column: options[name] for name, column in columns.items() if options[name]})
        if options["open"]:
            rows = rows.filter(state__in=OPEN_VALUES)
        found = serializers.operations(SYSTEM, serializers.rows_of(rows[: options["limit"]]))
        self.show(
            found, "id", "kind", "state", "step", "host_name", "resource_id", "user_name", "created_at",
            nothing="No such operation.",
        )
        return DONE
