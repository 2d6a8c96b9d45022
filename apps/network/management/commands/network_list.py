"""manage.py network_list"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.network import commands, selectors
from apps.network.api import network_shapes as shapes


class Command(CloudCommand):
    help = "List networks of a project with those that are for all, or of all projects."
    examples = ("", "--all", "--project shop --json")

    def options(self, parser: ArgumentParser) -> None:
        commands.add_listing(parser, "networks")

    def work(self, **options: Any) -> int:
        actor = commands.who(options)
        rows = selectors.networks(actor=actor, all_projects=options["all"]).order_by("-pk")[: options["limit"]]
        found = [shapes.network(actor, row) for row in rows]
        if not self.as_json:
            for each in found:
                each["ranges"] = [subnet["cidr"] for subnet in each["subnets"]]
                each["wire"] = each["physical_network"]
        self.show(
            found, "id", "name", "kind", "wire", "segment", "ranges", "mtu", "shared", "external", "is_default", "project_id", nothing="There is no network.")
        return DONE
