"""manage.py operation_show"""

import uuid
from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE
from apps.common.context import SYSTEM
from apps.operations import selectors
from apps.operations.api import serializers
from apps.operations.commands import OperationCommand


class Command(OperationCommand):
    help = "Show one operation with its timeline."
    examples = ("0190…", "0190… --wait", "0190… --json")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=uuid.UUID, metavar="ID")
        self.add_waiting(parser)

    def work(self, **options: Any) -> int:
        operation = selectors.operation(actor=SYSTEM, operation_id=options["id"])
        if options["wait"]:
            [operation] = self.wait_for([operation], timeout=options["timeout"], text=operation.kind)
        shown = serializers.with_events(SYSTEM, operation, selectors.events(operation_id=operation.pk))
        if self.as_json:
            self.emit(shown)
        else:
            events = shown.pop("events")
            self.facts({name: value for name, value in shown.items() if value not in (None, "", [])})
            self.timeline(events)
        return self.verdict([operation]) if options["wait"] else DONE
