"""Allocation candidates of flat fleets: what one of them, and what a thousand cost, the database's part and over HTTP.

`python -m bench.candidates PROVIDERS` is the part that runs inside the installation's own settings: it makes so many providers
(or takes all of them away again) and prints, as JSON, medians in milliseconds.
"""

import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from bench.figures import Figures
from cloudsite.launcher.stack import Stack

SIZES = (100, 1_000, 10_000)
LIMITS = (1, 1000)
# As many as a hypervisor with a usual processor reports.
_TRAITS = 32
_ROUNDS = {1: 100, 1000: 20}
_WANTED = {"VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 1}
_NAME = "bench-candidates-"


def measure(stack: Stack, figures: Figures) -> None:
    """Adds the figures of allocation candidates; the providers that they need are gone afterwards."""
    for size in SIZES:
        inside = _fill(stack, size)
        web = _Web(stack)
        for limit in LIMITS:
            if limit <= size:
                figures.put(f"candidates, {size:,} providers, limit={limit}, p50 ms", web.median(limit))
                figures.put(f"  without HTTP, {size:,} providers, limit={limit}, p50 ms", inside[str(limit)])
    _fill(stack, 0)


def _fill(stack: Stack, size: int) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.candidates", str(size)]
    ran = subprocess.run(command, env=stack.env, check=True, capture_output=True, text=True)
    medians: dict[str, float] = json.loads(ran.stdout)
    return medians


class _Web:
    """One kept connection, so that only the answer is timed."""

    def __init__(self, stack: Stack) -> None:
        parts = urlsplit(stack.url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
        self._headers = {"X-Auth-Token": stack.token, "OpenStack-API-Version": "placement 1.39", "Accept": "application/json"}
        self._resources = ",".join(f"{name}:{amount}" for name, amount in _WANTED.items())

    def median(self, limit: int) -> float:
        count = len(json.loads(self._ask(limit))["allocation_requests"])
        assert count == limit, f"{count} of {limit} candidates"
        return _median_ms(lambda: self._ask(limit), rounds=_ROUNDS[limit])

    def _ask(self, limit: int) -> bytes:
        path = f"/placement/allocation_candidates?resources={self._resources}&limit={limit}"
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        assert answer.status == 200, content[:300]
        return content


def _median_ms(call: Callable[[], object], *, rounds: int) -> float:
    for _ in range(max(3, rounds // 10)):
        call()
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1000


def _inside(size: int) -> dict[str, float]:
    from apps.common.context import SYSTEM
    from apps.placement.candidates.find import find
    from apps.placement.candidates.query import CandidateQuery, Group

    _make(size)
    return {
        str(limit): _median_ms(
            lambda limit=limit: find(actor=SYSTEM, wanted=CandidateQuery({"": Group(_WANTED)}, limit=limit)),  # type: ignore[misc]
            rounds=_ROUNDS[limit],
        )
        for limit in LIMITS if limit <= size
    }


def _make(size: int) -> None:
    """As many providers of ours as `size` says, each somewhat used; all rows at once, since not the writing is measured."""
    from django.apps import apps
    from django.db import connection, transaction

    from apps.common.ids import new_id
    from apps.common.sql import insert_rows

    provider, inventory, trait = (
        apps.get_model("placement", name) for name in ("ResourceProvider", "Inventory", "ProviderTrait")
    )
    with transaction.atomic():
        if not size:
            provider.objects.filter(name__startswith=_NAME).delete()
        ids = [new_id() for _ in range(size - provider.objects.filter(name__startswith=_NAME).count())]
        insert_rows([provider(id=key, root_id=key, name=f"{_NAME}{key}") for key in ids])
        insert_rows([_stock(inventory, key, name) for key in ids for name in _WANTED])
        insert_rows([trait(provider_id=key, name=f"HW_CPU_X86_{number}") for key in ids for number in range(_TRAITS)])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _stock(inventory: Any, key: Any, name: str) -> Any:
    facts: dict[str, int] = {"total": 100_000, "capacity": 100_000, "ceiling": 100_000, "used": random.randint(0, 50_000)}
    return inventory(provider_id=key, resource_class=name, **facts)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloudsite.settings")
    import django

    django.setup()
    print(json.dumps(_inside(int(sys.argv[1]))))
