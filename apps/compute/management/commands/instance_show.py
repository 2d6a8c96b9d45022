"""manage.py instance_show"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE
from apps.common.context import SYSTEM
from apps.compute import commands
from apps.compute.api import rendering
from apps.identity.commands import actor_of, add_project
from apps.operations import selectors as operations
from apps.operations.api import serializers
from apps.operations.commands import OperationCommand
from apps.scheduler import selectors as scheduler
from apps.scheduler.api import decision_shapes as shapes


class Command(OperationCommand):
    help = "Show one instance, also a deleted one: its facts, why it is where it is, and its timeline."
    examples = ("web-1", "0190… --json")

    def options(self, parser: ArgumentParser) -> None:
        commands.add_instance(parser)
        add_project(parser)

    def work(self, **options: Any) -> int:
        instance = commands.find(lambda: actor_of(options), options["id"], deleted=True)
        shown = rendering.instance(SYSTEM, instance)
        decisions = [shapes.decision(SYSTEM, row) for row in scheduler.decisions(instance.pk)]
        found = list(operations.of_resource(instance.pk)[:100])
        events = serializers.timeline(SYSTEM, found, operations.events_of([operation.pk for operation in found]))
        if self.as_json:
            self.emit({**shown, "scheduling": decisions, "timeline": events})
            return DONE
        shown["error"] = shown["error"] and shown["error"]["message"]
        shown["addresses"] = [f"{each['address']} ({each['mac']}, port {each['port_id']})" for each in shown["addresses"]]
        self.facts({name: value for name, value in shown.items() if value not in (None, "", [], {})})
        for decision in decisions:
            self.say(f"\n{decision['outcome'] if decision['placed'] else decision['summary']}")
        self.timeline(events)
        return DONE
