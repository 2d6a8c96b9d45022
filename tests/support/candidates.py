"""Small forests and requests by chance, and an oracle for allocation candidates that tries every assignment there is.

The oracle is written from the public reference alone and shares no code with what it judges. It is slow and plain on purpose:
it gives every part of a request to every provider within reach, and then looks at all rules one by one.
"""

import itertools
import random
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from apps.placement.candidates.forest import Forest, Provider, Stock
from apps.placement.candidates.query import Candidate, CandidateQuery, Group

SHARES = "MISC_SHARES_VIA_AGGREGATE"
CLASSES = ("VCPU", "MEMORY_MB", "DISK_GB")
TRAITS = ("HW_CPU_X86_AVX", "STORAGE_DISK_SSD", "HW_NUMA_ROOT")
AGGREGATES = tuple(uuid.UUID(int=number) for number in (0xA, 0xB, 0xC))
SUFFIXES = ("1", "_NET", "_GPU")

# The long run asks new questions every time, and prints how to ask again what went wrong.
LONG = settings(derandomize=False, print_blob=True)

# A candidate that can be compared: (provider, class, amount)s and (suffix, provider)s.
Answer = tuple[frozenset[tuple[uuid.UUID, str, int]], frozenset[tuple[str, uuid.UUID]]]


@dataclass(frozen=True)
class Node:
    """A provider. `stocks`: class → (capacity, used, min_unit, max_unit, step_size)."""

    id: uuid.UUID
    root_id: uuid.UUID
    parent_id: uuid.UUID | None = None
    stocks: Mapping[str, tuple[int, int, int, int, int]] = field(default_factory=dict)
    traits: frozenset[str] = frozenset()
    aggregates: frozenset[uuid.UUID] = frozenset()


def forest_of(nodes: Sequence[Node]) -> Forest:
    found = Forest()
    providers = [
        Provider(
            node.id, node.root_id, node.parent_id,
            {name: Stock(*facts) for name, facts in node.stocks.items()}, node.traits, node.aggregates,
        )
        for node in nodes
    ]
    found.plant(providers, sharing={node.id for node in nodes if SHARES in node.traits})
    return found


def answer(candidate: Candidate) -> Answer:
    return (
        frozenset(
            (provider_id, name, amount)
            for provider_id, amounts in candidate.allocations.items() for name, amount in amounts.items()
        ),
        frozenset((suffix, provider_id) for suffix, given in candidate.mappings.items() for provider_id in given),
    )


# The oracle.


def all_answers(wanted: CandidateQuery, nodes: Sequence[Node]) -> set[Answer]:
    """Every candidate that there is."""
    found = set()
    slots = [
        (suffix, amounts)
        for suffix, group in wanted.groups.items()
        for amounts in ([group.resources] if suffix else [{name: amount} for name, amount in group.resources.items()])
    ]
    by_id = {node.id: node for node in nodes}
    for root in (node for node in nodes if node.parent_id is None):
        if not wanted.root_required <= root.traits or wanted.root_forbidden & root.traits:
            continue
        for given in itertools.product(_within_reach(root, nodes), repeat=len(slots)):
            if all(rule(wanted, slots, given, by_id) for rule in _RULES):
                found.add(_answer(slots, given))
    return found


def _within_reach(root: Node, nodes: Sequence[Node]) -> list[Node]:
    tree = [node for node in nodes if node.root_id == root.id]
    aggregates = {aggregate for node in tree for aggregate in node.aggregates}
    sharing = [node for node in nodes if SHARES in node.traits and node.aggregates & aggregates and node not in tree]
    return tree + sharing


def _totals(slots: Any, given: Sequence[Node]) -> dict[tuple[uuid.UUID, str], int]:
    totals: dict[tuple[uuid.UUID, str], int] = defaultdict(int)
    for (_, amounts), node in zip(slots, given, strict=True):
        for name, amount in amounts.items():
            totals[node.id, name] += amount
    return totals


def _answer(slots: Any, given: Sequence[Node]) -> Answer:
    return (
        frozenset((node_id, name, amount) for (node_id, name), amount in _totals(slots, given).items()),
        frozenset((suffix, node.id) for (suffix, _), node in zip(slots, given, strict=True)),
    )


def _there_is_room(wanted: CandidateQuery, slots: Any, given: Sequence[Node], by_id: Mapping[uuid.UUID, Node]) -> bool:
    for (_, amounts), node in zip(slots, given, strict=True):
        for name, amount in amounts.items():
            if name not in node.stocks:
                return False
            _, _, min_unit, max_unit, step_size = node.stocks[name]
            if amount < min_unit or amount > max_unit or amount % step_size:
                return False
    for (node_id, name), total in _totals(slots, given).items():
        capacity, used, _, max_unit, _ = by_id[node_id].stocks[name]
        if used + total > capacity or total > max_unit:
            return False
    return True


def _traits_are_right(wanted: CandidateQuery, slots: Any, given: Sequence[Node], by_id: Mapping[uuid.UUID, Node]) -> bool:
    together: set[str] = set()
    for (suffix, _), node in zip(slots, given, strict=True):
        group = wanted.groups[suffix]
        if group.forbidden & node.traits:
            return False
        if suffix == "":
            together |= node.traits
        elif not all(any_of & node.traits for any_of in group.required):
            return False
    return "" not in wanted.groups or all(any_of & together for any_of in wanted.groups[""].required)


