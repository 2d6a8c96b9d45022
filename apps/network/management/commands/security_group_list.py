"""manage.py security_group_list"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.network import commands, selectors
from apps.network.api import group_shapes as shapes


class Command(CloudCommand):
    help = "List security groups of a project and their rules, or of all projects."
    examples = ("", "--all --json")

    def options(self, parser: ArgumentParser) -> None:
        commands.add_listing(parser, "security groups")

    def work(self, **options: Any) -> int:
        actor = commands.who(options)
        rows = selectors.groups(actor=actor, all_projects=options["all"]).order_by("-pk")[: options["limit"]]
        found = [shapes.group(row) for row in rows]
        if not self.as_json:
            names = {each["id"]: each["name"] for each in found}
            lines = [commands.rule_line(group, rule, names) for group in found for rule in group["rules"]]
            self.show(lines, "group", "direction", "family", "what", "other_side", "rule_id", nothing="There is no rule.")
            return DONE
        self.show(found, "id", "name", nothing="There is no security group.")
        return DONE
