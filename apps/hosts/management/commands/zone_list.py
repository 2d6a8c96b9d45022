"""manage.py zone_list"""

from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.hosts import selectors
from apps.hosts.api import serializers
from apps.identity.commands import shell


class Command(CloudCommand):
    help = "List zones: hosts that fail together. Instances ask for one by name."
    examples = ("", "--json")

    def work(self, **options: Any) -> int:
        rows = [serializers.zone(row) for row in selectors.zones(actor=shell())]
        self.show(rows, "name", "enabled", "description", "id", nothing="There is no zone; `manage.py zone_create NAME` makes one.")
        return DONE
