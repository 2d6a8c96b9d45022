"""manage.py security_rule_delete"""

import uuid
from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import actor_of, add_project
from apps.network.services import groups


class Command(CloudCommand):
    help = "Delete rules of security groups. What they allowed ends at once, also for connections that are open."
    examples = ("0190…",)

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("rule", metavar="ID", nargs="+", type=uuid.UUID, help="see security_group_list")
        add_project(parser)

    def work(self, **options: Any) -> int:
        for rule_id in options["rule"]:
            groups.delete_rule(actor=actor_of(options), rule_id=rule_id)
            self.say(f"The rule {rule_id} is deleted.", "green")
        if self.as_json:
            self.emit({"deleted": options["rule"]})
        return DONE
