"""manage.py provider_list"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import shell
from apps.placement import selectors
from apps.placement.api.serializers import provider


class Command(CloudCommand):
    help = "List resource providers: hosts and whatever else has something that can be claimed."
    examples = ("", "--trait CUSTOM_GOLD", "--tree hv1 --json")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("--trait", metavar="NAME", help="only those that have it")
        parser.add_argument("--tree", metavar="PROVIDER", help="only the tree of this one, by name or id")

    def work(self, **options: Any) -> int:
        rows = selectors.providers(actor=shell()).order_by("name")
        if options["trait"]:
            rows = rows.filter(traits__name=options["trait"])
        if options["tree"]:
            rows = rows.filter(root_id=selectors.provider_called(actor=shell(), name=options["tree"]).root_id)
        found = [provider(row) for row in rows]
        if not self.as_json:
            names = {each["id"]: each["name"] for each in found}
            for each in found:
                each["parent"] = names.get(each["parent_id"], each["parent_id"] or "")
                each["inventories"] = [f"{one['resource_class']} {one['used']}/{one['capacity']}" for one in each["inventories"]]
                each["custom_traits"] = [name for name in each["traits"] if name not in each["reported_traits"]]
        self.show(
            found, "name", "parent", "inventories", "custom_traits", "generation", "id",
            nothing="There is no such provider. A host has one after its agent has said hello.",
        )
        return DONE
