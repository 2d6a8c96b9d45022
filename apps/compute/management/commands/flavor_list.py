"""manage.py flavor_list"""

from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.compute import selectors
from apps.compute.api import serializers
from apps.identity.commands import shell


class Command(CloudCommand):
    help = "List flavors: sizes of instances, and what their hosts must be like."
    examples = ("", "--json")

    def work(self, **options: Any) -> int:
        rows = [serializers.flavor(row) for row in selectors.flavors(actor=shell()).order_by("vcpus", "memory_mb", "name")]
        self.show(
            rows, "name", "vcpus", "memory_mb", "disk_gb", "required_traits", "forbidden_traits", "host_metadata", "id",
            nothing="There is no flavor; `manage.py flavor_create` makes one.",
        )
        return DONE
