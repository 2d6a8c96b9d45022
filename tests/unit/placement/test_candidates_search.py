"""Allocation candidates in a forest: the public reference's own examples, and an oracle that tries everything."""

import random
import uuid
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import example, given, settings

from apps.placement.candidates.query import Candidate, CandidateQuery, Group
from apps.placement.candidates.search import Search
from tests.support.candidates import (
    AGGREGATES,
    LONG,
    SHARES,
    Answer,
    Node,
    all_answers,
    answer,
    forest_of,
    questions,
)

A, B, C = AGGREGATES


def one(name: str) -> frozenset[str]:
    return frozenset({name})


def node(
    number: int, parent: Node | None = None, *traits: str, of: Sequence[uuid.UUID] = (), used: int = 0, **amounts: int
) -> Node:
    key = uuid.UUID(int=number)
    stocks = {name: (amount, used, 1, 2**31 - 1, 1) for name, amount in amounts.items()}
    return Node(key, parent.root_id if parent else key, parent.id if parent else None, stocks, frozenset(traits), frozenset(of))


def search(wanted: CandidateQuery, nodes: Sequence[Node], *, tries: int = 10**6, seed: int = 0) -> Search:
    return Search(wanted, forest_of(nodes), random.Random(seed), tries=tries)


def candidates(wanted: CandidateQuery, nodes: Sequence[Node], **how: int) -> list[Candidate]:
    """As `find` asks: a tree is named by its root."""
    roots = {each.id: each.root_id for each in nodes}
    groups = {}
    for suffix, group in wanted.groups.items():
        if group.in_tree is not None and group.in_tree not in roots:
            return []
        groups[suffix] = replace(group, in_tree=roots[group.in_tree] if group.in_tree else None)
    return list(search(replace(wanted, groups=groups), nodes, **how).candidates(dict.fromkeys(roots.values())))


def answers(wanted: CandidateQuery, nodes: Sequence[Node]) -> set[Answer]:
    found = [answer(each) for each in candidates(wanted, nodes)]
    assert len(found) == len(set(found)), "a candidate was given twice"
    return set(found)


@settings(max_examples=600)
@given(questions())
@example(([node(1, VCPU=1)], CandidateQuery({"": Group({"VCPU": 1})})))
def test_exactly_those_candidates_are_found_that_trying_everything_finds(question: tuple[list[Node], CandidateQuery]) -> None:
    nodes, wanted = question
    assert answers(wanted, nodes) == all_answers(wanted, nodes)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@settings(LONG, max_examples=10_000)
@given(questions())
def test_the_same_holds_in_thousands_of_other_forests(question: tuple[list[Node], CandidateQuery]) -> None:
    nodes, wanted = question
    assert answers(wanted, nodes) == all_answers(wanted, nodes)


# The examples of the reference's page on provider trees, and how many candidates it says there are.

