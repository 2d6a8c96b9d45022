"""Why: decisions in words, for operators (with host names) and for tenants (without)."""

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from apps.placement.names import DISK_GB, MEMORY_MB, VCPU
from apps.scheduler.filters import FILTERS, PASSED, Request
from apps.scheduler.table import CLASSES, HostTable

UNITS = {VCPU: "vCPUs", MEMORY_MB: "MiB of memory", DISK_GB: "GiB of disk"}
Verdicts = npt.NDArray[np.int8]


def by_reason(table: HostTable, verdicts: Verdicts, request: Request) -> str:
    """Reason → host names, as JSON text."""
    reasons = [*(name for name, _ in FILTERS), "passed"]
    if request.wires:
        reasons[reasons.index("wire")] = f"wire: needs {', '.join(sorted(request.wires))}"
    grouped: dict[str, list[str]] = {}
    for row, verdict in enumerate(verdicts.tolist()):
        grouped.setdefault(reasons[verdict], []).append(table.names[row])
    return orjson.dumps(grouped).decode()


def counts(verdicts: Verdicts) -> Counter[str]:
    """How many hosts each filter refused."""
    return Counter("passed" if verdict == PASSED else FILTERS[verdict][0] for verdict in verdicts.tolist())


def nothing_fits(table: HostTable, verdicts: Verdicts, request: Request) -> str:
    """One sentence for the tenant: what was asked, and how near the nearest came. No host is named."""
    if not len(table):
        return "No host is enrolled yet."
    parts = []
    for name, count in sorted(counts(verdicts).items()):
        hosts = f"{count} host{'s' if count != 1 else ''}"
        if name in CLASSES:
            free = table.free[CLASSES.index(name)][verdicts == [f[0] for f in FILTERS].index(name)]
            parts.append(f"{hosts} too small: {request.amounts[name]} {UNITS[name]} asked, at most {max(0, int(free.max()))} free")
        elif name == "zone":
            parts.append(f"{hosts} not in zone {request.zone}")
        elif name == "no networks":
            parts.append(f"{hosts} with an agent that is too old for networks")
        elif name == "wire":
            parts.append(f"{hosts} not plugged into what the network runs on")
        else:
            parts.append(f"{hosts} {name}")
    return "No host fits: " + "; ".join(parts) + "."


def rows(verdicts_json: str) -> list[dict[str, Any]]:
    """The stored verdicts as one row per host."""
    stored: dict[str, list[str]] = orjson.loads(verdicts_json)
    return [
        {"host": name, "passed": reason == "passed", "reason": "" if reason == "passed" else reason}
        for reason, names in stored.items()
        for name in names
    ]
