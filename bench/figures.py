"""What is measured over HTTP on a running stack."""

import time
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from bench.client import Client, Timing, concurrently, until

# How often the end of a load is looked for: seldom, since looking is a request too.
_POLL_S = 0.1


@dataclass
class Figures:
    """Name → value, in the order in which they are to be shown."""

    values: dict[str, Any] = field(default_factory=dict)

    def put(self, name: str, value: float, digits: int = 1) -> None:
        self.values[name] = round(value, digits)


class Load:
    """Boots and deletes against one API."""

    def __init__(self, client: Client, *, image_id: str, flavor_id: str) -> None:
        self.client = client
        self.body = {"name": "bench", "image_id": image_id, "flavor_id": flavor_id}

    def boot(self, count: int = 1) -> list[str]:
        """Returns the ids of the new instances."""
        answer = self.client.post("/instances", {**self.body, "count": count})
        return [instance["id"] for instance in answer["instances"]]

    def no_more(self, state: str) -> bool:
        return not self.client.get(f"/instances?state={state}&limit=1")["items"]

    def check_all_active(self, expected: int) -> None:
        """Raises AssertionError if any boot ended otherwise: a failed boot is not a fast one."""
        active = len(self.client.get("/instances?state=ACTIVE&limit=1000")["items"])
        assert active == expected, f"{active} of {expected} instances are ACTIVE"

    def boots_one_by_one(self, number: int, threads: int) -> tuple[float, Timing]:
        """Boots/s from first POST to last ACTIVE, and the POSTs' times."""
        began = time.perf_counter()
        posts = concurrently([self.boot] * number, threads=threads)
        until(lambda: self.no_more("BUILD"), timeout_s=120, pause_s=_POLL_S)
        return number / (time.perf_counter() - began), posts

    def boots_at_once(self, number: int) -> float:
        """Boots/s of one request for many."""
        began = time.perf_counter()
        self.boot(number)
        until(lambda: self.no_more("BUILD"), timeout_s=120, pause_s=_POLL_S)
        return number / (time.perf_counter() - began)

    def delete_all(self, threads: int) -> float:
        """Deletes/s from first DELETE to the last one gone."""
        ids = [item["id"] for item in self.client.get("/instances?limit=1000")["items"]]
        began = time.perf_counter()
        concurrently([partial(self.client.delete, f"/instances/{i}") for i in ids], threads=threads)
        until(lambda: not self.client.get("/instances?limit=1")["items"], timeout_s=120, pause_s=_POLL_S)
        return len(ids) / (time.perf_counter() - began)

    def one_boot(self) -> float:
        """Seconds from POST to ACTIVE of one boot that has the system to itself."""
        began = time.perf_counter()
        answer = self.client.post("/instances", self.body)
        operation = self.client.get(f"/operations/{answer['operation']['id']}?wait=30")
        taken = time.perf_counter() - began
        assert operation["state"] == "succeeded", operation
        return taken

    def list_all(self, expected: int) -> float:
        """Seconds for one list of 1,000 instances."""
        began = time.perf_counter()
        items = self.client.get("/instances?limit=1000")["items"]
        taken = time.perf_counter() - began
        assert len(items) == expected, len(items)
        return taken
