"""manage.py role_create"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity import commands
from apps.identity.api.role_shapes import role
from apps.identity.services import roles


class Command(CloudCommand):
    help = "Create a role: a set of permissions, be it by patterns. policy_list shows which permissions there are."
    examples = (
        "runner --permission 'compute.instance.*' --permission network.network.list", "billing --permission quotas.usage.get",
        "team-lead --domain acme --permission 'identity.user.*'",
    )

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")
        commands.add_domain(parser, "a role of this domain's own (default: one for everywhere)")
        parser.add_argument("--permission", action="append", default=[], dest="permissions", metavar="PATTERN", help="may be repeated")
        parser.add_argument("--description", default="")

    def work(self, **options: Any) -> int:
        made = roles.create_role(
            actor=commands.shell(), name=options["name"], description=options["description"], permissions=options["permissions"],
            domain_id=commands.domain_id_of(options),
        )
        if self.as_json:
            self.emit(role(made))
        else:
            self.say(f"{made.name} is there, {made.pk}.", "green")
        return DONE
