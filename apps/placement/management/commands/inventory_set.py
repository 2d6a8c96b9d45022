"""manage.py inventory_set"""

from argparse import ArgumentParser
from typing import Any

from apps.common.commands import DONE, CloudCommand, whole
from apps.common.errors import Invalid
from apps.identity.commands import shell
from apps.placement import selectors
from apps.placement.api.serializers import inventory
from apps.placement.services import inventories

_LARGEST = 2**48


class Command(CloudCommand):
    help = (
        "Set how much of an inventory may be claimed: (total - reserved) x ratio, and in which amounts. The total is the host's\n"
        "own to say. What is claimed already stays, even if it is more."
    )
    examples = ("hv1 VCPU --ratio 8", "hv1 MEMORY_MB --reserved 4096 --max 65536")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("provider", metavar="PROVIDER", help="name or id; a host's is the host's")
        parser.add_argument("resource_class", metavar="CLASS", help="VCPU, MEMORY_MB, DISK_GB …")
        parser.add_argument("--ratio", type=float, help="how many times over it may be promised, at most 64")
        parser.add_argument("--reserved", type=whole(0, _LARGEST), help="kept back, in the unit of the class")
        parser.add_argument("--min", type=whole(1, _LARGEST), help="the least that one consumer can have")
        parser.add_argument("--max", type=whole(1, _LARGEST), help="the most that one consumer can have")
        parser.add_argument("--step", type=whole(1, _LARGEST), help="one consumer has multiples of it")

    def work(self, **options: Any) -> int:
        wanted = {
            "allocation_ratio": options["ratio"], "reserved": options["reserved"], "min_unit": options["min"],
            "max_unit": options["max"], "step_size": options["step"],
        }
        if all(value is None for value in wanted.values()):
            raise Invalid("command.nothing", "Say what to change: --ratio, --reserved, --min, --max or --step.")
        found = selectors.provider_called(actor=shell(), name=options["provider"])
        row = inventories.adjust(actor=shell(), provider_id=found.pk, resource_class=options["resource_class"], **wanted)
        if self.as_json:
            self.emit(inventory(row))
        else:
            self.say(f"{found.name}: {row.used} of {row.capacity} {row.resource_class} claimed.", "green")
        return DONE
