"""manage.py host_enable"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.common.context import SYSTEM
from apps.hosts.api.serializers import host
from apps.hosts.services import admission


class Command(CloudCommand):
    help = "Let a host take new instances again."
    examples = ("hv7",)

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")

    def work(self, **options: Any) -> int:
        found = admission.set_enabled(actor=SYSTEM, name=options["name"], enabled=True)
        if self.as_json:
            self.emit(host(found))
        else:
            self.say(f"{found.name} takes new instances.", "green")
        return DONE
