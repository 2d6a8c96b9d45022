"""manage.py wire_add"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import shell
from apps.network.api import provider_shapes as shapes
from apps.network.services import pools


class Command(CloudCommand):
    help = "Define a wire that hosts are plugged into, by the name that agents' configurations give it."
    examples = ("blue", "blue --mtu 9000")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--mtu", type=int, default=1500, help="default: %(default)s")

    def work(self, **options: Any) -> int:
        made = pools.add_wire(actor=shell(), name=options["name"], mtu=options["mtu"])
        if self.as_json:
            self.emit(shapes.wire(made))
        else:
            self.say(f"{made.name} ({made.pk}) is there. Networks can be on it when it has a pool, or is named with --kind flat.", "green")
        return DONE
