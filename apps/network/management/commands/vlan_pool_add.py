"""manage.py vlan_pool_add"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import shell
from apps.network.api import provider_shapes as shapes
from apps.network.services import pools


class Command(CloudCommand):
    help = "Let networks take VLAN ids of a wire, FIRST to LAST."
    examples = ("blue 100 199", "blue 200 299 --operators-only")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("wire", metavar="WIRE")
        parser.add_argument("first", type=int, metavar="FIRST")
        parser.add_argument("last", type=int, metavar="LAST")
        parser.add_argument("--position", type=int, default=100, help="tenants' networks take from the lowest first (default: %(default)s)")
        parser.add_argument("--operators-only", action="store_true", help="only networks that name a segment take from it")

    def work(self, **options: Any) -> int:
        made = pools.add(
            actor=shell(), kind="vlan", physical_network=options["wire"], first=options["first"], last=options["last"],
            position=options["position"], for_tenants=not options["operators_only"],
        )
        if self.as_json:
            self.emit(shapes.pool(made))
        else:
            self.say(f"The pool {made} is there ({made.pk}).", "green")
        return DONE
