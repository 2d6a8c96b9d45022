"""Filters on columns agree with a plain reading of one host after the other, and the table forgets nothing when hosts come and go."""

import uuid
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.scheduler.filters import PASSED, judge
from apps.scheduler.request import Group, Request
from apps.scheduler.states import GroupPolicy
from apps.scheduler.table import HostTable
from tests.support.tables import AMOUNTS, ROOMY, aggregate, host_id, make_request, make_table

PROJECTS = [uuid.UUID(int=number) for number in (1, 2)]
KINDS = [
    aggregate(1), aggregate(2, projects=PROJECTS[:1]), aggregate(3, projects=PROJECTS), aggregate(4, disk="ssd", rack="1"),
    aggregate(5, disk="hdd"), aggregate(6, rack="1"),
]
TRAITS = ["A", "B", "C", *(f"T{number}" for number in range(60, 70)), "HW_ARCH_X86_64", "HW_ARCH_AARCH64", "CUSTOM_VIRT_KVM", "CUSTOM_VIRT_TCG"]
WIRES, ZONES, MOST = ["blue", "red"], ["a", "b", ""], 6
DEFAULTS: dict[str, Any] = {
    **ROOMY, "up": True, "enabled": True, "zone_enabled": True, "networked": True, "zone": "a", "hypervisor": "libvirt", "traits": "",
    "aggregates": (), "wires": (), "building": 0, "units": {},
}

few = st.integers(0, 6)
units = st.tuples(st.integers(1, 2), st.integers(1, 6), st.integers(1, 3))