_SHARED = [
    node(1, None, SHARES, of=[A], DISK_GB=1000), node(2, None, SHARES, DISK_GB=1000),
    node(3, of=[A], VCPU=8, MEMORY_MB=1024, DISK_GB=1000), node(4, VCPU=8, MEMORY_MB=1024, DISK_GB=1000),
]
_CN1, _CN2 = node(11, of=[A, B], MEMORY_MB=1024, DISK_GB=1000), node(12, of=[A], MEMORY_MB=1024, DISK_GB=1000)
_NUMA = [
    node(10, None, SHARES, of=[A], DISK_GB=1000), _CN1, _CN2,
    node(13, _CN1, VCPU=8), node(14, _CN1, VCPU=8), node(15, _CN2, of=[B], VCPU=8), node(16, _CN2, VCPU=8),
]
_NIC_HOST = node(20, VCPU=8, MEMORY_MB=1024, DISK_GB=1000)
_NICS = [_NIC_HOST, node(21, _NIC_HOST, "HW_NIC_ACCEL_SSL", SRIOV_NET_VF=8), node(22, _NIC_HOST, SRIOV_NET_VF=8)]
_LOCAL1, _LOCAL2 = node(31, of=[A], DISK_GB=1000), node(32, of=[A], DISK_GB=1000)
_LOCAL = [
    node(29, None, SHARES, of=[A], DISK_GB=1000), node(30, None, SHARES, of=[A], DISK_GB=1000), _LOCAL1, _LOCAL2,
    node(33, _LOCAL1, VCPU=4), node(34, _LOCAL1, VCPU=4), node(35, _LOCAL2, VCPU=4), node(36, _LOCAL2, VCPU=4),
]
_PLAIN = node(40, None, "AVX2", "SSD", "MULTI_ATTACH", "WINDOWS", VCPU=8, MEMORY_MB=1024, DISK_GB=1000)
_SPLIT = node(41, None, "SSD", "MULTI_ATTACH", DISK_GB=1000)
_ROOTS = [_PLAIN, _SPLIT, node(42, _SPLIT, VCPU=4, MEMORY_MB=1024), node(43, _SPLIT, "AVX2", VCPU=4, MEMORY_MB=1024)]
_FPGA_HOST = node(50)
_NUMA0, _NUMA1 = (node(number, _FPGA_HOST, "HW_NUMA_ROOT", VCPU=4, MEMORY_MB=2048) for number in (51, 52))
_FPGAS = [
    _FPGA_HOST, _NUMA0, _NUMA1, node(53, _NUMA0, "TYPE1", FPGA=1), node(54, _NUMA1, "TYPE1", FPGA=1),
    node(55, _NUMA1, "TYPE2", FPGA=1),
]
_USUAL = {"VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 500}
_SMALL = {"VCPU": 1, "MEMORY_MB": 256}


def _usual(**more: object) -> CandidateQuery:
    return CandidateQuery({"": Group(_USUAL, **more)})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("nodes", "wanted", "count"),
    [
        pytest.param(_SHARED, _usual(), 3, id="a provider shares with those of its aggregate"),
        pytest.param(_NUMA, _usual(), 8, id="a provider shares with a whole tree"),
        pytest.param(_NUMA, _usual(member_of=[frozenset({A})]), 8, id="an aggregate of the root spans the tree"),
        pytest.param(_NUMA, _usual(member_of=[frozenset({B})]), 2, id="an aggregate of a child does not"),
        pytest.param(_NUMA, _usual(not_member_of=frozenset({B})), 2, id="forbidden aggregates span likewise"),
        pytest.param(
            _NUMA, CandidateQuery({"1": Group({"VCPU": 1}, member_of=[frozenset({A})])}), 0, id="but not in a group with a suffix"
        ),
        pytest.param(
            _NICS, CandidateQuery({"": Group(_USUAL | {"SRIOV_NET_VF": 2}, required=[one("HW_NIC_ACCEL_SSL")])}), 1,
            id="who gives has the trait",
        ),
        pytest.param(
            _NICS, CandidateQuery({"": Group(_USUAL | {"SRIOV_NET_VF": 2}, forbidden=one("HW_NIC_ACCEL_SSL"))}), 1,
            id="who gives has not the forbidden trait",
        ),
        pytest.param(_NICS, CandidateQuery({"": Group(_USUAL | {"SRIOV_NET_VF": 2})}), 2, id="other traits do not matter"),
        pytest.param(
            _NICS,
            CandidateQuery(
                {
                    "": Group(_USUAL), "1": Group({"SRIOV_NET_VF": 1}, required=[one("HW_NIC_ACCEL_SSL")]),
                    "2": Group({"SRIOV_NET_VF": 1}),
                },
                "isolate",
            ),
            1, id="isolated groups have different providers",
        ),
        pytest.param(
            _NICS,
            CandidateQuery({
                "": Group(_USUAL), "1": Group({"SRIOV_NET_VF": 1}, required=[one("HW_NIC_ACCEL_SSL")]),
                "2": Group({"SRIOV_NET_VF": 1}),
            }),
            2, id="others may have the same",
        ),
        pytest.param(
            _LOCAL, CandidateQuery({"": Group({"VCPU": 1, "DISK_GB": 50}, in_tree=_LOCAL1.id)}), 2, id="in a tree nobody shares"
        ),
        pytest.param(
            _LOCAL, CandidateQuery({"": Group({"VCPU": 1, "DISK_GB": 50}, in_tree=uuid.UUID(int=33))}), 2,
            id="a child names its tree",
        ),
        pytest.param(
            _LOCAL, CandidateQuery({"": Group({"VCPU": 1}, in_tree=_LOCAL1.id), "1": Group({"DISK_GB": 10})}), 6,
            id="a tree binds its own group only",
        ),
        pytest.param(
            _LOCAL, CandidateQuery({"": Group({"VCPU": 1}), "1": Group({"DISK_GB": 10}, in_tree=uuid.UUID(int=29))}), 4,
            id="a tree may be that of who shares",
        ),
        pytest.param(
            _ROOTS,
            CandidateQuery(
                {"1": Group(_SMALL, required=[one("AVX2")]), "2": Group({"DISK_GB": 100})}, root_required=one("MULTI_ATTACH")
            ),
            2, id="the root has the trait, whoever gives",
        ),
        pytest.param(
            _ROOTS, CandidateQuery({"1": Group(_SMALL), "2": Group({"DISK_GB": 100})}, root_forbidden=one("WINDOWS")), 2,
            id="the root has not the forbidden trait",
        ),
        pytest.param(
            _FPGAS,
            CandidateQuery({"_C": Group(_SMALL), "_A": Group({"FPGA": 1})}, same_subtree=[frozenset({"_C", "_A"})]), 3,
            id="one is above the other",
        ),
        pytest.param(
            _FPGAS,
            CandidateQuery(
                {
                    "_N": Group(required=[one("HW_NUMA_ROOT")]), "_A": Group({"FPGA": 1}, required=[one("TYPE1")]),
                    "_B": Group({"FPGA": 1}, required=[one("TYPE2")]),
                },
                same_subtree=[frozenset({"_N", "_A", "_B"})],
            ),
            1, id="a group without resources stands above",
        ),
    ],
)
def test_the_examples_of_the_public_reference_have_as_many_candidates_as_it_says(
    nodes: list[Node], wanted: CandidateQuery, count: int
) -> None:
    assert len(answers(wanted, nodes)) == len(all_answers(wanted, nodes)) == count


