"""manage.py flavor_delete"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.compute import selectors
from apps.compute.services import catalog
from apps.identity.commands import shell


class Command(CloudCommand):
    help = "Delete flavors. Instances keep their size."
    examples = ("small", "small large")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", nargs="+")

    def work(self, **options: Any) -> int:
        # A typing error deletes none.
        rows = [selectors.flavor_named(actor=shell(), name=name) for name in options["name"]]
        keys = [row.pk for row in rows]
        for row, key in zip(rows, keys, strict=True):
            catalog.delete_flavor(actor=shell(), flavor_id=key)
            self.say(f"The flavor {row.name} is deleted.", "green")
        if self.as_json:
            self.emit({"deleted": keys})
        return DONE
