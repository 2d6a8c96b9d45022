"""manage.py zone_update"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.hosts import selectors
from apps.hosts.api import serializers
from apps.hosts.services import zones
from apps.identity.commands import shell


class Command(CloudCommand):
    help = "Let the hosts of a zone take new instances, or not; describe it. What runs there stays."
    examples = ("west --disable", 'west --enable --description "room 2"')

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--description")
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--enable", dest="enabled", action="store_true", default=None)
        which.add_argument("--disable", dest="enabled", action="store_false")

    def work(self, **options: Any) -> int:
        zone = selectors.zone_named(actor=shell(), name=options["name"])
        zone = zones.update(actor=shell(), zone_id=zone.pk, description=options["description"], enabled=options["enabled"])
        if self.as_json:
            self.emit(serializers.zone(zone))
        else:
            self.say(f"The hosts of the zone {zone.name} take {'' if zone.enabled else 'no '}new instances.", "green" if zone.enabled else "yellow")
        return DONE
