"""manage.py server_group_create"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand, whole
from apps.identity.commands import actor_of, add_project
from apps.scheduler.api import group_shapes as shapes
from apps.scheduler.services import groups


class Command(CloudCommand):
    help = "Create a server group: instances that are created with it share a host, or do not."
    examples = ("web --policy anti-affinity", "web --policy anti-affinity --max-per-host 2", "pair --policy affinity --project shop --json")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--policy", required=True, choices=shapes.POLICIES, help="the soft ones prefer, the others insist")
        parser.add_argument(
            "--max-per-host", type=whole(1, groups.MOST_PER_HOST), default=1, help="members on one host, for anti-affinity (default: %(default)s)"
        )
        add_project(parser)

    def work(self, **options: Any) -> int:
        actor = actor_of(options)
        made = groups.create(actor=actor, name=options["name"], policy=options["policy"], max_per_host=options["max_per_host"])
        if self.as_json:
            self.emit(shapes.server_group(actor, made))
        else:
            self.say(f"{made.name} ({made.pk}) is there.", "green")
        return DONE
