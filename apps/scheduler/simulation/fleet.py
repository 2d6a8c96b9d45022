"""The hosts that a simulation has: said in words, listed in a file, or those of the running installation."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from apps.common.errors import Invalid
from apps.hosts import selectors as hosts
from apps.hosts.states import HostState
from apps.placement import selectors as placement
from apps.placement.names import MAX_INT
from apps.scheduler.simulation.trace import amount_of, class_named

USUAL_HOST = "VCPU=64,MEMORY_MB=262144,DISK_GB=4000"
MOST_HOSTS = 200_000
_GROUP = re.compile(r"(?P<count>[0-9]{1,6})x(?P<shape>[^@]+)(@(?P<zone>[A-Za-z0-9][A-Za-z0-9._-]{0,63}))?", re.ASCII)
_FIELDS = {"count", "shape", "zone", "traits"}


class Units(NamedTuple):
    """What a host has of a resource class; `capacity`: what can be claimed, overcommitment included."""

    capacity: int
    used: int = 0
    min_unit: int = 1
    max_unit: int = MAX_INT
    step_size: int = 1


class SimulatedHost(NamedTuple):
    """`stock`: by resource class."""

    name: str
    zone: str
    stock: Mapping[str, Units]
    traits: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fleet:
    """`left_out`: hosts of the installation that take no instances now."""

    hosts: list[SimulatedHost]
    left_out: int = 0

    @property
    def capacity(self) -> dict[str, int]:
        """Of all hosts, by resource class."""
        found: dict[str, int] = {}
        for host in self.hosts:
            for name, units in host.stock.items():
                found[name] = found.get(name, 0) + units.capacity
        return found


def uniform(count: int, shape: str) -> Fleet:
    """So many hosts that are alike. Raises Invalid."""
    return _made([(count, _shape(shape, "host_shape"), "default", ())])


def grouped(groups: list[str]) -> Fleet:
    """`50xVCPU=64,MEMORY_MB=262144@west` each. Raises Invalid."""
    found = []
    for text in groups:
        match = _GROUP.fullmatch(text)
        if match is None:
            raise _refused(f"{text[:100]!r}: expected COUNTxSHAPE or COUNTxSHAPE@ZONE, such as 50x{USUAL_HOST}@west", "fleet")
        found.append((int(match["count"]), _shape(match["shape"], "fleet"), match["zone"] or "default", ()))
    return _made(found)


def from_file(path: Path) -> Fleet:
    """A JSON list of `{"count": 50, "shape": {"VCPU": 64, …}, "zone": "west", "traits": ["HW_CPU_X86_AVX2"]}`. Raises Invalid."""
    try:
        given = orjson.loads(path.read_bytes())
    except OSError as error:
        raise _refused(f"{path} cannot be read: {error.strerror}", "fleet_file") from error
    except orjson.JSONDecodeError as error:
        raise _refused(f"{path}, line {error.lineno}: this is no JSON: {error.msg}", "fleet_file") from error
    if not isinstance(given, list) or not given:
        raise _refused(f"{path}: expected a list of groups of hosts", "fleet_file")
    return _made([_group(f"{path}, group {number}", each) for number, each in enumerate(given, 1)])


def of_this_cloud(*, occupied: bool = False) -> Fleet:
    """The hosts that take instances now; empty, or `occupied` as far as they are. Only reads."""
    facts = hosts.scheduling_facts()
    stock: dict[Any, dict[str, Units]] = {}
    for host_id, name, capacity, used, least, most, step in placement.scheduling_stock():
        stock.setdefault(host_id, {})[name] = Units(capacity, used if occupied else 0, least, most, step)
    traits = placement.scheduling_traits()
    found = [
        SimulatedHost(fact.name, fact.zone, stock[fact.id], tuple(traits.get(fact.id, "").split()))
        for fact in facts
        if fact.enabled and fact.zone_enabled and fact.state == HostState.UP and fact.id in stock
    ]
    if not found:
        raise _refused(f"this installation has no host that takes instances ({len(facts)} are enrolled)", "fleet_of_this_cloud")
    return Fleet(found, len(facts) - len(found))


def _made(groups: Sequence[tuple[int, dict[str, int], str, tuple[str, ...]]]) -> Fleet:
    if not 1 <= (count := sum(each[0] for each in groups)) <= MOST_HOSTS:
        raise _refused(f"expected 1 to {MOST_HOSTS} hosts, got {count}", "hosts")
    found: list[SimulatedHost] = []
    for number, shape, zone, traits in groups:
        stock = {name: Units(amount) for name, amount in shape.items()}
        found += [SimulatedHost(f"host-{len(found) + n + 1}", zone, stock, traits) for n in range(number)]
    return Fleet(found)


def _shape(text: str, field: str) -> dict[str, int]:
    shape: dict[str, int] = {}
    for part in text.split(","):
        given, _, amount = part.partition("=")
        name, value = class_named(given.strip()), amount_of(amount.strip())
        if not name or not value or name in shape:
            raise _refused(f"{part[:64]!r}: expected a resource class and a whole number above 0, each class once, such as {USUAL_HOST}", field)
        shape[name] = value
    return shape


def _group(where: str, given: object) -> tuple[int, dict[str, int], str, tuple[str, ...]]:
    if not isinstance(given, dict) or not set(given) <= _FIELDS or not isinstance(given.get("shape"), dict):
        raise _refused(f"{where}: expected an object with shape, and count, zone, traits as wanted", "fleet_file")
    count, zone, traits = amount_of(given.get("count", 1)), given.get("zone", "default"), given.get("traits", [])
    if not count or not isinstance(zone, str) or not 0 < len(zone) <= 64:
        raise _refused(f"{where}: count is a whole number above 0, zone a name of at most 64 characters", "fleet_file")
    if not isinstance(traits, list) or not all(isinstance(each, str) and 0 < len(each) <= 255 for each in traits):
        raise _refused(f"{where}: traits is a list of names", "fleet_file")
    text = ",".join(f"{name}={amount}" for name, amount in given["shape"].items())
    try:
        return count, _shape(text, "fleet_file"), zone, tuple(dict.fromkeys(traits))
    except Invalid as error:
        raise _refused(f"{where}: {error.message.removeprefix('The fleet: ').rstrip('.')}", "fleet_file") from error


def _refused(what: str, field: str) -> Invalid:
    return Invalid("simulation.fleet", f"The fleet: {what}.", field=field)
