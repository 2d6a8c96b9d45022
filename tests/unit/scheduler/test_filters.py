"""Filters, without any database."""

import time
import uuid
from typing import Any

import pytest

from apps.scheduler.filters import FILTERS, GONE, PASSED, WORDS, judge
from apps.scheduler.request import Group, Request
from apps.scheduler.states import GroupPolicy
from apps.scheduler.table import HostTable
from tests.support.tables import AMOUNTS, aggregate, host_id, make_request, make_table

PROJECT, OTHER = uuid.uuid4(), uuid.uuid4()
OURS, THEIRS = aggregate(1, projects=[PROJECT, OTHER]), aggregate(2, projects=[OTHER])
SSD, FAST_NET = aggregate(3, disk="ssd", rack="1"), aggregate(4, net="fast")


def reasons(table: HostTable, request: Request, **options: Any) -> list[str]:
    judged = judge(table, request, **options)
    return ["passed" if verdict == PASSED else judged.names[verdict] for verdict in judged.verdicts]


def group(policy: GroupPolicy, *, most: int = 1, **hosts: int) -> Group:
    """`host2=1`: one member is there."""
    return Group(uuid.uuid4(), policy, most, {host_id(int(name.removeprefix("host"))): count for name, count in hosts.items()})


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ({}, "passed"), ({"up": False}, "down"), ({"enabled": False}, "disabled"), ({"zone": "b"}, "zone"), ({"VCPU": 1}, "VCPU"),
        ({"zone_enabled": False}, "zone disabled"),
        ({"MEMORY_MB": 1023}, "MEMORY_MB"), ({"DISK_GB": 9}, "DISK_GB"), ({"VCPU": 2, "MEMORY_MB": 1024, "DISK_GB": 10}, "passed"),
        ({"MEMORY_MB": -5}, "MEMORY_MB"), ({"networked": False}, "no networks"), ({"wires": ("physnet1",)}, "passed"),
        ({"units": {"VCPU": (1, 1, 1)}}, "VCPU"), ({"units": {"VCPU": (1, 2, 1)}}, "passed"),
        ({"units": {"VCPU": (3, 9, 1)}}, "VCPU"), ({"units": {"MEMORY_MB": (1, 9999, 1000)}}, "MEMORY_MB"),
        ({"units": {"MEMORY_MB": (1, 9999, 512)}}, "passed"),
    ],
)
def test_a_host_passes_or_fails_with_its_reason(host: dict[str, Any], reason: str) -> None:
    assert reasons(make_table(host), make_request(zone="a")) == [reason]


def test_the_verdict_is_the_first_filter_that_fails() -> None:
    host = {"up": False, "enabled": False, "zone": "b", "VCPU": 0}
    order = []
    for cure in ({"up": True}, {"enabled": True}, {"zone": "a"}, {"VCPU": 64}):
        order += reasons(make_table(host), make_request(zone="a"))
        host |= cure
    assert order == ["down", "disabled", "zone", "VCPU"]
    assert reasons(make_table(host), make_request(zone="a")) == ["passed"]


def test_without_a_zone_every_zone_will_do_and_a_zone_without_hosts_has_none() -> None:
    table = make_table({"zone": "b"}, {"zone": ""})
    assert reasons(table, make_request()) == ["passed", "passed"]
    assert reasons(table, make_request(zone="c")) == ["zone", "zone"]


def test_a_host_that_failed_before_is_left_out_and_one_that_is_gone_is_no_error() -> None:
    request = make_request(excluded=frozenset({host_id(1), uuid.uuid4()}))
    assert reasons(make_table({}, {}, {}), request) == ["passed", "failed before", "passed"]


def test_only_hosts_that_were_asked_for_and_none_that_are_to_be_avoided() -> None:
    request = make_request(hosts=frozenset({host_id(0), host_id(1), uuid.uuid4()}), avoided=frozenset({host_id(1)}))
    assert reasons(make_table({}, {}, {}), request) == ["passed", "avoided", "not asked for"]


def test_a_class_that_is_not_asked_for_is_no_obstacle_and_one_that_nobody_has_is_one() -> None:
    assert reasons(make_table({"DISK_GB": 0}), make_request(amounts={"VCPU": 1, "MEMORY_MB": 1, "DISK_GB": 0})) == ["passed"]
    assert reasons(make_table({}), make_request(amounts={"CUSTOM_GPU": 1})) == ["CUSTOM_GPU"]


def test_any_resource_class_counts() -> None:
    table = make_table({}, {"CUSTOM_GPU": 1}, {"CUSTOM_GPU": 2})
    assert reasons(table, make_request(amounts={**AMOUNTS, "CUSTOM_GPU": 2})) == ["CUSTOM_GPU", "CUSTOM_GPU", "passed"]


def test_hosts_of_an_aggregate_with_projects_take_these_only_and_every_such_aggregate_counts() -> None:
    hosts: list[dict[str, Any]] = [{}, {"aggregates": (OURS,)}, {"aggregates": (THEIRS,)}, {"aggregates": (OURS, THEIRS)}, {"aggregates": (SSD,)}]
    table = make_table(*hosts, aggregates=[OURS, THEIRS, SSD])
    assert reasons(table, make_request(project_id=PROJECT)) == ["passed", "passed", "project", "project", "passed"]
    assert reasons(table, make_request(project_id=OTHER)) == ["passed"] * 5
    assert reasons(table, make_request(project_id=uuid.uuid4())) == ["passed", "project", "project", "project", "passed"]


