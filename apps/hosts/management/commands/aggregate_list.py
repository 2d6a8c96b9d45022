"""manage.py aggregate_list"""

from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.hosts import selectors
from apps.hosts.api import serializers
from apps.identity.commands import shell


class Command(CloudCommand):
    help = "List aggregates: hosts that have something in common, and what is said of them."
    examples = ("", "--json")

    def work(self, **options: Any) -> int:
        found = [serializers.aggregate(row) for row in selectors.aggregates(actor=shell())]
        if not self.as_json:
            names = selectors.names({host_id for each in found for host_id in each["host_ids"]})
            for each in found:
                each["hosts"] = sorted(names.get(host_id, str(host_id)) for host_id in each["host_ids"])
                each["only_for"] = each["project_ids"]
        self.show(found, "name", "hosts", "metadata", "only_for", "id", nothing="There is no aggregate.")
        return DONE
