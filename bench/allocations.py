"""PUT /allocations of the Placement API over HTTP: many consumers at once over many providers, and all on one.

`python -m bench.allocations` starts an installation of its own, without hosts, and prints the figures.
"""

import http.client
import itertools
import json
import tempfile
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.client import Timing, concurrently
from bench.figures import Figures
from cloudsite.launcher.stack import Stack

PROVIDERS, CLAIMS, THREADS = 500, 3000, 16
_WANTED = {"VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 1}
_OWNER = {"project_id": "bench", "user_id": "bench", "consumer_type": "BENCH"}


def measure(stack: Stack, figures: Figures) -> None:
    """Adds the figures; what was made for them stays."""
    web = _Web(stack)
    seats = {name: {"total": CLAIMS // 4 * amount} for name, amount in _WANTED.items()}
    small = web.provider({"inventories": seats, "resource_provider_generation": 0})
    roomy = {name: {"total": 1_000_000} for name in _WANTED}
    providers = [web.provider({"inventories": roomy, "resource_provider_generation": 0}) for _ in range(PROVIDERS)]
    _claim(web, providers, 300)  # every thread of the server has its connection then
    rate, timing = _claim(web, providers, CLAIMS)
    figures.put(f"PUT allocations/s over {PROVIDERS} providers, {THREADS} at once", rate)
    figures.put("  p50 ms", timing.percentile(0.5))
    figures.put("  p95 ms", timing.percentile(0.95))
    began = time.perf_counter()
    refused = _refusals(web, small, CLAIMS // 3)
    figures.put("PUT allocations/s on one provider that fills up", CLAIMS // 3 / (time.perf_counter() - began))
    web = _Web(stack)  # the server does not keep idle connections for ever
    used = web.send("GET", f"resource_providers/{small}/usages")[1]["usages"]
    assert used["VCPU"] == CLAIMS // 4 and refused == CLAIMS // 3 - CLAIMS // 4, (used, refused)


class _Web:
    """A kept connection for each thread."""

    def __init__(self, stack: Stack) -> None:
        parts = urlsplit(stack.url)
        self._place, self._own = (parts.hostname or "", parts.port), threading.local()
        self._headers = {"X-Auth-Token": stack.token, "OpenStack-API-Version": "placement 1.39", "Content-Type": "application/json"}

    def send(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and content; an assertion if it is wrong in any other way than by a conflict."""
        if not hasattr(self._own, "connection"):
            self._own.connection = http.client.HTTPConnection(*self._place)
        connection: http.client.HTTPConnection = self._own.connection
        connection.request(method, f"/placement/{path}", None if body is None else json.dumps(body), self._headers)
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status < 400 or answer.status == 409, content[:300]
        return answer.status, json.loads(content) if content else None

    def provider(self, inventories: Any) -> str:
        """A new one with these inventories."""
        key: str = self.send("POST", "resource_providers", {"name": f"bench-{uuid.uuid4()}"})[1]["uuid"]
        assert self.send("PUT", f"resource_providers/{key}/inventories", inventories)[0] == 200
        return key

    def claim(self, provider: str) -> int:
        """A new consumer's; the status."""
        body = {"allocations": {provider: {"resources": _WANTED}}, "consumer_generation": None, **_OWNER}
        return self.send("PUT", f"allocations/{uuid.uuid4()}", body)[0]


def _claim(web: _Web, providers: Sequence[str], count: int) -> tuple[float, Timing]:
    """So many claims, one provider after the other; claims per second."""
    turns = list(itertools.islice(itertools.cycle(providers), count))

    def one(provider: str) -> None:
        assert web.claim(provider) == 204

    began = time.perf_counter()
    timing = concurrently([lambda key=key: one(key) for key in turns], threads=THREADS)  # type: ignore[misc]
    return count / (time.perf_counter() - began), timing


def _refusals(web: _Web, provider: str, count: int) -> int:
    """So many claims of one provider; how many were refused."""
    statuses: list[int] = []
    concurrently([lambda: statuses.append(web.claim(provider))] * count, threads=THREADS)
    return statuses.count(409)


def main() -> None:
    figures = Figures()
    with tempfile.TemporaryDirectory(prefix="cs-bench-") as folder, Stack(
        Path(folder), database="postgresql", env={"CLOUDSITE_LOG_LEVEL": "WARNING", "CLOUDSITE_RATE_ADDRESS": "0", "CLOUDSITE_RATE_PROJECT": "0"},
    ) as stack:
        measure(stack, figures)
    for name, value in figures.values.items():
        print(f"{name:70} {value}")


if __name__ == "__main__":
    main()