def test_metadata_that_a_flavor_asks_for_may_come_from_several_aggregates() -> None:
    hosts: list[dict[str, Any]] = [{}, {"aggregates": (SSD,)}, {"aggregates": (FAST_NET,)}, {"aggregates": (SSD, FAST_NET)}]
    table = make_table(*hosts, aggregates=[SSD, FAST_NET])
    assert reasons(table, make_request(host_metadata={"disk": "ssd"})) == ["metadata", "passed", "metadata", "passed"]
    assert reasons(table, make_request(host_metadata={"disk": "ssd", "net": "fast"})) == ["metadata"] * 3 + ["passed"]
    assert reasons(table, make_request(host_metadata={"disk": "tape"})) == ["metadata"] * 4


def test_an_image_runs_where_its_architecture_and_hypervisor_are_and_where_nothing_is_said_of_the_architecture() -> None:
    table = make_table(
        {"traits": "HW_ARCH_X86_64 CUSTOM_VIRT_KVM"}, {"traits": "HW_ARCH_AARCH64 CUSTOM_VIRT_TCG"}, {}, {"hypervisor": "simulated"},
    )
    assert reasons(table, make_request(architecture="x86_64")) == ["passed", "image", "passed", "passed"]
    assert reasons(table, make_request(hypervisor_type="qemu")) == ["passed", "passed", "image", "image"]
    assert reasons(table, make_request(hypervisor_type="kvm")) == ["passed", "image", "image", "image"]
    assert reasons(table, make_request(hypervisor_type="simulated")) == ["image", "image", "image", "passed"]


def test_traits_are_required_and_forbidden() -> None:
    table = make_table({"traits": "A B"}, {"traits": "A"}, {"traits": "A B C"})
    request = make_request(required_traits=frozenset("AB"), forbidden_traits=frozenset("CX"))
    assert reasons(table, request) == ["passed", "traits", "forbidden traits"]
    assert reasons(table, make_request(required_traits=frozenset({"UNHEARD_OF"}))) == ["traits"] * 3


def test_more_traits_than_fit_in_a_word_are_told_apart() -> None:
    table = make_table(*({"traits": f"T{number} ALL"} for number in range(200)))
    for number in (0, 62, 63, 64, 65, 127, 128, 199):
        assert judge(table, make_request(required_traits=frozenset({f"T{number}", "ALL"}))).passing.tolist() == [number]
    assert len(judge(table, make_request(forbidden_traits=frozenset({"T64", "T63"}))).passing) == 198


def test_members_of_an_affinity_group_go_where_the_others_are() -> None:
    table = make_table({}, {}, {})
    assert reasons(table, make_request(group=group(GroupPolicy.AFFINITY))) == ["passed"] * 3
    assert reasons(table, make_request(group=group(GroupPolicy.AFFINITY, host1=2))) == ["affinity", "passed", "affinity"]


def test_members_of_an_anti_affinity_group_keep_to_so_many_on_a_host() -> None:
    table = make_table({}, {}, {})
    members = {"host0": 1, "host1": 2}
    assert reasons(table, make_request(group=group(GroupPolicy.ANTI_AFFINITY, **members))) == ["anti-affinity"] * 2 + ["passed"]
    assert reasons(table, make_request(group=group(GroupPolicy.ANTI_AFFINITY, most=2, **members))) == ["passed", "anti-affinity", "passed"]


@pytest.mark.parametrize("policy", [GroupPolicy.SOFT_AFFINITY, GroupPolicy.SOFT_ANTI_AFFINITY])
def test_soft_groups_refuse_nobody(policy: GroupPolicy) -> None:
    assert reasons(make_table({}, {}), make_request(group=group(policy, host0=5))) == ["passed", "passed"]


def test_a_host_has_so_many_builds_at_once_and_without_a_limit_any_number() -> None:
    table = make_table({"building": 1}, {"building": 2}, {"building": 3})
    assert reasons(table, make_request(), builds_per_host=2) == ["passed", "building", "building"]
    assert reasons(table, make_request()) == ["passed"] * 3


def test_hosts_left_after_each_filter_are_counted_and_a_host_that_is_gone_is_not() -> None:
    table = make_table({"up": False}, {"VCPU": 0}, {"VCPU": 0}, {}, {})
    table.remove([host_id(4)])
    judged = judge(table, make_request())
    assert judged.hosts == 4
    assert dict(zip(judged.names, judged.left, strict=True)) == {
        "down": 3, "disabled": 3, "zone disabled": 3, "no networks": 3, "VCPU": 1, "MEMORY_MB": 1, "DISK_GB": 1,
    }
    assert (judged.refused, judged.counts) == ({"down": 1, "VCPU": 2}, {"down": 1, "VCPU": 2, "passed": 1})
    assert judged.verdicts.tolist()[3:] == [PASSED, GONE]


def test_of_no_hosts_none_passes() -> None:
    assert reasons(make_table(), make_request()) == []


def test_filters_change_nothing() -> None:
    table = make_table({}, {"up": False})
    before = table.facts()
    judge(table, make_request(required_traits=frozenset("A"), wires=frozenset("w"), zone="new"))
    assert table.facts() == before
    assert table.traits.positions == table.wires.positions == {}


def test_every_filter_has_words() -> None:
    assert all(WORDS[each.name] for each in FILTERS)


def test_ten_thousand_hosts_are_judged_in_a_moment() -> None:
    """It takes a fraction of a millisecond; twenty still fail when somebody writes a loop."""
    table = make_table(*[{"zone": f"z{number % 3}", "traits": "A B"} for number in range(10_000)])
    request = make_request(zone="z1", required_traits=frozenset("A"))
    judge(table, request)
    began = time.process_time()
    for _ in range(20):
        judge(table, request)
    assert (time.process_time() - began) / 20 < 0.02
