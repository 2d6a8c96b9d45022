"""manage.py zone_create"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.hosts.api import serializers
from apps.hosts.services import zones
from apps.identity.commands import shell


class Command(CloudCommand):
    help = "Make a zone, for hosts that fail together."
    examples = ('west --description "room 2, its own power line"', "west --disabled")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--description", default="", help="everybody who creates instances reads it")
        parser.add_argument("--disabled", action="store_true", help="its hosts take no new instances yet; zone_update --enable lets them")

    def work(self, **options: Any) -> int:
        made = zones.create(
            actor=shell(), name=options["name"], description=options["description"], enabled=not options["disabled"]
        )
        if self.as_json:
            self.emit(serializers.zone(made))
        else:
            self.say(f"The zone {made.name} is there. `host_enroll … --zone {made.name}` puts new hosts into it, `host_update` others.", "green")
        return DONE
