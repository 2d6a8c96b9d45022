"""Address claims of a /16 by how full it is, and of an IPv6 range: a port with its address, as a boot claims it.

`python -m bench.addresses` is the part that runs inside the installation's own settings; it prints, as JSON, claims a second.
"""

import json
import os
import random
import statistics
import subprocess
import sys
import time
import uuid
from typing import Any

from bench.figures import Figures
from cloudsite.launcher.stack import Stack

FILLS = (1, 50, 99)
_CLAIMS, _ROUNDS, _CHURN, _AT_ONCE = 10, 40, 500, 500


def measure(stack: Stack, figures: Figures) -> None:
    """Adds the figures of address claims."""
    env = {**stack.env, "CLOUDSITE_ADDRESS_REST_S": "0"}
    ran = subprocess.run([sys.executable, "-m", "bench.addresses"], env=env, check=True, capture_output=True, text=True)
    rates = json.loads(ran.stdout)
    for percent in FILLS:
        figures.put(f"address claims/s, /16 {percent} % full", rates[str(percent)])
    of_ipv4 = [rates[str(percent)] for percent in FILLS]
    figures.put("  the quickest as a multiple of the slowest", max(of_ipv4) / min(of_ipv4), 2)
    figures.put("address claims/s, IPv6 /64", rates["ipv6"])


class _Pool:
    """A network that is filled and emptied; measured are claims one by one, each in its own transaction."""

    def __init__(self, actor: Any, cidr: str) -> None:
        from apps.network.services import networks, subnets

        self._network = networks.create(actor=actor, name=f"bench-{uuid.uuid4().hex[:8]}")
        self._project_id = actor.project_id
        subnets.create(actor=actor, network_id=self._network.pk, cidr=cidr)
        self._held: list[uuid.UUID] = []

    def fill(self, count: int) -> None:
        """Up to `count` ports, and some of them freed and claimed again in another order."""
        while len(self._held) < count:
            self._claim(min(_AT_ONCE, count - len(self._held)))
        churned = min(_CHURN, count)
        for _ in range(2):
            random.shuffle(self._held)
            self._free(churned)
            self._claim(churned)

    def round_s(self) -> float:
        """How long some claims take; leaves the pool as full as it was."""
        began = time.perf_counter()
        for _ in range(_CLAIMS):
            self._claim(1)
        took = time.perf_counter() - began
        self._free(_CLAIMS)
        return took

    def _claim(self, count: int) -> None:
        from django.db import transaction

        from apps.network.services import plugs

        wishes = [plugs.Wish(uuid.uuid4(), self._project_id, self._network.pk) for _ in range(count)]
        with transaction.atomic():
            plugs.draw(wishes)
        self._held += [wish.device_id for wish in wishes]

    def _free(self, count: int) -> None:
        from apps.network.services import plugs

        self._held, gone = self._held[:-count], self._held[-count:]
        plugs.release(gone)


def _inside() -> dict[str, float]:
    from dataclasses import replace

    from apps.common.context import SYSTEM
    from apps.identity.services import projects

    actor = replace(SYSTEM, project_id=projects.ensure_project(actor=SYSTEM, name="bench-addresses").pk)
    pools = {str(percent): _Pool(actor, "10.200.0.0/16") for percent in FILLS} | {"ipv6": _Pool(actor, "fd12:3456::/64")}
    for name, pool in pools.items():
        pool.fill(1000 if name == "ipv6" else (2**16 - 3) * int(name) // 100)
    # In turns, so that whatever else this machine does meets all alike.
    rounds = [{name: pool.round_s() for name, pool in pools.items()} for _ in range(_ROUNDS)]
    return {name: _CLAIMS / statistics.median(each[name] for each in rounds) for name in pools}


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloudsite.settings")
    import django

    django.setup()
    print(json.dumps(_inside()))