def _aggregates_are_right(wanted: CandidateQuery, slots: Any, given: Sequence[Node], by_id: Mapping[uuid.UUID, Node]) -> bool:
    for (suffix, _), node in zip(slots, given, strict=True):
        group = wanted.groups[suffix]
        aggregates = set(node.aggregates)
        if suffix == "":
            aggregates |= by_id[node.root_id].aggregates
        if group.not_member_of & aggregates or not all(any_of & aggregates for any_of in group.member_of):
            return False
    return True


def _trees_are_right(wanted: CandidateQuery, slots: Any, given: Sequence[Node], by_id: Mapping[uuid.UUID, Node]) -> bool:
    for (suffix, _), node in zip(slots, given, strict=True):
        in_tree = wanted.groups[suffix].in_tree
        if in_tree is not None and (in_tree not in by_id or by_id[in_tree].root_id != node.root_id):
            return False
    if wanted.nested:
        return True
    giving = {node.id: node.root_id for (_, amounts), node in zip(slots, given, strict=True) if amounts}
    return len(giving) == len(set(giving.values()))


def _policy_is_kept(wanted: CandidateQuery, slots: Any, given: Sequence[Node], by_id: Mapping[uuid.UUID, Node]) -> bool:
    granular = [node.id for (suffix, _), node in zip(slots, given, strict=True) if suffix]
    return wanted.group_policy != "isolate" or len(granular) == len(set(granular))


def _subtrees_are_kept(wanted: CandidateQuery, slots: Any, given: Sequence[Node], by_id: Mapping[uuid.UUID, Node]) -> bool:
    for suffixes in wanted.same_subtree:
        ids = {node.id for (suffix, _), node in zip(slots, given, strict=True) if suffix in suffixes}
        if not any(all(top in _line(by_id[each], by_id) for each in ids) for top in ids):
            return False
    return True


def _line(node: Node, by_id: Mapping[uuid.UUID, Node]) -> Iterator[uuid.UUID]:
    yield node.id
    if node.parent_id is not None:
        yield from _line(by_id[node.parent_id], by_id)


_RULES = (
    _there_is_room, _traits_are_right, _aggregates_are_right, _trees_are_right, _policy_is_kept, _subtrees_are_kept,
)


# Forests and requests by chance, so that in about half of the cases there is something to find.


def _some_of(chance: random.Random, values: Sequence[Any], often: float) -> frozenset[Any]:
    return frozenset(value for value in values if chance.random() < often)


def forest(chance: random.Random, size: int) -> list[Node]:
    """So many providers, in trees of any shape."""
    nodes: list[Node] = []
    for number in range(size):
        above = chance.choice(nodes) if nodes and chance.random() < 0.6 else None
        key = uuid.UUID(int=0x100 + number)
        stocks = {
            name: (chance.randint(2, 6), chance.choice((0, 0, 1)), chance.choice((1, 1, 1, 1, 2)), chance.choice((2, 9, 9)), chance.choice((1, 1, 1, 1, 2)))
            for name in _some_of(chance, CLASSES, 0.7)
        }
        traits = _some_of(chance, TRAITS, 0.5) | _some_of(chance, [SHARES], 0.35)
        nodes.append(Node(
            key, above.root_id if above else key, above.id if above else None, stocks, traits, _some_of(chance, AGGREGATES, 0.4)
        ))
    return nodes


def request(chance: random.Random, nodes: Sequence[Node]) -> CandidateQuery:
    """Some groups, each with few or none of all that can be asked."""

    def any_of(values: Sequence[Any]) -> list[frozenset[Any]]:
        return [frozenset(chance.sample(values, chance.choice((1, 2, 2)))) for _ in range(chance.choice((0, 0, 0, 0, 0, 0, 0, 1, 1, 2)))]

    def seldom(value: Any, otherwise: Any) -> Any:
        return value if chance.random() < 0.12 else otherwise

    suffixes = chance.sample(("", "", *SUFFIXES), chance.choice((1, 2, 2, 3)))
    suffixes = list(dict.fromkeys(suffixes))
    granular = [suffix for suffix in suffixes if suffix]
    anywhere = [*(node.id for node in nodes), uuid.UUID(int=0xFFF)]
    groups = {
        suffix: Group(
            {name: chance.choice((1, 1, 1, 2, 3)) for name in chance.sample(CLASSES, chance.choice((1, 1, 2)))}, any_of(TRAITS),
            seldom(_some_of(chance, TRAITS, 0.4), frozenset()), any_of(AGGREGATES), seldom(_some_of(chance, AGGREGATES, 0.4), frozenset()),
            seldom(chance.choice(anywhere), None),
        )
        for suffix in suffixes
    }
    if len(suffixes) > 1 and granular and chance.random() < 0.3:
        groups[granular[0]] = replace(groups[granular[0]], resources={})
    subtrees = [frozenset(chance.sample(granular, chance.randint(1, len(granular)))) for _ in range(chance.choice((0, 0, 1, 2))) if granular]
    return CandidateQuery(
        groups, chance.choice(("none", "isolate")), None, seldom(_some_of(chance, TRAITS, 0.4), frozenset()),
        seldom(_some_of(chance, TRAITS, 0.4), frozenset()), subtrees, seldom(False, True),
    )


@st.composite
def questions(draw: st.DrawFn) -> tuple[list[Node], CandidateQuery]:
    chance, size = draw(st.randoms(use_true_random=True)), draw(st.sampled_from((6, 5, 4, 3, 2, 1)))
    nodes = forest(chance, size)
    return nodes, request(chance, nodes)
