"""manage.py aggregate_remove_host"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.hosts import selectors
from apps.hosts.api import serializers
from apps.hosts.services import aggregates
from apps.identity.commands import shell


class Command(CloudCommand):
    help = "Take hosts out of an aggregate. What runs on them stays."
    examples = ("fast hv1 hv2",)

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="AGGREGATE")
        parser.add_argument("host", metavar="HOST", nargs="+")

    def work(self, **options: Any) -> int:
        aggregate = selectors.aggregate_named(actor=shell(), name=options["name"])
        for host in [selectors.by_name(name) for name in options["host"]]:
            aggregates.remove_host(actor=shell(), aggregate_id=aggregate.pk, host_id=host.pk)
            self.say(f"{host.name} is not in the aggregate {aggregate.name} any more.", "yellow")
        if self.as_json:
            self.emit(serializers.aggregate(selectors.aggregate(actor=shell(), aggregate_id=aggregate.pk)))
        return DONE
