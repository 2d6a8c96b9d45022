"""manage.py floating_ip_list"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.network import commands, selectors
from apps.network.api import router_shapes as shapes


class Command(CloudCommand):
    help = "List floating IPs of a project with what they stand for, or of all projects."
    examples = ("", "--all --json")

    def options(self, parser: ArgumentParser) -> None:
        commands.add_listing(parser, "floating IPs")

    def work(self, **options: Any) -> int:
        actor = commands.who(options)
        rows = selectors.floating_ips(actor=actor, all_projects=options["all"]).order_by("-pk")[: options["limit"]]
        found = [shapes.floating_ip(row) | {"network": row.network.name} for row in rows]
        self.show(found, "id", "address", "fixed_address", "port_id", "network", "description", "project_id", nothing="There is no floating IP.")
        return DONE
