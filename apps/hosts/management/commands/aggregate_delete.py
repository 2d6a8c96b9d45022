"""manage.py aggregate_delete"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.hosts import selectors
from apps.hosts.services import aggregates
from apps.identity.commands import shell


class Command(CloudCommand):
    help = "Delete an aggregate that no host is in; a refusal names those that are."
    examples = ("fast",)

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")

    def work(self, **options: Any) -> int:
        aggregate = selectors.aggregate_named(actor=shell(), name=options["name"])
        key = aggregate.pk
        aggregates.delete(actor=shell(), aggregate_id=key)
        if self.as_json:
            self.emit({"deleted": [key]})
        else:
            self.say(f"The aggregate {aggregate.name} is deleted.", "green")
        return DONE
