"""manage.py host_list"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import TYPE_CHECKING, Any

from apps.common.commands import DONE, FAILED, CloudCommand
from apps.hosts import selectors as hosts
from apps.hosts.api.serializers import host
from apps.hosts.states import HostState
from apps.placement import selectors
from apps.placement.api.serializers import inventory
from apps.placement.models import Inventory

if TYPE_CHECKING:
    from apps.hosts.models import Host


class Command(CloudCommand):
    help = "List hosts with what is claimed of what they have. Exit code 1 with --check if one of them is not up."
    examples = ("", "--state down", "--zone west --json", "--check")

    def options(self, parser: ArgumentParser) -> None:
        parser.add_argument("--state", choices=[state.value for state in HostState])
        parser.add_argument("--zone")
        parser.add_argument("--check", action="store_true", help="exit code 1 if one of them is not up")

    def work(self, **options: Any) -> int:
        rows = hosts.hosts()
        for name in ("state", "zone"):
            if options[name]:
                rows = rows.filter(**{name: options[name]})
        capacity = selectors.inventories_of({row.pk for row in rows})
        found = [self._row(row, capacity.get(row.pk, [])) for row in rows]
        self.show(
            found, "name", "state", "enabled", "zone", "vcpus", "memory", "disk", "hypervisor", "agent_version", "last_seen_at",
            nothing="No host is enrolled. `manage.py host_enroll NAME` makes one known.",
        )
        return FAILED if options["check"] and any(row.state != HostState.UP for row in rows) else DONE

    def _row(self, row: Host, inventories: list[Inventory]) -> dict[str, Any]:
        shown = {**host(row), "inventories": [inventory(each) for each in inventories]}
        if self.as_json:
            return shown
        claimed = {each.resource_class: each for each in inventories}
        return shown | {
            "vcpus": _share(claimed.get("VCPU"), 1, ""), "memory": _share(claimed.get("MEMORY_MB"), 1024, " GiB"),
            "disk": _share(claimed.get("DISK_GB"), 1, " GiB"), "enabled": row.enabled or f"no: {row.disabled_reason or 'disabled'}",
        }


def _share(row: Inventory | None, unit: int, name: str) -> str:
    return f"{row.used / unit:.0f}/{row.capacity / unit:.0f}{name}" if row else ""
