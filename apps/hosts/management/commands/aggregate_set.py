"""manage.py aggregate_set"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.hosts import selectors
from apps.hosts.api import serializers
from apps.hosts.commands import pairs
from apps.hosts.services import aggregates
from apps.identity.commands import project_of, shell


class Command(CloudCommand):
    help = "Say what the hosts of an aggregate have in common, and for which projects they are. What is not named stays."
    examples = ("fast disk=nvme rack=7", "fast --unset rack", "for-shop --project shop", "for-shop --everybody", "fast --rename quick")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="AGGREGATE")
        parser.add_argument("metadata", metavar="NAME=VALUE", nargs="*")
        parser.add_argument("--unset", action="append", default=[], metavar="NAME", help="take this out of its metadata; may be repeated")
        parser.add_argument("--rename", metavar="NAME")
        whom = parser.add_mutually_exclusive_group()
        whom.add_argument("--project", action="append", metavar="NAME", help="its hosts are for these projects only; may be repeated")
        whom.add_argument("--everybody", action="store_true", help="its hosts are for all projects")

    def work(self, **options: Any) -> int:
        aggregate = selectors.aggregate_named(actor=shell(), name=options["name"])
        metadata = {name: value for name, value in aggregate.metadata.items() if name not in options["unset"]}
        projects = [] if options["everybody"] else options["project"]
        changed = aggregates.update(
            actor=shell(), aggregate_id=aggregate.pk, name=options["rename"],
            metadata=metadata | pairs(options["metadata"]),
            project_ids=None if projects is None else [project_of(name).pk for name in projects],
        )
        self.facts(serializers.aggregate(changed))
        return DONE
