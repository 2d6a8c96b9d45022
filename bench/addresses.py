"""Address claims of a /16 by how full it is, and of an IPv6 range: a port with its address, as a boot claims it.

`python -m bench.addresses` is the part that runs inside the installation's own settings; it prints, as JSON, claims a second.
"""

import json
import os
import random
import subprocess
import sys
import time
import uuid
from typing import Any

from bench.figures import Figures
from cloudsite.launcher.stack import Stack

FILLS = (1, 50, 99)
_CLAIMS, _ROUNDS, _CHURN, _AT_ONCE = 100, 5, 500, 500


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
    """A network that is filled and emptied; rates are of claims one by one, each in its own transaction."""

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

    def rate(self) -> float:
        """The best of some rounds: others may be at work on this machine. Leaves the pool as full as it was."""
        rates = []
        for _ in range(_ROUNDS):
            began = time.perf_counter()
            for _ in range(_CLAIMS):
                self._claim(1)
            rates.append(_CLAIMS / (time.perf_counter() - began))
            self._free(_CLAIMS)
        return max(rates)

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
    pool, size = _Pool(actor, "10.200.0.0/16"), 2**16 - 3
    rates = {}
    for percent in FILLS:
        pool.fill(size * percent // 100)
        rates[str(percent)] = pool.rate()
    ipv6 = _Pool(actor, "fd12:3456::/64")
    ipv6.fill(1000)
    return {**rates, "ipv6": ipv6.rate()}


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cloudsite.settings")
    import django

    django.setup()
    print(json.dumps(_inside()))
