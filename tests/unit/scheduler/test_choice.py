"""Weighers and the choice, without any database."""

import uuid
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from django.conf import settings

from apps.scheduler import tuning
from apps.scheduler.request import Group
from apps.scheduler.services import choose
from apps.scheduler.services.choose import Choice
from apps.scheduler.states import GroupPolicy
from apps.scheduler.weighers import WEIGHERS, weigh
from tests.support.tables import FixedFeed, host_id, make_request, make_table

ONLY = dict.fromkeys((each.name for each in WEIGHERS), 0.0)


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> FixedFeed:
    """The hosts that the scheduler sees; also when it reads them anew."""
    made = FixedFeed(make_table(*getattr(request, "param", [{}, {}, {}])))
    monkeypatch.setattr(choose, "feed", made)
    return made


def tuned(**values: Any) -> tuning.Tuning:
    return replace(tuning.current(), **values)


def one(**fields: Any) -> Choice:
    (choice,) = choose.choose([make_request(**fields)])
    return choice


def weights(name: str, *hosts: dict[str, Any], **fields: Any) -> list[float]:
    table = make_table(*hosts)
    found: list[float] = weigh(table, np.arange(len(hosts)), make_request(**fields), {**ONLY, name: 1.0}).total.tolist()
    return found


# Weighers.


@pytest.mark.parametrize(
    ("name", "hosts", "expected"),
    [
        ("memory", [{"MEMORY_MB": 500}, {"MEMORY_MB": 1000}, {"MEMORY_MB": 0}], [0.5, 1.0, 0.0]),
        ("cpu", [{"VCPU": 16}, {"VCPU": 64}], [0.25, 1.0]),
        ("disk", [{"DISK_GB": 1}, {"DISK_GB": 2}], [0.5, 1.0]),
        ("load", [{"load": 0}, {"load": 50}, {"load": 900}], [0.0, -0.5, -1.0]),
        ("building", [{"building": 0}, {"building": 2}], [0.0, -0.25]), ("building", [{"building": 4}, {"building": 16}], [-0.25, -1.0]),
        ("failures", [{"failures": 0}, {"failures": 1}], [0.0, -1 / 3]), ("failures", [{"failures": 3}, {"failures": 30}], [-0.1, -1.0]),
    ],
)
def test_each_weigher_says_a_share_of_the_most(name: str, hosts: list[dict[str, Any]], expected: list[float]) -> None:
    assert weights(name, *hosts) == expected


@pytest.mark.parametrize(
    ("policy", "expected"), [(GroupPolicy.SOFT_AFFINITY, [1.0, 0.5, 0.0]), (GroupPolicy.SOFT_ANTI_AFFINITY, [0.0, 0.5, 1.0])]
)
def test_company_of_a_soft_group_is_sought_or_shunned(policy: GroupPolicy, expected: list[float]) -> None:
    group = Group(uuid.uuid4(), policy, 1, {host_id(0): 4, host_id(1): 2})
    assert weights("affinity", {}, {}, {}, group=group) == expected


def test_hosts_without_anything_free_weigh_nothing() -> None:
    assert weights("memory", {"MEMORY_MB": 0}, {"MEMORY_MB": -10}) == [0.0, 0.0]
    assert weights("memory", {"MEMORY_MB": 10}, {"MEMORY_MB": -10}) == [1.0, 0.0]


# The choice.


@pytest.mark.parametrize("feed", [[{}, {"wires": ("physnet1",)}, {"wires": ("physnet1", "physnet2")}]], indirect=True)
def test_only_hosts_on_all_wires_that_the_network_needs_are_chosen(feed: FixedFeed) -> None:
    assert one(wires=frozenset({"physnet1", "physnet2"})).host_name == "host2"
    choice = one(wires=frozenset({"elsewhere"}))
    assert choice.host_id is None
    assert "all have no way into its networks" in choice.summary
    assert "elsewhere" not in choice.summary


@pytest.mark.parametrize("feed", [[{"MEMORY_MB": 2000}, {"MEMORY_MB": 60000}, {"MEMORY_MB": 3000}]], indirect=True)
def test_the_host_with_clearly_most_memory_is_chosen_and_the_others_are_its_alternates(feed: FixedFeed) -> None:
    choice = one()
    assert choice.host_name == "host1"
    assert choice.alternates == [(host_id(2), "host2"), (host_id(0), "host0")]
    assert [(weight.host_name, weight.free_memory_mb) for weight in choice.best] == [("host1", 60000), ("host2", 3000), ("host0", 2000)]
    assert choice.best[0].total == pytest.approx(sum(choice.best[0].parts.values()))