def some(**strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Three of these at most: with more, next to nothing would pass, and the last filters would never be asked."""
    return st.sets(st.sampled_from(sorted(strategies)), max_size=3).flatmap(
        lambda names: st.fixed_dictionaries({name: strategies[name] for name in sorted(names)})
    )


hosts = some(
    up=st.booleans(), enabled=st.booleans(), zone_enabled=st.booleans(), networked=st.booleans(), zone=st.sampled_from(ZONES),
    hypervisor=st.sampled_from(["libvirt", "QEMU", "simulated"]), traits=st.sets(st.sampled_from(TRAITS)).map(" ".join),
    aggregates=st.sets(st.sampled_from(range(len(KINDS)))).map(lambda found: tuple(KINDS[number] for number in sorted(found))),
    wires=st.sets(st.sampled_from(WIRES)).map(tuple), building=few, VCPU=st.integers(-1, 6), MEMORY_MB=few, DISK_GB=few,
    CUSTOM_GPU=few, units=st.dictionaries(st.sampled_from(["VCPU", "CUSTOM_GPU"]), units),
)
ids = st.frozensets(st.integers(0, MOST).map(host_id), max_size=3)
groups = st.builds(
    Group, st.just(uuid.UUID(int=9)), st.sampled_from(GroupPolicy), st.integers(1, 2),
    st.dictionaries(st.integers(0, MOST).map(host_id), st.integers(1, 3), max_size=3),
)
requests = some(
    amounts=st.dictionaries(st.sampled_from(["VCPU", "MEMORY_MB", "DISK_GB", "CUSTOM_GPU"]), few),
    project_id=st.sampled_from([*PROJECTS, uuid.UUID(int=3), None]), zone=st.sampled_from([*ZONES, "nowhere"]),
    required_traits=st.frozensets(st.sampled_from([*TRAITS, "UNHEARD_OF"]), max_size=2),
    forbidden_traits=st.frozensets(st.sampled_from([*TRAITS, "UNHEARD_OF"]), max_size=2),
    host_metadata=st.dictionaries(st.sampled_from(["disk", "rack"]), st.sampled_from(["ssd", "hdd", "1"])),
    architecture=st.sampled_from(["x86_64", "aarch64", "riscv64"]), hypervisor_type=st.sampled_from(["kvm", "qemu", "simulated", "xen"]),
    group=groups, hosts=ids, avoided=ids, excluded=ids, wires=st.frozensets(st.sampled_from([*WIRES, "green"]), max_size=2),
)


def verdict(key: uuid.UUID, host: Mapping[str, Any], request: Request, builds_per_host: int) -> str:
    """The reason of one host, as anybody would write it down."""
    host = {**DEFAULTS, **host}
    traits = set(host["traits"].split())
    kinds = host["aggregates"]
    has_arch = {name for name in traits if name.startswith("HW_ARCH_")}
    runs = {host["hypervisor"].lower()}
    runs |= {"kvm", "qemu"} if "CUSTOM_VIRT_KVM" in traits else {"qemu"} if "CUSTOM_VIRT_TCG" in traits else set()
    group = request.group
    members = group.hosts.get(key, 0) if group else 0
    asks = [
        ("down", host["up"]), ("disabled", host["enabled"]), ("zone disabled", host["zone_enabled"]),
        ("zone", not request.zone or host["zone"] == request.zone), ("not asked for", not request.hosts or key in request.hosts),
        ("avoided", key not in request.avoided), ("failed before", key not in request.excluded),
        ("project", all(not kind.project_ids or request.project_id in kind.project_ids for kind in kinds)),
        ("metadata", all(any(kind.metadata.get(name) == value for kind in kinds) for name, value in request.host_metadata.items())),
        ("image", not request.architecture or not has_arch or f"HW_ARCH_{request.architecture.upper()}" in has_arch),
        ("image", not request.hypervisor_type or request.hypervisor_type in runs),
        ("traits", request.required_traits <= traits), ("forbidden traits", not request.forbidden_traits & traits),
        ("no networks", host["networked"]), ("wire", request.wires <= set(host["wires"] if host["networked"] else ())),
        *((name, not amount or _gives(host, name, amount)) for name, amount in request.amounts.items()),
        ("affinity", group is None or group.policy != "affinity" or not group.hosts or members > 0),
        ("anti-affinity", group is None or group.policy != "anti-affinity" or members < group.max_per_host),
        ("building", not builds_per_host or host["building"] < builds_per_host),
    ]
    return next((reason for reason, passed in asks if not passed), "passed")


def _gives(host: Mapping[str, Any], name: str, amount: int) -> bool:
    least, most, step = host["units"].get(name, (1, 2**31 - 1, 1))
    return bool(name in host and host[name] >= amount and least <= amount <= most and amount % step == 0)


def verdicts(table: HostTable, request: Request, builds_per_host: int) -> dict[uuid.UUID, str]:
    judged = judge(table, request, builds_per_host=builds_per_host)
    return {
        key: "passed" if judged.verdicts[row] == PASSED else judged.names[judged.verdicts[row]] for key, row in table.index.items()
    }


@settings(max_examples=300)
@given(st.lists(hosts, max_size=MOST), requests, st.integers(0, 3))
def test_every_verdict_is_the_one_that_a_look_at_the_host_alone_gives(rows: list[dict[str, Any]], asked: dict[str, Any], builds: int) -> None:
    request = make_request(**{"amounts": {}, **asked})
    expected = {host_id(number): verdict(host_id(number), row, request, builds) for number, row in enumerate(rows)}
    judged = judge(make_table(*rows, aggregates=KINDS), request, builds_per_host=builds)
    assert verdicts(make_table(*rows, aggregates=KINDS), request, builds) == expected
    assert judged.counts == {reason: list(expected.values()).count(reason) for reason in expected.values()}
    assert judged.hosts == len(rows)


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, MOST - 1), st.none() | hosts), min_size=1, max_size=15), requests)
def test_it_makes_no_difference_in_which_order_hosts_came_changed_and_went(steps: list[tuple[int, Any]], asked: dict[str, Any]) -> None:
    table, there = make_table(aggregates=KINDS), dict[int, dict[str, Any]]()
    for number, row in steps:
        there.pop(number, None)
        if row is None:
            table.remove([host_id(number)])
        else:
            there[number] = row
            put(table, number, row)
    request = make_request(**{"amounts": {}, **asked})
    assert verdicts(table, request, 0) == {host_id(number): verdict(host_id(number), row, request, 0) for number, row in there.items()}
    fresh = make_table(aggregates=KINDS)
    for number, row in there.items():
        put(fresh, number, row)
    assert table.facts() == fresh.facts()


def put(table: HostTable, number: int, row: dict[str, Any]) -> None:
    """As `feed` reads one host afresh: everything of it anew."""
    make_table(row, aggregates=KINDS, first=number, into=table)


def test_what_a_host_has_no_longer_is_forgotten() -> None:
    rich = {"wires": ("blue", "red"), "traits": "A B T60", "aggregates": tuple(KINDS[:3]), "CUSTOM_GPU": 2, "VCPU": 9, "building": 2}
    poor = {"wires": (), "traits": "B", "aggregates": (KINDS[1],), "VCPU": 3}
    table = make_table(rich, rich, aggregates=KINDS)
    put(table, 0, poor)
    table.remove([host_id(1)])
    assert table.facts() == make_table(poor).facts()
    put(table, 2, poor)
    assert table.rows == 2, "the place of one that is gone is taken again"
    assert table.facts()[host_id(2)] == make_table({}, {}, poor).facts()[host_id(2)]


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 200])
def test_a_table_grows_as_hosts_come(count: int) -> None:
    table = make_table(aggregates=KINDS)
    for number in range(count):
        put(table, number, {"VCPU": number})
    assert (len(table), table.rows) == (count, count)
    assert judge(table, make_request(amounts={**AMOUNTS, "VCPU": 60})).passing.tolist() == list(range(60, count))
