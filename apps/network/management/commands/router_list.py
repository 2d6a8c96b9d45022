"""manage.py router_list"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.network import commands, selectors
from apps.network.api import router_shapes as shapes


class Command(CloudCommand):
    help = "List routers of a project with the subnets that they join, or of all projects."
    examples = ("", "--all --json")

    def options(self, parser: ArgumentParser) -> None:
        commands.add_listing(parser, "routers")

    def work(self, **options: Any) -> int:
        actor = commands.who(options)
        rows = selectors.routers(actor=actor, all_projects=options["all"]).order_by("-pk")[: options["limit"]]
        found = [shapes.router(row) | {"way_out": row.external_network.name if row.external_network else None} for row in rows]
        if not self.as_json:
            for each in found:
                each["subnets"] = [subnet["cidr"] for subnet in each["subnets"]]
        self.show(found, "id", "name", "way_out", "snat", "subnets", "admin_up", "project_id", nothing="There is no router.")
        return DONE
