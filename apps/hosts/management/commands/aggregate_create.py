"""manage.py aggregate_create"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.hosts.api import serializers
from apps.hosts.commands import pairs
from apps.hosts.services import aggregates
from apps.identity.commands import project_of, shell


class Command(CloudCommand):
    help = "Make an aggregate, for hosts that have something in common."
    examples = ("fast --metadata disk=nvme", "for-shop --project shop --project acme/web")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--metadata", action="append", default=[], metavar="NAME=VALUE", help="flavors may ask for it; may be repeated")
        parser.add_argument("--project", action="append", default=[], metavar="NAME", help="its hosts are for these projects only; may be repeated")

    def work(self, **options: Any) -> int:
        made = aggregates.create(
            actor=shell(), name=options["name"], metadata=pairs(options["metadata"]),
            project_ids=[project_of(name).pk for name in options["project"]],
        )
        if self.as_json:
            self.emit(serializers.aggregate(made))
        else:
            self.say(f"The aggregate {made.name} is there ({made.pk}). `aggregate_add_host` puts hosts into it.", "green")
        return DONE
