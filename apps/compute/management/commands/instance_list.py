"""manage.py instance_list"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand, whole
from apps.common.context import SYSTEM
from apps.compute import selectors
from apps.compute.api import rendering
from apps.compute.states import InstanceState
from apps.identity.commands import actor_of, add_project


class Command(CloudCommand):
    help = "List instances of a project, or of all."
    examples = ("", "--all --state ERROR", "--host hv7 --all --json")

    def options(self, parser: ArgumentParser) -> None:
        add_project(parser)
        parser.add_argument("--all", action="store_true", help="instances of all projects")
        parser.add_argument("--state", choices=[state.value for state in InstanceState])
        parser.add_argument("--host", metavar="NAME")
        parser.add_argument("--limit", type=whole(1, 100_000), default=1000, help="default: %(default)s")

    def work(self, **options: Any) -> int:
        actor = SYSTEM if options["all"] else actor_of(options)
        rows = selectors.instances(actor=actor, all_projects=options["all"]).order_by("-pk")
        if options["state"]:
            rows = rows.filter(state=options["state"])
        if options["host"]:
            rows = rows.filter(host_name=options["host"])
        found = rendering.instances(actor, list(rows[: options["limit"]]))
        if not self.as_json:
            for row in found:
                row["address"] = [each["address"] for each in row["addresses"]]
                row["task"] = row["task"]["kind"] if row["task"] else ""
        self.show(
            found, "id", "name", "state", "task", "address", "host_name", "flavor_name", "image_name", "created_at",
            nothing="There is no instance.",
        )
        return DONE
