"""manage.py pool_list"""

from typing import Any

from apps.common.commands import DONE, CloudCommand
from apps.identity.commands import shell
from apps.network import selectors
from apps.network.api import provider_shapes as shapes


class Command(CloudCommand):
    help = "List pools of VLAN ids and VNIs in the order in which tenants' networks take from them, and how full they are."
    examples = ("", "--json")

    def work(self, **options: Any) -> int:
        found = [shapes.pool(row) for row in selectors.pools(actor=shell())]
        if not self.as_json:
            for each in found:
                each["wire"], each["of"] = each["physical_network"], each["last"] - each["first"] + 1
        self.show(
            found, "id", "kind", "wire", "first", "last", "used", "of", "for_tenants", "position", nothing="There is no pool: no network can be made."
        )
        return DONE
