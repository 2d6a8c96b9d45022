"""What is kept of a decision, and how it is told to operators and to tenants; without any database."""

import uuid
from io import StringIO
from typing import Any

import pytest
from django.utils import timezone
from rich.console import Console

from apps.scheduler import tuning
from apps.scheduler.explain import kept, nearest, tenants, words, written
from apps.scheduler.explain.tables import tables
from apps.scheduler.filters import WORDS, judge
from apps.scheduler.models import Decision
from apps.scheduler.request import Group, Request
from apps.scheduler.services import choose
from apps.scheduler.states import GroupPolicy
from apps.scheduler.table import HostTable
from tests.support.tables import AMOUNTS, FixedFeed, aggregate, host_id, make_request, make_table

ASKED = "2 vCPUs, 1024 MiB of memory and 10 GiB of disk"
OTHER = uuid.uuid4()
FAST, THEIRS = aggregate(3, net="fast"), aggregate(2, projects=[OTHER])


def decided(table: HostTable, request: Request | None = None, **fields: Any) -> Decision:
    choice = choose.decide(table, request or make_request(**fields), tuning.current())
    return choose.row_of(None, choice)


def advice(table: HostTable, **fields: Any) -> list[tuple[str, str]]:
    return [(each.text, each.fix) for each in words.nearest(decided(table, **fields))]


# What is kept.


def test_every_host_has_a_verdict_and_every_filter_a_step() -> None:
    decision = decided(make_table({"up": False}, {}, {"zone": "b"}, {"VCPU": 1}), zone="a")
    assert [(each.reason, each.hosts, each.names) for each in kept.verdicts_of(decision)] == [
        ("down", 1, ["host0"]), ("zone", 1, ["host2"]), ("VCPU", 1, ["host3"]), ("passed", 1, ["host1"]),
    ]
    steps = {each.filter: (each.before, each.after) for each in kept.steps_of(decision)}
    assert (steps["down"], steps["zone"], steps["VCPU"], steps["DISK_GB"]) == ((4, 3), (3, 2), (2, 1), (1, 1))
    before = decision.hosts
    for each in kept.steps_of(decision):
        assert each.before == before
        before = each.after
    assert words.outcome(decision) == "host1 was chosen: it is the only one that fits."
    assert kept.misses_of(decision) == []


