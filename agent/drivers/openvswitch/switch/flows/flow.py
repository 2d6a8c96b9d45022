"""One flow, the tables and the registers."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

BROADCAST: Final = "ff:ff:ff:ff:ff:ff"
MANY: Final = "01:00:00:00:00:00/01:00:00:00:00:00"
UNTAGGED: Final = "vlan_tci=0x0000/0x1000"
METADATA4: Final = "169.254.169.254"
METADATA6: Final = "fd00:ec2::254"


class Table(IntEnum):
    """A frame goes from lower to higher numbers; the last four are asked in between and answer in ALLOWED."""

    CLASSIFY = 0
    GUARD = 10
    FROM_OUT = 15
    EGRESS = 20
    EGRESS_TRACKED = 21
    EGRESS_VERDICT = 22
    FORWARD = 30
    SPREAD = 35
    INGRESS = 40
    INGRESS_TRACKED = 41
    INGRESS_VERDICT = 42
    DELIVER = 45
    OUT = 50
    RULES_EGRESS = 60
    RULES_INGRESS = 61
    PLAIN_EGRESS = 62
    PLAIN_INGRESS = 63


# Registers. ZONE and POLICY are those of the port that is being asked about: the sender, later the receiver.
NET, SOURCE, DEST, ZONE, POLICY, ALLOWED = "reg0", "reg1", "reg2", "reg3", "reg4", "reg5"


class Source(IntEnum):
    """Where a frame came from. OPEN: a guest whose port security is off."""

    GUEST = 1
    OPEN = 2
    GATEWAY = 4
    WIRE = 8
    OUTSIDE = 16


@dataclass(frozen=True, slots=True)
class Flow:
    """One entry of the switch, in ovs-ofctl's words. `cookie` tells whose it is."""

    table: Table
    priority: int
    match: str
    actions: str
    cookie: int = 0

    @property
    def key(self) -> str:
        """Two flows of the same key cannot be."""
        match = f",{self.match}" if self.match else ""
        return f"table={self.table.value},priority={self.priority}{match}"

    def text(self) -> str:
        return f"cookie={self.cookie:#x},{self.key},actions={self.actions}"


def cookie(id_: str) -> int:
    """A number made from an id, to find the flows (and counters) of one object; 0 is nobody's."""
    return int.from_bytes(hashlib.blake2b(id_.encode(), digest_size=8).digest(), "big") | 1


class Flows:
    """Collects flows; of two with one key the first stays."""

    def __init__(self) -> None:
        self._flows: dict[str, Flow] = {}

    def add(self, table: Table, priority: int, match: str | Iterable[str], actions: str, *, whose: int = 0) -> None:
        text = match if isinstance(match, str) else ",".join(filter(None, match))
        flow = Flow(table, priority, text, actions, whose)
        self._flows.setdefault(flow.key, flow)

    def all(self) -> list[Flow]:
        return list(self._flows.values())


def load(register: str, value: int) -> str:
    return f"set_field:{value}->{register}"


def goto(table: Table) -> str:
    return f"goto_table:{table.value}"


def ask(table: Table) -> str:
    return f"resubmit(,{table.value})"


def outputs(ports: Iterable[int]) -> list[str]:
    return [f"output:{port}" for port in sorted(set(ports))]


def actions(*parts: str) -> str:
    return ",".join(part for part in parts if part) or "drop"
