"""manage.py server_group_list"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand, whole
from apps.identity.commands import actor_of, add_project, shell
from apps.scheduler import selectors
from apps.scheduler.api import group_shapes as shapes


class Command(CloudCommand):
    help = "List server groups of a project, or of all projects."
    examples = ("", "--project web", "--all --json")

    def options(self, parser: ArgumentParser) -> None:
        add_project(parser)
        parser.add_argument("--all", action="store_true", help="server groups of all projects")
        parser.add_argument("--limit", type=whole(1, 100_000), default=1000, help="default: %(default)s")

    def work(self, **options: Any) -> int:
        actor = shell() if options["all"] else actor_of(options)
        rows = selectors.server_groups(actor=actor, all_projects=options["all"]).order_by("-pk")[: options["limit"]]
        found = shapes.server_groups(actor, list(rows))
        if not self.as_json:
            found = [{**each, "members": len(each["members"]), "on_hosts": each["host_count"]} for each in found]
        columns = ("id", "name", "policy", "max_per_host", "members", "on_hosts", "project_id")
        self.show(found, *columns, nothing="There is no server group.")
        return DONE
