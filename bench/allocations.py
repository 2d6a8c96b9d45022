"""PUT /allocations of the Placement API over HTTP: many consumers at once over many providers, and all on one."""

import http.client
import itertools
import json
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import psycopg

from bench.client import concurrently
from bench.figures import Figures
from bench.measures import conninfo
from cloudsite.launcher.stack import Stack

PROVIDERS, CLAIMS, THREADS = 500, 3000, 16
_WANTED = {"VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 1}
_OWNER = {"project_id": "bench", "user_id": "bench", "consumer_type": "BENCH"}
# Answered without a look at the database, but for the token.
NEXT_TO_NOTHING = "traits/HW_CPU_X86_AVX"


class Web:
    """Placement with an operator's token; a kept connection for each thread, so that only the answer is timed."""

    def __init__(self, stack: Stack) -> None:
        parts = urlsplit(stack.url)
        self._place, self._own = (parts.hostname or "", parts.port), threading.local()
        self._headers = {"X-Auth-Token": stack.token, "OpenStack-API-Version": "placement 1.39", "Content-Type": "application/json"}

    def send(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """Status and content; an assertion if it is wrong in any other way than by a conflict."""
        if not hasattr(self._own, "connection"):
            self._own.connection = http.client.HTTPConnection(*self._place)
        connection: http.client.HTTPConnection = self._own.connection
        connection.request(method, f"/placement/{path}", None if body is None else json.dumps(body), self._headers)
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status < 400 or answer.status == 409, content[:300]
        return answer.status, content


def measure(stack: Stack, figures: Figures) -> None:
    """Adds the figures; what was made for them stays."""
    web = Web(stack)
    seats = {name: {"total": CLAIMS // 4 * amount} for name, amount in _WANTED.items()}
    small = _provider(web, seats)
    providers = [_provider(web, {name: {"total": 1_000_000} for name in _WANTED}) for _ in range(PROVIDERS)]
    _claim(web, providers, 300)  # every thread of the server has its connection then
    rate = _claim(web, providers, CLAIMS)
    floor = _floor(stack, web)
    figures.put(f"PUT allocations/s over {PROVIDERS} providers, {THREADS} at once", rate)
    figures.put("  floor: a token check over HTTP, and one bare commit, per second", floor)
    figures.put("  allocations / floor, %", 100 * rate / floor)
    _contend(web, stack, small, figures)


def _contend(web: Web, stack: Stack, provider: str, figures: Figures) -> None:
    """All want the same provider, which has room for three of four of them; an assertion unless exactly these got it."""
    count, room, statuses = CLAIMS // 3, CLAIMS // 4, list[int]()
    rate = _rate([lambda: statuses.append(_put(web, provider))] * count)
    content = Web(stack).send("GET", f"resource_providers/{provider}/usages")[1]  # this thread's connection has been idle for long
    used = json.loads(content)["usages"]
    assert statuses.count(204) == room and used == {name: room * amount for name, amount in _WANTED.items()}, (statuses.count(204), used)
    figures.put(f"PUT allocations/s on one provider, the last {count - room:,} of {count:,} refused", rate)


def _provider(web: Web, inventories: Any) -> str:
    """A new one with these inventories."""
    key: str = json.loads(web.send("POST", "resource_providers", {"name": f"bench-{uuid.uuid4()}"})[1])["uuid"]
    body = {"inventories": inventories, "resource_provider_generation": 0}
    assert web.send("PUT", f"resource_providers/{key}/inventories", body)[0] == 200
    return key


def _put(web: Web, provider: str) -> int:
    """A new consumer's allocation; the status."""
    body = {"allocations": {provider: {"resources": _WANTED}}, "consumer_generation": None, **_OWNER}
    return web.send("PUT", f"allocations/{uuid.uuid4()}", body)[0]


def _claim(web: Web, providers: Sequence[str], count: int) -> float:
    """So many allocations, one provider after the other; how many in a second."""

    def one(provider: str) -> None:
        assert _put(web, provider) == 204

    return _rate([lambda key=key: one(key) for key in itertools.islice(itertools.cycle(providers), count)])  # type: ignore[misc]


def _floor(stack: Stack, web: Web) -> float:
    """How many in a second, if they were nothing but a request whose token is checked, and then a commit of one bare row."""
    own, database = threading.local(), conninfo(stack.settings.database_url)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS floor (id bigserial PRIMARY KEY, stage text)")

    def commit() -> None:
        if not hasattr(own, "connection"):
            own.connection = psycopg.connect(database, autocommit=True)
        own.connection.execute("INSERT INTO floor (stage) VALUES ('allocation')")

    asked = _rate([lambda: web.send("GET", NEXT_TO_NOTHING)] * CLAIMS)
    return 1 / (1 / asked + 1 / _rate([commit] * CLAIMS))


def _rate(work: Sequence[Callable[[], object]]) -> float:
    began = time.perf_counter()
    concurrently(work, threads=THREADS)
    return len(work) / (time.perf_counter() - began)
