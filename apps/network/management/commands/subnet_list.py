"""manage.py subnet_list"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.network import commands, selectors
from apps.network.api import network_shapes as shapes


class Command(CloudCommand):
    help = "List subnets of the networks of a project and of those that are for all, or of all projects."
    examples = ("", "--all --json")

    def options(self, parser: ArgumentParser) -> None:
        commands.add_listing(parser, "subnets")

    def work(self, **options: Any) -> int:
        actor = commands.who(options)
        rows = selectors.subnets(actor=actor, all_projects=options["all"]).order_by("-pk")[: options["limit"]]
        found = [shapes.subnet(row) for row in rows]
        if not self.as_json:
            for each in found:
                each["pools"] = [f"{pool['first']}-{pool['last']}" for pool in each["pools"]]
        self.show(found, "id", "name", "cidr", "gateway", "pools", "dhcp", "ipv6_mode", "network_id", nothing="There is no subnet.")
        return DONE
