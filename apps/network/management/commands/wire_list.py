"""manage.py wire_list"""

from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import shell
from apps.network import selectors
from apps.network.api import provider_shapes as shapes


class Command(CloudCommand):
    help = "List wires that hosts are plugged into."
    examples = ("", "--json")

    def work(self, **options: Any) -> int:
        found = [shapes.wire(row) for row in selectors.wires(actor=shell()).order_by("name")]
        self.show(found, "id", "name", "mtu", "created_at", nothing="There is no wire: networks are overlays.")
        return DONE
