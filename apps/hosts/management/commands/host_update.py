"""manage.py host_update"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.hosts.api.serializers import host
from apps.hosts.services import admission
from apps.identity.commands import shell


class Command(CloudCommand):
    help = "Move a host to another zone, let it take new instances, or not. What runs on it stays."
    examples = ("hv7 --zone west", 'hv7 --zone west --disable --reason "it moves on Friday"')

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--zone", help="one that is there, see zone_list")
        parser.add_argument("--reason", help="why it is disabled; shown to operators")
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--enable", dest="enabled", action="store_true", default=None)
        which.add_argument("--disable", dest="enabled", action="store_false")

    def work(self, **options: Any) -> int:
        found = admission.update_named(
            actor=shell(), name=options["name"], zone=options["zone"], enabled=options["enabled"], reason=options["reason"]
        )
        if self.as_json:
            self.emit(host(found))
        else:
            takes = "takes new instances" if found.enabled else f"takes no new instances: {found.disabled_reason or 'disabled'}"
            self.say(f"{found.name} is in the zone {found.zone} and {takes}.", "green" if found.enabled else "yellow")
        return DONE
