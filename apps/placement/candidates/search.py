"""The search for candidates in a forest: pure, and one candidate after the other, so that few cost little.

A candidate stands on one tree: what it takes comes from there and from providers that share with that tree. The same one may
stand on several trees, if only sharing providers give.
"""

import random
import uuid
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from apps.placement.candidates.forest import NOTHING, Forest, Provider
from apps.placement.candidates.query import ISOLATE, Candidate, CandidateQuery, Group

# A tree in which nothing is found for so long lets the others have a turn.
_TURN = 5_000

Way = tuple[Provider, ...]


@dataclass(frozen=True)
class Part:
    """What one provider has to give: one class of the group without a suffix, or all of a group with one (maybe nothing)."""

    suffix: str
    group: Group
    resources: Mapping[str, int]


def parts_of(wanted: CandidateQuery) -> list[Part]:
    found: list[Part] = []
    for suffix, group in wanted.groups.items():
        split = [group.resources] if suffix else [{name: amount} for name, amount in group.resources.items()]
        found.extend(Part(suffix, group, resources) for resources in split)
    return found


def suits(part: Part, provider: Provider, root: Provider) -> bool:
    """Whether a provider can give this part, as far as that does not depend on who gives the others."""
    for name, amount in part.resources.items():
        stock = provider.stocks.get(name)
        if stock is None or not stock.fits(amount):
            return False
    group = part.group
    if group.in_tree is not None and group.in_tree != provider.root_id:
        return False
    if not group.forbidden.isdisjoint(provider.traits):
        return False
    if part.suffix and not _has_each(group.required, provider.traits):
        return False
    if not group.member_of and not group.not_member_of:
        return True
    aggregates = provider.aggregates if part.suffix else provider.aggregates | root.aggregates
    return group.not_member_of.isdisjoint(aggregates) and all(not each.isdisjoint(aggregates) for each in group.member_of)


def _has_each(required: Sequence[frozenset[str]], traits: frozenset[str]) -> bool:
    return all(not each.isdisjoint(traits) for each in required)


class Search:
    """Candidates of one request in one forest, whose trees may come and go between calls.

    `in_tree` of groups must be the id of a root. `tries`: how many choices it may look at; `complete` tells
    afterwards whether that was enough.
    """

    def __init__(self, wanted: CandidateQuery, forest: Forest, chance: random.Random, *, tries: int) -> None:
        self.wanted, self.forest, self.tries, self.complete = wanted, forest, tries, True
        self.parts = parts_of(wanted)
        self._chance = chance
        self._seen: set[tuple[uuid.UUID, ...]] = set()
        self._granular = sum(bool(part.suffix) for part in self.parts)
        # Classes that several parts want, and how much of them together.
        names = [name for part in self.parts for name in part.resources]
        self.contested = {
            name: sum(part.resources.get(name, 0) for part in self.parts) for name in names if names.count(name) > 1
        }

    def candidates(self, root_ids: Iterable[uuid.UUID]) -> Iterator[Candidate]:
        """All that stand on these trees and have not been given yet: one of each tree, then the next of each, and so on."""
        walks = deque(self._ways(root_id) for root_id in root_ids)
        while walks and self.complete:
            walk = walks.popleft()
            for way in islice(walk, 1):
                walks.append(walk)
                if way is not None and self._is_new(way):
                    yield self._candidate(way)

    def _ways(self, root_id: uuid.UUID) -> Iterator[Way | None]:
        tree = self.forest.trees.get(root_id, [])
        root = next((provider for provider in tree if provider.id == root_id), None)
        if root is None or not self.wanted.root_required <= root.traits or not self.wanted.root_forbidden.isdisjoint(root.traits):
            return
        shared = self.forest.shared_with(root_id)
        if len(tree) == 1 and not shared:
            if self._gives_all(root):
                yield (root,) * len(self.parts)
            return
        choices: list[list[Provider]] = []
        for part in self.parts:
            found = [provider for provider in tree if suits(part, provider, root)]
            found += [provider for provider in shared if suits(part, provider, self.forest.root_of(provider))]
            if not found:
                return
            if len(found) > 1:
                self._chance.shuffle(found)
            choices.append(found)
        yield from _Walk(self, choices).ways(0)

    def _gives_all(self, provider: Provider) -> bool:
        """Whether it can give all parts alone: the usual case of flat fleets, without a walk."""
        self.tries -= 1
        if self.tries < 0:
            self.complete = False
        group = self.wanted.groups.get("")
        return (
            self.complete
            and all(suits(part, provider, provider) for part in self.parts)
            and (group is None or _has_each(group.required, provider.traits))
            and not (self.wanted.group_policy == ISOLATE and self._granular > 1)
            and all(provider.stocks[name].holds(total) for name, total in self.contested.items())
        )

    def _is_new(self, way: Way) -> bool:
        if not self.forest.sharing:
            return True
        key = tuple(provider.id for provider in way)
        known = len(self._seen)
        self._seen.add(key)
        return len(self._seen) > known

    def _candidate(self, way: Way) -> Candidate:
        allocations: dict[uuid.UUID, dict[str, int]] = {}
        mappings: dict[str, list[uuid.UUID]] = {}
        for part, provider in zip(self.parts, way, strict=True):
            mapped = mappings.setdefault(part.suffix, [])
            if provider.id not in mapped:
                mapped.append(provider.id)
            for name, amount in part.resources.items():
                taken = allocations.setdefault(provider.id, {})
                taken[name] = taken.get(name, 0) + amount
        return Candidate(allocations, mappings)