@pytest.mark.parametrize(("hosts", "named"), [(200, 100), (202, 20)])
def test_beyond_200_hosts_some_are_named_and_all_are_counted(hosts: int, named: int) -> None:
    decision = decided(make_table(*({"up": number % 2 == 0} for number in range(hosts))))
    assert [(each.hosts, len(each.names)) for each in kept.verdicts_of(decision)] == [(hosts // 2, named)] * 2
    assert decision.hosts == hosts
    assert hosts == 200 or len(decision.verdicts) < 1000


def test_what_the_best_weigh_and_who_is_left_for_a_retry_is_kept() -> None:
    decision = decided(make_table(*({"MEMORY_MB": 2000 * number} for number in range(1, 9))))
    best = kept.best_of(decision)
    assert best[0]["host"] == "host7" and len(best) == 5
    assert best[0]["weight"] == pytest.approx(sum(best[0]["weights"].values()), abs=0.001)
    assert [each["weight"] for each in best] == sorted((each["weight"] for each in best), reverse=True)
    assert decision.host_name not in [name for _, name in kept.alternates_of(decision)]
    assert len(kept.alternates_of(decision)) == 3


def test_a_request_is_kept_without_what_it_does_not_ask_for_and_told_in_a_line() -> None:
    group = Group(uuid.uuid4(), GroupPolicy.ANTI_AFFINITY, 1, {})
    asked = written.request(make_request(zone="a", required_traits=frozenset("B"), group=group, avoided=frozenset([host_id(1)])))
    assert set(asked) == {"amounts", "zone", "excluded", "required_traits", "avoided_hosts", "group"}
    assert words.asked(asked) == f"{ASKED.replace(' and ', ', ')}, in zone a, with B, in a server group (anti-affinity), not on 1 host named"


# The nearest misses.


def test_too_little_memory_says_how_much_where_and_what_would_help() -> None:
    [(text, fix)] = advice(make_table({"MEMORY_MB": 100}, {"MEMORY_MB": 900, "zone": "b"}))
    assert text == "memory: needs 1024 MiB, best free 900 MiB on host1 in zone b"
    assert fix == (
        "free 124 MiB of memory on host1, raise its ratio (manage.py inventory_set host1 MEMORY_MB --ratio …), "
        "or take a flavor with at most 900 MiB"
    )


def test_hosts_with_enough_that_one_thing_stands_against_come_first_and_the_most_of_them_before() -> None:
    table = make_table(
        {"MEMORY_MB": 1, "VCPU": 1}, {"enabled": False}, {"enabled": False}, {"enabled": False}, {"MEMORY_MB": 500}, {"MEMORY_MB": 600},
        {"up": False, "enabled": False, "zone": "b"},
    )
    assert [each.filters for each in nearest.misses(table, make_request(), builds_per_host=0)] == [
        ["disabled"], ["MEMORY_MB"], ["down", "disabled"], ["VCPU", "MEMORY_MB"],
    ]
    [(disabled, enable), (memory, _), *_] = advice(table)
    assert disabled == "3 hosts with enough are disabled: host1, host2, host3"
    assert enable == "enable one: manage.py host_enable host1"
    assert memory == "memory: needs 1024 MiB, best free 600 MiB on host5 in zone a"


@pytest.mark.parametrize(
    ("host", "fields", "text", "fix"),
    [
        ({"up": False}, {}, "is down", "agent of host0"),
        ({"zone": "b"}, {"zone": "a"}, "is in another zone (b)", "ask for the zone b"),
        ({"zone_enabled": False}, {}, "is in a disabled zone (a)", "zone_update a --enable"),
        ({"traits": "A"}, {"required_traits": frozenset("AB")}, "lacks B", "provider_trait_set"),
        ({"traits": "A"}, {"forbidden_traits": frozenset("A")}, "has the forbidden A", "do not forbid"),
        ({}, {"wires": frozenset(["physnet9"])}, "is not plugged into physnet9", "plug one"),
        ({}, {"host_metadata": {"net": "fast"}}, "is in no aggregate with net=fast", "aggregate_add_host"),
        ({"aggregates": [THEIRS]}, {"project_id": uuid.uuid4()}, f"is kept for other projects by the aggregate {THEIRS.name}", "aggregate_set"),
        ({}, {"hosts": frozenset([host_id(9)])}, "is not among the hosts asked for", "no host by name"),
        ({}, {"avoided": frozenset([host_id(0)])}, "is to be avoided", "avoid fewer"),
        ({}, {"excluded": frozenset([host_id(0)])}, "has failed to build it before", "timeline"),
        ({"networked": False}, {}, "has an agent too old for networks", "upgrade"),
    ],
)
def test_each_thing_that_stands_against_a_host_has_words_and_a_way_out(host: dict[str, Any], fields: dict[str, Any], text: str, fix: str) -> None:
    [(told, helps)] = advice(make_table(host, aggregates=[FAST, THEIRS]), **fields)
    assert told.endswith(f"{text}: host0")
    assert fix in helps


def test_the_misses_are_found_by_every_filter_and_not_by_the_first() -> None:
    """The same by a loop over single hosts."""
    kinds: list[dict[str, Any]] = [{"up": False}, {"enabled": False}, {"VCPU": 1}, {"MEMORY_MB": 3}, {"zone": "b"}]
    hosts = [dict(pair for bit, kind in enumerate(kinds) if number >> bit & 1 for pair in kind.items()) for number in range(1, 32)]
    request = make_request(zone="a")
    names = ["down", "disabled", "zone", "VCPU", "MEMORY_MB"]
    by_kind = dict(zip(names, [kinds[0], kinds[1], kinds[4], kinds[2], kinds[3]], strict=True))
    table = make_table(*({"zone": "a", **host} for host in hosts))
    for miss in nearest.misses(table, request, builds_per_host=0):
        alone = {key: value for name in miss.filters for key, value in by_kind[name].items()}
        assert miss.names == [f"host{hosts.index(alone)}"] and miss.hosts == 1


def test_amounts_that_no_single_piece_can_have_are_told_apart_from_what_is_not_free() -> None:
    [(text, _)] = advice(make_table({"units": {"VCPU": (1, 1, 1)}}))
    assert text == "vCPUs: needs 2, at most 1 at once on host0 in zone a"
    [(text, _)] = advice(make_table({"units": {"VCPU": (1, 9, 4)}}))
    assert text == "vCPUs: needs 2, only multiples of 4 on host0 in zone a"
    [(text, _)] = advice(make_table({}), amounts={"CUSTOM_GPU": 1})
    assert text == "CUSTOM_GPU: needs 1, best free 0 on host0 in zone a"


# Tenants.


@pytest.mark.parametrize(
    ("hosts", "fields", "text"),
    [
        ([{"MEMORY_MB": 5}], {}, f"No host has room for {ASKED} at the moment."),
        ([{"VCPU": 1}, {"zone": "b"}], {"zone": "a"}, f"No host has room for {ASKED} in zone a at the moment."),
        ([{"zone": "b"}], {"zone": "a"}, f"No host fits {ASKED} in zone a at the moment: all are in another zone."),
        ([{"up": False}, {"enabled": False}], {}, f"No host is available for {ASKED} at the moment."),
        (
            [{"up": False}, {"zone": "b"}], {"zone": "a"},
            f"No host fits {ASKED} in zone a at the moment: some are in another zone, some are not available.",
        ),
        (
            [{"up": False}, {"VCPU": 1}, {}], {"required_traits": frozenset("A")},
            f"No host fits {ASKED} at the moment: some lack a required trait, some are not available.",
        ),
        ([], {}, "No host is enrolled yet."),
    ],
)
def test_tenants_are_told_what_they_asked_for_and_kinds_of_reasons(hosts: list[dict[str, Any]], fields: dict[str, Any], text: str) -> None:
    assert decided(make_table(*({"zone": "a", **host} for host in hosts)), **fields).summary == text


def test_what_tenants_are_told_does_not_change_with_what_others_have() -> None:
    """Neither names of hosts and wires, nor how many hosts there are, how much is free on them, or why they are out."""
    told = set()
    for free, count, why in ((0, 1, "up"), (900, 1, "up"), (1, 7, "enabled"), (1000, 40, "zone_enabled")):
        table = make_table(*[{"MEMORY_MB": free}] * count, *[{why: False}] * count)
        decision = decided(table, wires=frozenset(["physnet7"])) if not free else decided(table)
        told.add((decision.summary, *tenants.kinds_of(decision)))
        assert "host0" not in decision.summary and "physnet7" not in decision.summary
    assert len(told) == 2  # with the wire and without


def test_who_got_a_host_is_told_neither_which_nor_among_how_many() -> None:
    decisions = [decided(make_table(*[{}] * count, {"up": False})) for count in (1, 30)]
    assert {decision.summary for decision in decisions} == {f"a host was found for {ASKED}"}
    assert [tenants.kinds_of(decision) for decision in decisions] == [[], []]


def test_every_filter_is_of_a_kind() -> None:
    for name in WORDS:
        assert tenants.kinds([name]) != [tenants.CAPACITY], name
    assert tenants.kinds(["MEMORY_MB", "down", "disabled"]) == [tenants.CAPACITY, tenants.UNAVAILABLE]


# The shell.


def test_the_funnel_has_a_bar_for_every_filter() -> None:
    decision = decided(make_table(*[{}] * 6, *[{"up": False}] * 6))
    decision.at = timezone.now()
    console = Console(file=StringIO(), width=200)
    for each in tables(decision, most_hosts=4):
        console.print(each)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    lines = {line.split("  ")[0]: line for line in text.splitlines()}
    assert lines["looked at"].count("█") == 30
    assert (lines["down"].count("█"), lines["down"].count("░")) == (15, 15)
    assert "weights of the best" in text and f"{decision.host_name} was chosen" in text
    assert "and 4 more" in text


def test_hosts_are_not_judged_twice_when_something_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "misses", None)
    monkeypatch.setattr(choose, "feed", FixedFeed(make_table({}, {"up": False})))
    (choice,) = choose.choose([make_request()], kept=False)
    assert (choice.host_name, choice.judged.refused) == ("host0", judge(make_table({}, {"up": False}), make_request()).refused)
    assert dict(choice.request.amounts) == AMOUNTS