def test_amounts_of_several_groups_from_one_provider_are_added_and_must_fit_together() -> None:
    wanted = CandidateQuery({"": Group({"VCPU": 2}), "1": Group({"VCPU": 3}), "2": Group({"MEMORY_MB": 1})})
    [found] = candidates(wanted, [node(1, VCPU=5, MEMORY_MB=9), node(2, VCPU=4, MEMORY_MB=9)])
    assert found == Candidate(
        {uuid.UUID(int=1): {"VCPU": 5, "MEMORY_MB": 1}}, {suffix: [uuid.UUID(int=1)] for suffix in ("", "1", "2")}
    )


def test_before_nested_providers_a_child_alone_can_give_and_who_shares_with_it_but_no_other_of_its_tree() -> None:
    root = node(1, of=[A], VCPU=8, DISK_GB=100)
    nodes = [root, node(2, root, SRIOV_NET_VF=4), node(3, None, SHARES, of=[A], DISK_GB=100)]
    wanted = CandidateQuery({"": Group({"SRIOV_NET_VF": 1, "DISK_GB": 1})}, nested=False)
    [found] = candidates(wanted, nodes)
    assert found.allocations.keys() == {uuid.UUID(int=2), uuid.UUID(int=3)}
    assert len(candidates(replace(wanted, nested=True), nodes)) == 2


def test_a_provider_that_shares_is_found_once_however_many_trees_it_shares_with() -> None:
    nodes = [node(1, None, SHARES, of=[A], DISK_GB=9), *(node(number, of=[A], VCPU=1) for number in range(2, 9))]
    [found] = candidates(CandidateQuery({"": Group({"DISK_GB": 1})}), nodes)
    assert found.allocations == {uuid.UUID(int=1): {"DISK_GB": 1}}


def test_the_first_candidates_stand_on_different_trees() -> None:
    roots = [node(number * 100) for number in range(1, 6)]
    nodes = [*roots, *(node(100 * number + child, roots[number - 1], VCPU=1) for number in range(1, 6) for child in range(1, 4))]
    found = candidates(CandidateQuery({"1": Group({"VCPU": 1})}), nodes)
    trees = [next(iter(each.allocations)).int // 100 for each in found]
    assert [sorted(trees[first : first + 5]) for first in (0, 5, 10)] == [[1, 2, 3, 4, 5]] * 3


def test_which_provider_of_a_tree_comes_first_is_left_to_chance() -> None:
    root = node(1)
    nodes = [root, *(node(number, root, VCPU=1) for number in range(2, 12))]
    wanted = CandidateQuery({"": Group({"VCPU": 1})})
    assert len({next(iter(candidates(wanted, nodes, seed=seed)[0].allocations)) for seed in range(40)}) > 5


def test_a_search_that_leads_nowhere_ends_and_says_so_and_what_it_has_found_elsewhere_counts() -> None:
    crowded, roomy = node(1), node(1000)
    nodes = [crowded, *(node(10 + number, crowded, VCPU=1) for number in range(11))]
    nodes += [roomy, *(node(1010 + number, roomy, VCPU=1) for number in range(12))]
    wanted = CandidateQuery({f"_{number}": Group({"VCPU": 1}) for number in range(12)}, "isolate")
    tried = search(wanted, nodes, tries=20_000)
    found = list(tried.candidates([crowded.id, roomy.id]))
    assert found and not tried.complete
    assert all(key.int > 1000 for each in found for key in each.allocations)
