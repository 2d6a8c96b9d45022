"""manage.py port_list"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.network import commands, selectors
from apps.network.api import port_shapes as shapes


class Command(CloudCommand):
    help = "List ports of a project, or of all; also what stands for floating IPs and hosts' ways out with --all."
    examples = ("", "--all --json")

    def options(self, parser: ArgumentParser) -> None:
        commands.add_listing(parser, "ports")

    def work(self, **options: Any) -> int:
        actor = commands.who(options)
        rows = selectors.ports(actor=actor, all_projects=options["all"]).order_by("-pk")[: options["limit"]]
        found = [shapes.port(actor, row) for row in rows]
        if not self.as_json:
            for each in found:
                each["device"] = f"{each['device_kind']} {each['device_id']}" if each["device_kind"] else ""
        self.show(found, "id", "name", "mac", "addresses", "device", "network_id", "host_id", nothing="There is no port.")
        return DONE
