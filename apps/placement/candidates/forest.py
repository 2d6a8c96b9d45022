"""Providers as the search sees them: plain data, trees by root, and who shares with whom."""

import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

NOTHING: frozenset[uuid.UUID] = frozenset()


class Stock(NamedTuple):
    """An inventory."""

    capacity: int
    used: int
    min_unit: int = 1
    max_unit: int = 2**31 - 1
    step_size: int = 1

    def fits(self, amount: int) -> bool:
        """Whether one allocation of so much can be made."""
        return (
            self.used + amount <= self.capacity
            and self.min_unit <= amount <= self.max_unit
            and amount % self.step_size == 0
        )

    def holds(self, amount: int) -> bool:
        """Whether amounts that fit each alone still do so together: they become one allocation."""
        return self.used + amount <= self.capacity and amount <= self.max_unit


@dataclass(slots=True)
class Provider:
    """A provider: `stocks` by class; `aggregates` are its own, without those of its root."""

    id: uuid.UUID
    root_id: uuid.UUID
    parent_id: uuid.UUID | None = None
    stocks: dict[str, Stock] = field(default_factory=dict)
    traits: frozenset[str] = frozenset()
    aggregates: frozenset[uuid.UUID] = NOTHING


class Forest:
    """Whole trees. `sharing`: those of its providers that give to trees with which they have an aggregate in common."""

    def __init__(self) -> None:
        self.trees: dict[uuid.UUID, list[Provider]] = {}
        self.sharing: list[Provider] = []
        self._providers: dict[uuid.UUID, Provider] = {}

    def plant(self, providers: Iterable[Provider], *, sharing: Collection[uuid.UUID] = ()) -> None:
        """Add trees, all their providers at once; `sharing` are the ids of those that share."""
        for provider in providers:
            if provider.id not in self._providers:
                self._providers[provider.id] = provider
                self.trees.setdefault(provider.root_id, []).append(provider)
                if provider.id in sharing:
                    self.sharing.append(provider)

    def forget(self, root_ids: Iterable[uuid.UUID]) -> None:
        """Take whole trees out again."""
        for root_id in root_ids:
            for provider in self.trees.pop(root_id, ()):
                del self._providers[provider.id]

    def get(self, provider_id: uuid.UUID) -> Provider:
        return self._providers[provider_id]

    def root_of(self, provider: Provider) -> Provider:
        # A root that has been deleted while the tree was read counts for nothing.
        return self._providers.get(provider.root_id, provider)

    def shared_with(self, root_id: uuid.UUID) -> list[Provider]:
        """Who shares with this tree, other than its own providers: an aggregate of any of them will do."""
        if not self.sharing:
            return []
        aggregates = NOTHING.union(*(provider.aggregates for provider in self.trees.get(root_id, ())))
        return [each for each in self.sharing if each.root_id != root_id and not aggregates.isdisjoint(each.aggregates)]

    def above(self, provider: Provider) -> set[uuid.UUID]:
        """The provider's own id and those of all that it hangs on."""
        found: set[uuid.UUID] = set()
        each: Provider | None = provider
        while each is not None and each.id not in found:
            found.add(each.id)
            each = self._providers.get(each.parent_id) if each.parent_id else None
        return found
