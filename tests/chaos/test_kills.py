"""kill -9 of any one process at any moment: every boot ends ACTIVE or ERROR with a reason, once, and nothing leaks."""

import json
import random
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.client import Client, Refused
from cloudsite.launcher.stack import Stack

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

VICTIMS = ("agent", "conductor", "scheduler", "web", "ticker", "redis")
# What the project promises, shown at the end of the run; and what fails, which holds on a busy machine too. Seconds.
PROMISED_S, SETTLED_WITHIN_S = 60, 150


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The real processes on PostgreSQL with hosts that take 100 ms for a step and fail now and then."""
    slow = {"latency_ms": 100, "failure_rate": 0.05, "seed": 7}
    with Stack(tmp_path_factory.mktemp("chaos"), database="postgresql", simulated_hosts=4, simulated=slow, restart=True) as running:
        yield running


@pytest.fixture(scope="module")
def client(stack: Stack) -> Client:
    return Client(stack.url, stack.token)


@pytest.fixture(scope="module")
def wanted(stack: Stack, client: Client) -> dict[str, Any]:
    """The body of a boot request."""
    image = client.post("/images", {"name": "chaos", "disk_format": "raw"})
    client.upload(f"/images/{image['id']}/file", b"chaos" * 1000)
    return {"name": "chaos", "image_id": image["id"], "flavor_id": client.get("/flavors")["items"][-1]["id"]}


@pytest.mark.parametrize("boots", [12, pytest.param(20, marks=pytest.mark.slow)], ids=["short", "long"])
@pytest.mark.parametrize("victim", VICTIMS)
def test_every_boot_ends_and_nothing_leaks_when_a_process_is_killed(
    victim: str, boots: int, stack: Stack, client: Client, wanted: dict[str, Any], record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(victim)
    ids: list[str] = []
    for number in range(boots):
        ids.append(_boot(client, wanted))
        if number % 2 == 0:
            threading.Timer(chance.uniform(0, 0.4), _kill, [stack, victim]).start()
        time.sleep(chance.uniform(0.05, 0.3))

    began = time.monotonic()
    ended = _wait_until_settled(client, ids)
    record_property(f"promised in {PROMISED_S} s: all boots have ended", round(time.monotonic() - began, 1))

    assert {instance["state"] for instance in ended} <= {"ACTIVE", "ERROR"}
    for instance in ended:
        assert instance["state"] == "ACTIVE" or instance["error"]["message"], instance
    assert all(instance["state"] == "ACTIVE" for instance in ended) or victim == "agent" or _only_simulated_failures(ended)
    assert _built_twice(stack, ids) == []
    _delete_all(client, ids)
    assert _findings(stack) == []


def _kill(stack: Stack, victim: str) -> None:
    try:
        stack.kill(victim)
    except Exception as error:
        print(f"{victim} was not running when it was to be killed: {error}")  # between its death and its restart


def _boot(client: Client, wanted: dict[str, Any]) -> str:
    """As a careful user does: the same request with the same key until there is an answer."""
    key = uuid.uuid4().hex
    return str(_insist(lambda: client.call("POST", "/instances", wanted, {"Idempotency-Key": key}))["instance"]["id"])


def _insist(call: Any, within_s: float = 120) -> Any:
    ends = time.monotonic() + within_s
    while True:
        try:
            return call()
        except (OSError, Refused) as error:  # the web process is dead, or says that it cannot now
            if time.monotonic() > ends or (isinstance(error, Refused) and error.status < 500):
                raise
            time.sleep(0.2)


def _wait_until_settled(client: Client, ids: list[str]) -> list[Any]:
    ends = time.monotonic() + SETTLED_WITHIN_S
    while True:
        instances = [_insist(lambda i=i: client.get(f"/instances/{i}")) for i in ids]
        if all(instance["state"] != "BUILD" for instance in instances):
            return instances
        stuck = [(i["id"], i["state"]) for i in instances if i["state"] == "BUILD"]
        assert time.monotonic() < ends, f"not settled after {SETTLED_WITHIN_S} s: {stuck}"
        time.sleep(0.5)


def _only_simulated_failures(instances: list[Any]) -> bool:
    return all(i["state"] == "ACTIVE" or i["error"]["code"].startswith("simulated.") for i in instances)


def _delete_all(client: Client, ids: list[str]) -> None:
    for instance_id in ids:
        _insist(lambda i=instance_id: client.delete(f"/instances/{i}"))
    ends = time.monotonic() + SETTLED_WITHIN_S
    while client.get("/instances?limit=1")["items"]:
        assert time.monotonic() < ends, "instances stay DELETING"
        time.sleep(0.3)


def _built_twice(stack: Stack, ids: list[str]) -> list[tuple[str, str, int]]:
    """(host, instance, times) of machines that a host made from nothing more than once."""
    store = next(Path(stack.var).rglob("simulated.sqlite"))
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT host_id, instance_id, built FROM machine WHERE built > 1").fetchall()
    return [row for row in rows if row[1] in ids]


def _findings(stack: Stack) -> list[Any]:
    """What the audit finds; hosts are asked anew by it or have just told."""
    ends = time.monotonic() + 120
    while True:
        result = stack.manage("audit", "--json")
        findings: list[Any] = json.loads(result.stdout)["findings"]
        if not findings or time.monotonic() > ends:
            return findings
        time.sleep(2)
