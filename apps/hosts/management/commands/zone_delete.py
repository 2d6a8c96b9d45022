"""manage.py zone_delete"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.hosts import selectors
from apps.hosts.services import zones
from apps.identity.commands import shell


class Command(CloudCommand):
    help = "Delete a zone that no host is in; a refusal names those that are."
    examples = ("west",)

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")

    def work(self, **options: Any) -> int:
        zone = selectors.zone_named(actor=shell(), name=options["name"])
        key = zone.pk
        zones.delete(actor=shell(), zone_id=key)
        if self.as_json:
            self.emit({"deleted": [key]})
        else:
            self.say(f"The zone {zone.name} is deleted.", "green")
        return DONE
