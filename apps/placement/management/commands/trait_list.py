"""manage.py trait_list"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import shell
from apps.placement import selectors
from apps.placement.api.serializers import named


class Command(CloudCommand):
    help = "List traits: what hosts and other resource providers can be. Those of OpenStack's list are there always."
    examples = ("", "--custom", "--prefix HW_CPU_X86_ --used")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("--custom", action="store_true", help="only those that were made here")
        parser.add_argument("--used", action="store_true", help="only those that some provider has")
        parser.add_argument("--prefix", default="", help="only those that begin so")

    def work(self, **options: Any) -> int:
        used = set(selectors.traits(actor=shell(), associated=True))
        found = [
            {**named(each), "used": each.name in used}
            for each in selectors.named_traits(actor=shell())
            if each.name.startswith(options["prefix"])
            and (each.name in used or not options["used"])
            and not (options["custom"] and each.standard)
        ]
        self.show(found, "name", "standard", "used", nothing="There is no such trait.")
        return DONE
