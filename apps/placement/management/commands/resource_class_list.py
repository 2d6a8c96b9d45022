"""manage.py resource_class_list"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import shell
from apps.placement import selectors
from apps.placement.api.serializers import named


class Command(CloudCommand):
    help = "List resource classes: what inventories are of. Those of OpenStack's list are there always."
    examples = ("", "--custom")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("--custom", action="store_true", help="only those that were made here")

    def work(self, **options: Any) -> int:
        found = [named(each) for each in selectors.resource_classes(actor=shell()) if not (options["custom"] and each.standard)]
        self.show(found, "name", "standard", nothing="There is no such resource class.")
        return DONE
