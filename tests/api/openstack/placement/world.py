"""A small world of providers and consumers, in which examples of requests are tried."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import transaction

from tests.api.openstack.placement.cases import Example
from tests.api.openstack.placement.reference import Operation, Version
from tests.api.openstack.placement.speaker import RED, USER, Answer, Speaker

AGGREGATE = "5a99e9a7-0000-4000-8000-000000000000"


class World:
    """A host with a card below it and a store that shares with it, a provider of which nobody holds anything, two consumers."""

    def __init__(self, placement: Speaker) -> None:
        self.placement = placement
        for name in ("CUSTOM_RED", "CUSTOM_BLUE"):
            placement.put(f"traits/{name}").ok(201)
        placement.put("resource_classes/CUSTOM_FPGA").ok(201)
        host = placement.provider("host", traits=("HW_CPU_X86_AVX2",), aggregates=(AGGREGATE,), VCPU=8, MEMORY_MB=4096)
        store = placement.provider("store", traits=("MISC_SHARES_VIA_AGGREGATE",), aggregates=(AGGREGATE,), DISK_GB=100)
        self.ids = {
            "host": host, "store": store, "card": placement.provider("card", parent=host, traits=("CUSTOM_RED",), SRIOV_NET_VF=4),
            "idle": placement.provider("idle", VCPU=4), "holder": placement.claim(host, VCPU=1), "aggregate": AGGREGATE,
            "other": placement.claim(host, user="other", kind="MIGRATION", MEMORY_MB=256), "red": RED, "user": USER,
            "free": "f4ee0000-0000-4000-8000-000000000000", "new": "4e300000-0000-4000-8000-000000000000",
        }

    def named(self, value: Any) -> Any:
        """With ids in the place of `{names}`, however deep."""
        if isinstance(value, str):
            return value.format(**self.ids) if "{" in value else value
        if isinstance(value, Mapping):
            return {self.named(key): self.named(each) for key, each in value.items()}
        return [self.named(each) for each in value] if isinstance(value, (list, tuple)) else value

    def ask(self, operation: Operation, example: Example, at: Version, *, by: Speaker | None = None) -> Answer:
        """The answer to the example in that version; `by` somebody else than who made this world."""
        path = operation.path.removeprefix("/").format(**self.named(example.path))
        query = "&".join(f"{name}={value}" for name, value in self.named(example.query).items())
        body = None if example.body is None else self.named(example.body)
        return (by or self.placement)(operation.method, f"{path}?{query}" if query else path, body, at=f"{at[0]}.{at[1]}")


@contextmanager
def undone() -> Iterator[None]:
    """What happens in here has not happened afterwards."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
