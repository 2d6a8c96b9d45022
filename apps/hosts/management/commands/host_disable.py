"""manage.py host_disable"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.common.context import SYSTEM
from apps.hosts.api.serializers import host
from apps.hosts.services import admission


class Command(CloudCommand):
    help = "Let a host take no new instances. What runs on it stays."
    examples = ('hv7 --reason "new disk on Friday"',)

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--reason", default="", help="shown to operators")

    def work(self, **options: Any) -> int:
        found = admission.set_enabled(actor=SYSTEM, name=options["name"], enabled=False, reason=options["reason"])
        if self.as_json:
            self.emit(host(found))
        else:
            self.say(f"{found.name} takes no new instances.", "yellow")
        return DONE
