"""Allocation candidates of flat fleets: what one of them, and what a thousand cost, the database's part and over HTTP.

`python -m bench.candidates PROVIDERS` is the part that runs inside the installation's own settings: it makes so many providers
and prints, as JSON, medians in milliseconds.
"""

import gc
import json
import os
import random
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

import orjson

from bench.allocations import NEXT_TO_NOTHING, Web
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
    """Adds the figures of allocation candidates; the providers that they need stay."""
    for size in SIZES:
        command = [sys.executable, "-m", "bench.candidates", str(size)]
        inside = json.loads(subprocess.run(command, env=stack.env, check=True, capture_output=True, text=True).stdout)
        web = Web(stack)
        bare = _median_ms(lambda web=web: web.send("GET", NEXT_TO_NOTHING), rounds=100)  # type: ignore[misc]
        for limit in LIMITS:
            if limit <= size:
                among = f"candidates, {size:,} providers, limit={limit}"
                figures.put(f"{among}, p50 ms", _over_http(web, limit))
                figures.put(f"{among}, without HTTP, p50 ms", inside[f"find {limit}"])
                # A token check over HTTP, and the same rows read and told as they are.
                figures.put(f"{among}, floor, p50 ms", bare + inside[f"floor {limit}"])


def _over_http(web: Web, limit: int) -> float:
    path = f"allocation_candidates?resources={','.join(f'{name}:{amount}' for name, amount in _WANTED.items())}&limit={limit}"
    count = len(json.loads(web.send("GET", path)[1])["allocation_requests"])
    assert count == limit, f"{count} of {limit} candidates"
    return _median_ms(lambda: web.send("GET", path), rounds=_ROUNDS[limit])


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
    gc.freeze()  # as the web process does with what it has loaded
    found = {}
    for limit in LIMITS:
        wanted = CandidateQuery({"": Group(_WANTED)}, limit=limit)
        found[f"find {limit}"] = _median_ms(lambda wanted=wanted: find(actor=SYSTEM, wanted=wanted), rounds=_ROUNDS[limit])  # type: ignore[misc]
        found[f"floor {limit}"] = _median_ms(lambda limit=limit: _floor(limit), rounds=_ROUNDS[limit])  # type: ignore[misc]
    return found


def _floor(limit: int) -> None:
    """What no answer can do without: inventories and traits of so many providers, wherever they are, as JSON."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM placement_resourceprovider WHERE id > %s ORDER BY id LIMIT %s", [uuid.UUID(int=0), limit])
        ids = [row[0] for row in cursor.fetchall()]
        cursor.execute("SELECT provider_id, resource_class, capacity, used FROM placement_inventory WHERE provider_id = ANY(%s)", [ids])
        stocks = cursor.fetchall()
        traits = "SELECT provider_id, string_agg(name, ',') FROM placement_providertrait WHERE provider_id = ANY(%s) GROUP BY provider_id"
        cursor.execute(traits, [ids])
        orjson.dumps([stocks, cursor.fetchall()])


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