class _Walk:
    """The ways to give every part to one of its choices, found by trying; a part with few choices comes first."""

    def __init__(self, search: Search, choices: Sequence[Sequence[Provider]]) -> None:
        self._search, self._choices = search, choices
        self._chosen: list[Provider | None] = [None] * len(choices)
        self._order = sorted(range(len(choices)), key=lambda index: len(choices[index]))
        depth = {search.parts[index].suffix: depth for depth, index in enumerate(self._order)}
        # What several parts must keep together is looked at as soon as the last of them has been given.
        self._traits_at = depth.get("", -1)
        self._subtrees_at = [(max(depth[suffix] for suffix in each), each) for each in search.wanted.same_subtree if each]

    def ways(self, depth: int) -> Iterator[Way | None]:
        """Each complete one; None now and then, so that others can have a turn."""
        if depth == len(self._order):
            yield tuple(each for each in self._chosen if each is not None)
            return
        index = self._order[depth]
        for provider in self._choices[index]:
            if not self._may_try():
                return
            if self._search.tries % _TURN == 0:
                yield None
            if not self._allowed(index, provider):
                continue
            self._chosen[index] = provider
            if self._keeps_together(depth):
                yield from self.ways(depth + 1)
            self._chosen[index] = None

    def _may_try(self) -> bool:
        self._search.tries -= 1
        if self._search.tries < 0:
            self._search.complete = False
        return self._search.complete

    def _allowed(self, index: int, provider: Provider) -> bool:
        """Whether the provider can give this part beside what has been given already."""
        search = self._search
        part, wanted = search.parts[index], search.wanted
        isolated = bool(part.suffix) and wanted.group_policy == ISOLATE
        totals = {name: amount for name, amount in part.resources.items() if name in search.contested}
        for other, given in zip(search.parts, self._chosen, strict=True):
            if given is None:
                continue
            if given is not provider:
                if not wanted.nested and given.root_id == provider.root_id and other.resources and part.resources:
                    return False
                continue
            if isolated and other.suffix:
                return False
            for name in totals:
                totals[name] += other.resources.get(name, 0)
        return all(provider.stocks[name].holds(total) for name, total in totals.items())

    def _keeps_together(self, depth: int) -> bool:
        """Required traits of the group without a suffix, and subtrees, as soon as they can be told."""
        if depth == self._traits_at:
            given = self._given({""})
            required = self._search.wanted.groups[""].required
            traits = frozenset[str]().union(*(provider.traits for provider in given)) if required else frozenset()
            if not _has_each(required, traits):
                return False
        return all(self._in_one_subtree(suffixes) for at, suffixes in self._subtrees_at if at == depth)

    def _in_one_subtree(self, suffixes: frozenset[str]) -> bool:
        given = {provider.id: provider for provider in self._given(suffixes)}
        common = NOTHING | given.keys()
        for provider in given.values():
            common &= self._search.forest.above(provider)
        return bool(common)

    def _given(self, suffixes: frozenset[str] | set[str]) -> list[Provider]:
        parts = self._search.parts
        return [
            provider for part, provider in zip(parts, self._chosen, strict=True) if provider is not None and part.suffix in suffixes
        ]