@pytest.mark.parametrize("feed", [[{"MEMORY_MB": 2000}, {"MEMORY_MB": 60000}, {"MEMORY_MB": 3000}]], indirect=True)
def test_packing_takes_the_fullest_host_that_fits(feed: FixedFeed) -> None:
    packing = tuned(multipliers={"memory": -1.0}, among=1)
    assert [choice.host_name for choice in choose.choose([make_request() for _ in range(4)], tuned=packing)] == ["host0", "host2", "host2", "host1"]


def test_the_multipliers_are_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = replace(settings.ENV, scheduler_weight_memory=-3.0, scheduler_among=7, scheduler_builds_per_host=2)
    monkeypatch.setattr(settings, "ENV", changed)
    found = tuning.current()
    assert (found.multipliers["memory"], found.among, found.builds_per_host) == (-3.0, 7, 2)
    assert set(found.multipliers) == {each.name for each in WEIGHERS}


@pytest.mark.parametrize("feed", [[{} for _ in range(40)]], indirect=True)
def test_among_equals_schedulers_go_separate_ways(feed: FixedFeed) -> None:
    chosen = {choose.choose([make_request()], kept=False)[0].host_name for _ in range(400)}
    assert len(chosen) > 30


@pytest.mark.parametrize("feed", [[{"MEMORY_MB": 65536 - 10 * number} for number in range(20)]], indirect=True)
def test_the_choice_is_among_the_best_few_only(feed: FixedFeed) -> None:
    only_memory = tuned(multipliers={"memory": 1.0}, among=3)
    chosen = {choose.choose([make_request()], kept=False, tuned=only_memory)[0].host_name for _ in range(100)}
    assert chosen == {"host0", "host1", "host2"}
    best = {choose.choose([make_request()], kept=False, tuned=replace(only_memory, among=1))[0].host_name for _ in range(20)}
    assert best == {"host0"}


@pytest.mark.parametrize("feed", [[{"MEMORY_MB": 2048}, {"MEMORY_MB": 1024}]], indirect=True)
def test_each_choice_counts_for_the_next(feed: FixedFeed) -> None:
    choices = choose.choose([make_request() for _ in range(4)])
    assert sorted(choice.host_name for choice in choices[:3]) == ["host0", "host0", "host1"]
    assert choices[3].host_id is None
    assert choices[3].summary == "No host has room for 2 vCPUs, 1024 MiB of memory and 10 GiB of disk at the moment."
    assert sorted(feed.doubted) == [host_id(0), host_id(0), host_id(1)]


def test_in_a_batch_members_of_a_group_see_each_other(feed: FixedFeed) -> None:
    apart = Group(uuid.uuid4(), GroupPolicy.ANTI_AFFINITY, 1, {})
    choices = choose.choose([make_request(group=apart) for _ in range(4)])
    assert {choice.host_name for choice in choices[:3]} == {"host0", "host1", "host2"}
    assert choices[3].summary == "No host fits 2 vCPUs, 1024 MiB of memory and 10 GiB of disk at the moment: all have others of its server group."
    together = Group(uuid.uuid4(), GroupPolicy.AFFINITY, 1, {})
    assert len({choice.host_name for choice in choose.choose([make_request(group=together) for _ in range(9)])}) == 1


def test_builds_of_a_batch_count_and_who_finds_all_hosts_building_may_wait(feed: FixedFeed) -> None:
    choices = choose.choose([make_request() for _ in range(7)], tuned=tuned(builds_per_host=2))
    names = [choice.host_name for choice in choices[:6]]
    assert sorted(names) == ["host0", "host0", "host1", "host1", "host2", "host2"]
    assert (choices[6].host_id, choices[6].busy) == (None, True)
    assert not one(amounts={"VCPU": 1000}).busy


def test_a_choice_that_is_not_kept_leaves_no_trace(feed: FixedFeed) -> None:
    before = feed.table.facts()
    choose.choose([make_request() for _ in range(5)], kept=False)
    assert feed.table.facts() == before


def test_an_alternate_is_taken_as_long_as_it_fits(feed: FixedFeed) -> None:
    left = (host_id(2), uuid.uuid4(), host_id(0))
    choice = one(alternates=left, excluded=frozenset({host_id(1)}))
    assert (choice.host_name, choice.retaken, choice.best) == ("host2", True, [])
    assert choice.alternates == [(host_id(0), "host0")]
    choice = one(alternates=left, excluded=frozenset({host_id(1), host_id(2)}))
    assert (choice.host_name, choice.retaken) == ("host0", True)
    choice = one(alternates=left, excluded=frozenset({host_id(0), host_id(2)}))
    assert (choice.host_name, choice.retaken) == ("host1", False)


def test_nobody_is_refused_by_a_table_that_is_old(feed: FixedFeed) -> None:
    feed.table, feed.next = make_table({"VCPU": 0}), make_table({})
    assert one().host_name == "host0"
