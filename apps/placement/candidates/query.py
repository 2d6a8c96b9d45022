"""What allocation candidates are asked for, and what is answered: plain data, in the terms of the Placement API."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from apps.placement.candidates.forest import Provider

NONE, ISOLATE = "none", "isolate"


@dataclass(frozen=True)
class Group:
    """One request group.

    `resources`: class → amount. `required`: sets of traits, of each of which one must be there. `member_of`: sets of aggregates,
    likewise. `in_tree`: any provider of the only tree that may give. The group without a suffix is given each class by any
    provider of a tree or one that shares with it, and these have the required traits together; every other group is satisfied
    by one provider. Aggregates of a root count for its whole tree in the group without a suffix only.
    """

    resources: Mapping[str, int] = field(default_factory=dict)
    required: Sequence[frozenset[str]] = ()
    forbidden: frozenset[str] = frozenset()
    member_of: Sequence[frozenset[uuid.UUID]] = ()
    not_member_of: frozenset[uuid.UUID] = frozenset()
    in_tree: uuid.UUID | None = None


@dataclass(frozen=True)
class CandidateQuery:
    """A whole request: groups by suffix ("" is the group without one), and what holds for all of them together.

    `group_policy` ISOLATE: no two groups with a suffix have the same provider. `root_required`, `root_forbidden`: traits of the
    root of the tree. `same_subtree`: sets of suffixes; of the providers of each, one is above all others or the same. A group
    without resources must be in one of them. `nested`: since microversion 1.29 several providers of one tree may give together.
    """

    groups: Mapping[str, Group]
    group_policy: str = NONE
    limit: int | None = None
    root_required: frozenset[str] = frozenset()
    root_forbidden: frozenset[str] = frozenset()
    same_subtree: Sequence[frozenset[str]] = ()
    nested: bool = True


@dataclass(frozen=True)
class Candidate:
    """One way to satisfy a request: provider → class → amount, and suffix → the providers that satisfy its group."""

    allocations: Mapping[uuid.UUID, Mapping[str, int]]
    mappings: Mapping[str, Sequence[uuid.UUID]]


@dataclass(frozen=True)
class Found:
    """The candidates, in no order, and the providers that they are about.

    `summaries`: whole trees of the providers that give something, or only those providers where the request was not `nested`.
    `complete` is false if the search was broken off because there are too many ways to try.
    """

    requests: Sequence[Candidate]
    summaries: Mapping[uuid.UUID, Provider]
    complete: bool = True
