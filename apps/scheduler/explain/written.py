"""The parts of a decision as they are stored; `kept` reads them again, also in processes that decide nothing and have no numpy."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from apps.scheduler.explain.kept import FITS
from apps.scheduler.filters import PASSED, Judged
from apps.scheduler.request import Request

# Beyond so many hosts only some of each verdict are named.
_ALL_NAMED, _SOME = 200, 20


def request(asked: Request) -> dict[str, Any]:
    """What was asked, without what was not."""
    group = asked.group
    parts: dict[str, Any] = {
        "wires": sorted(asked.wires), "required_traits": sorted(asked.required_traits),
        "forbidden_traits": sorted(asked.forbidden_traits), "host_metadata": dict(asked.host_metadata),
        "architecture": asked.architecture, "hypervisor_type": asked.hypervisor_type,
        "hosts": sorted(map(str, asked.hosts)), "avoided_hosts": sorted(map(str, asked.avoided)),
        "group": None if group is None else {"id": str(group.id), "policy": group.policy.value, "max_per_host": group.max_per_host},
    }
    return {
        "amounts": dict(asked.amounts), "zone": asked.zone, "excluded": [str(host_id) for host_id in asked.excluded],
        **{name: value for name, value in parts.items() if value},
    }


def steps(judged: Judged) -> str:
    """As JSON text."""
    return text(list(zip(judged.names, judged.left, strict=True)))


def verdicts(names: Sequence[str], judged: Judged) -> str:
    """As JSON text: reason → names of hosts, or of many hosts their number and some names."""
    numbers = {reason: number for number, reason in enumerate(judged.names)} | {FITS: PASSED}
    found: dict[str, Any] = {}
    for reason, hosts in judged.counts.items():
        rows = np.flatnonzero(judged.verdicts == numbers[reason])
        if judged.hosts <= _ALL_NAMED:
            found[reason] = [names[row] for row in rows.tolist()]
        else:
            found[reason] = {"hosts": hosts, "some": [names[row] for row in rows[:_SOME].tolist()]}
    return text(found)


def text(value: object) -> str:
    """As JSON."""
    return orjson.dumps(value).decode()
