"""Why: decisions in words, for operators (with host names) and for tenants (without)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from apps.placement.names import DISK_GB, MEMORY_MB, VCPU
from apps.scheduler.filters import PASSED, Judged
from apps.scheduler.request import Request
from apps.scheduler.table import HostTable

UNITS = {VCPU: "vCPUs", MEMORY_MB: "MiB of memory", DISK_GB: "GiB of disk"}
# Beyond so many hosts only some of each reason are named.
_ALL_NAMED, _SOME = 200, 20


def by_reason(names: Sequence[str], judged: Judged, request: Request) -> str:
    """Reason → host names, as JSON text; of many hosts → their number and some of their names."""
    grouped: dict[str, Any] = {}
    for number, reason in [*enumerate(judged.names), (PASSED, "passed")]:
        rows = np.flatnonzero(judged.verdicts == number)
        if not len(rows):
            continue
        told = f"wire: needs {', '.join(sorted(request.wires))}" if reason == "wire" else reason
        if judged.hosts <= _ALL_NAMED:
            grouped[told] = [names[row] for row in rows.tolist()]
        else:
            grouped[told] = {"hosts": len(rows), "some": [names[row] for row in rows[:_SOME].tolist()]}
    return orjson.dumps(grouped).decode()


def nothing_fits(table: HostTable, judged: Judged, request: Request) -> str:
    """One sentence for the tenant: what was asked, and how near the nearest came. No host is named."""
    if not len(table):
        return "No host is enrolled yet."
    return "No host fits: " + "; ".join(_part(table, judged, request, name, count) for name, count in sorted(judged.refused.items())) + "."


def _part(table: HostTable, judged: Judged, request: Request, name: str, count: int) -> str:
    hosts = f"{count} host{'s' if count != 1 else ''}"
    if name in request.amounts:
        asked = f"{hosts} too small: {request.amounts[name]} {UNITS.get(name, name)} asked"
        if name not in table.classes:
            return f"{asked}, none there"
        free = table.free[table.classes[name]][judged.verdicts == judged.names.index(name)]
        return f"{asked}, at most {max(0, int(free.max()))} free"
    others = {
        "zone": f"not in zone {request.zone}", "no networks": "with an agent that is too old for networks",
        "wire": "not plugged into what the network runs on", "building": "with enough builds under way",
        "project": "kept for other projects", "traits": "without a trait that is required",
        "forbidden traits": "with a trait that is forbidden", "image": "that do not run such images",
        "metadata": "without what the flavor asks for", "affinity": "without the others of the server group",
        "anti-affinity": "with others of the server group", "zone disabled": "in a zone that is disabled",
        "avoided": "to be avoided",
    }
    return f"{hosts} {others.get(name, name)}"


def rows(verdicts_json: str) -> list[dict[str, Any]]:
    """The stored verdicts as one row per host that is named."""
    return [
        {"host": name, "passed": reason == "passed", "reason": "" if reason == "passed" else reason}
        for reason, names in _stored(verdicts_json).items()
        for name in (names["some"] if isinstance(names, Mapping) else names)
    ]


def counts(verdicts_json: str) -> dict[str, int]:
    """Reason → how many hosts; `passed` among them."""
    return {
        reason: names["hosts"] if isinstance(names, Mapping) else len(names) for reason, names in _stored(verdicts_json).items()
    }


def best(best_json: str) -> list[dict[str, Any]]:
    """The stored weights of the best, the best first."""
    found: list[dict[str, Any]] = orjson.loads(best_json)
    return found


def _stored(verdicts_json: str) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(verdicts_json)
    return found
