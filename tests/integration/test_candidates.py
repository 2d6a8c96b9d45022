"""Allocation candidates out of the database: what the search finds, from few trees and in few statements."""

import random
import uuid
from collections.abc import Collection, Sequence

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.common.context import SYSTEM
from apps.common.errors import Invalid
from apps.common.ids import new_id
from apps.placement.candidates import find as finding
from apps.placement.candidates import loading
from apps.placement.candidates.forest import Provider, Stock
from apps.placement.candidates.query import CandidateQuery, Found, Group
from apps.placement.models import Inventory, ProviderAggregate, ProviderTrait, ResourceProvider
from tests.support.candidates import LONG, SHARES, Node, all_answers, answer, questions

pytestmark = pytest.mark.django_db

USUAL = {"VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 1}


def find(wanted: CandidateQuery, *, chance: random.Random | None = None) -> Found:
    return finding.find(actor=SYSTEM, wanted=wanted, chance=chance)


def store(nodes: Sequence[Node]) -> None:
    ResourceProvider.objects.bulk_create([
        ResourceProvider(id=node.id, name=str(node.id), root_id=node.root_id, parent_id=node.parent_id) for node in nodes
    ])
    Inventory.objects.bulk_create([
        Inventory(
            provider_id=node.id, resource_class=name, total=capacity, capacity=capacity, ceiling=max(capacity, used), used=used,
            min_unit=min_unit, max_unit=max_unit, step_size=step_size,
        )
        for node in nodes for name, (capacity, used, min_unit, max_unit, step_size) in node.stocks.items()
    ])
    ProviderTrait.objects.bulk_create([ProviderTrait(provider_id=node.id, name=name) for node in nodes for name in node.traits])
    ProviderAggregate.objects.bulk_create([
        ProviderAggregate(provider_id=node.id, aggregate_id=aggregate_id) for node in nodes for aggregate_id in node.aggregates
    ])


def host(*, used: int = 0, parent: Node | None = None, traits: Sequence[str] = (), aggregates: Sequence[uuid.UUID] = ()) -> Node:
    stocks = dict.fromkeys(USUAL, (1000, used, 1, 1000, 1))
    key = new_id()
    return Node(key, parent.root_id if parent else key, parent.id if parent else None, stocks, frozenset(traits), frozenset(aggregates))


def loaded_trees(monkeypatch: pytest.MonkeyPatch) -> list[uuid.UUID]:
    """Filled with the roots of the trees that are read from now on."""
    loaded: list[uuid.UUID] = []
    trees = loading.trees

    def noted(root_ids: Collection[uuid.UUID], *, aggregates: bool) -> list[Provider]:
        loaded.extend(root_ids)
        return trees(root_ids, aggregates=aggregates)

    monkeypatch.setattr(loading, "trees", noted)
    return loaded


def usual(limit: int | None = None) -> CandidateQuery:
    return CandidateQuery({"": Group(USUAL)}, limit=limit)


def agree(question: tuple[list[Node], CandidateQuery], limit: int | None, seed: int) -> None:
    """What is found is what the oracle finds, or as much of it as the limit allows, with the summaries that belong to it."""
    nodes, wanted = question
    expected = all_answers(wanted, nodes)
    with transaction.atomic():
        store(nodes)
        found = find(CandidateQuery(**{**wanted.__dict__, "limit": limit}), chance=random.Random(seed))
        transaction.set_rollback(True)
    answers = {answer(each) for each in found.requests}
    assert len(answers) == len(found.requests), "a candidate was given twice"
    assert answers <= expected and len(answers) == min(len(expected), limit or len(expected))
    used = {key for each in found.requests for key in each.allocations}
    roots = {node.id: node.root_id for node in nodes}
    whole = {node.id for node in nodes if node.root_id in {roots[key] for key in used}}
    assert found.summaries.keys() == (whole if wanted.nested else used)


limits = st.one_of(st.none(), st.integers(1, 4))
seeds = st.integers(0, 2**32)


@settings(max_examples=150)
@given(questions(), limits, seeds)
def test_exactly_those_candidates_are_found_that_trying_everything_finds(
    question: tuple[list[Node], CandidateQuery], limit: int | None, seed: int
) -> None:
    agree(question, limit, seed)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@settings(LONG, max_examples=3000)
@given(questions(), limits, seeds)
def test_the_same_holds_in_thousands_of_other_forests(
    question: tuple[list[Node], CandidateQuery], limit: int | None, seed: int
) -> None:
    agree(question, limit, seed)


def test_a_summary_says_what_there_is_what_is_used_and_where_the_provider_stands() -> None:
    root = host(used=7, traits=["HW_CPU_X86_AVX"])
    child = Node(new_id(), root.id, root.id)
    store([root, child])
    found = find(usual(limit=1))
    assert found.complete
    assert found.summaries[root.id].stocks["VCPU"] == Stock(1000, 7, 1, 1000, 1)
    assert (found.summaries[root.id].traits, found.summaries[root.id].parent_id) == (frozenset({"HW_CPU_X86_AVX"}), None)
    assert (found.summaries[child.id].parent_id, found.summaries[child.id].root_id) == (root.id, root.id)
    assert not found.summaries[child.id].stocks and not found.summaries[child.id].traits


def test_few_candidates_of_a_large_fleet_cost_few_trees_and_statements(
    monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: object
) -> None:
    store([host() for _ in range(300)])
    loaded = loaded_trees(monkeypatch)
    with django_assert_max_num_queries(8):  # type: ignore[operator]
        assert len(find(usual(limit=1)).requests) == 1
    assert len(loaded) <= 2 * 8


def test_trees_that_cannot_give_are_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    good = host(traits=["CUSTOM_RARE"])
    store([good, *(host() for _ in range(50)), *(host(used=1000, traits=["CUSTOM_RARE"]) for _ in range(50))])
    loaded = loaded_trees(monkeypatch)
    found = find(CandidateQuery({"": Group(USUAL, required=[frozenset({"CUSTOM_RARE"})])}))
    assert [set(each.allocations) for each in found.requests] == [{good.id}]
    assert loaded == [good.id]


def test_many_trees_are_looked_at_some_at_a_time_until_there_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each tree has room for either group, but not for both in one provider as wanted: nothing tells that before it is loaded.
    monkeypatch.setattr(loading, "AT_ONCE", 16)
    fitting = [host() for _ in range(3)]
    tight = [Node(key := new_id(), key, None, dict.fromkeys(USUAL, (700, 0, 1, 700, 1))) for _ in range(40)]
    store([*tight[:20], *fitting, *tight[20:]])
    wanted = CandidateQuery({"1": Group({"MEMORY_MB": 400}), "2": Group({"MEMORY_MB": 400})})
    found = find(wanted)
    assert {key for each in found.requests for key in each.allocations} == {each.id for each in fitting}
    assert len(find(CandidateQuery(wanted.groups, limit=2)).requests) == 2


def test_clients_who_ask_for_one_candidate_are_not_all_told_the_same() -> None:
    hosts = [host() for _ in range(60)]
    store(hosts)
    chosen = {next(iter(find(usual(limit=1)).requests[0].allocations)) for _ in range(40)}
    assert len(chosen) > 10


def test_sharing_providers_are_found_and_their_trees_are_summed_up() -> None:
    aggregate = new_id()
    pool = Node(key := new_id(), key, None, {"DISK_GB": (1000, 0, 1, 1000, 1)}, frozenset({SHARES}), frozenset({aggregate}))
    key = new_id()
    diskless = Node(key, key, None, dict.fromkeys(("VCPU", "MEMORY_MB"), (1000, 0, 1, 1000, 1)), frozenset(), frozenset({aggregate}))
    store([pool, diskless])
    found = find(usual(limit=5))
    assert [dict(each.allocations) for each in found.requests] == [
        {diskless.id: {"VCPU": 1, "MEMORY_MB": 512}, pool.id: {"DISK_GB": 1}}
    ]
    assert found.summaries.keys() == {pool.id, diskless.id}


@pytest.mark.parametrize("amount", [2**31, 2**63 - 1, 2**63, 2**70], ids=["int", "bigint", "beyond", "far beyond"])
def test_more_than_anything_can_have_is_found_nowhere(amount: int) -> None:
    store([host()])
    assert find(CandidateQuery({"": Group({"VCPU": amount})})).requests == []


def test_nothing_is_found_in_the_tree_of_nobody() -> None:
    store([host()])
    assert find(CandidateQuery({"": Group(USUAL, in_tree=new_id())})).requests == []


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (CandidateQuery({}), "placement.query.missing_value"),
        (CandidateQuery({"1": Group()}), "placement.query.missing_value"),
        (CandidateQuery({"": Group(), "1": Group(USUAL)}), "placement.query.missing_value"),
        (CandidateQuery({"1": Group(USUAL)}, same_subtree=[frozenset({"1", "2"})]), "placement.query.bad_value"),
        (CandidateQuery({"": Group(USUAL)}, same_subtree=[frozenset({""})]), "placement.query.bad_value"),
    ],
    ids=["no group", "no resources", "no resources without a suffix", "no such group", "group without a suffix"],
)
def test_requests_that_mean_nothing_are_refused(wanted: CandidateQuery, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        find(wanted)
    assert refused.value.code == code


def test_a_search_that_is_broken_off_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "TRIES", 5)
    store([host() for _ in range(20)])
    found = find(usual())
    assert not found.complete and len(found.requests) < 20
