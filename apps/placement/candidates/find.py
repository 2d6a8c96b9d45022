"""Allocation candidates of a request, as the database is now."""

import logging
import random
import uuid
from collections.abc import Collection
from dataclasses import replace
from itertools import islice

from apps.common.context import Actor
from apps.common.errors import Invalid
from apps.identity import policy
from apps.placement.candidates import anchors, loading
from apps.placement.candidates.forest import Forest, Provider
from apps.placement.candidates.query import Candidate, CandidateQuery, Found
from apps.placement.candidates.search import Search

log = logging.getLogger(__name__)
# A few trees more than are asked for at least: one may turn out not to do, and many clients do not all choose the same.
_FEW = 8
# Ways to combine grow with the power of the groups, and many may lead nowhere: some seconds of work, and then it is enough.
TRIES = 1_000_000
# What an inventory can have at all; databases do not count further.
_MOST = 2**63 - 1


def find(*, actor: Actor, wanted: CandidateQuery, chance: random.Random | None = None) -> Found:
    """Up to `limit` candidates, or all; of different trees first, beginning anywhere, so that not all clients choose the same.

    Raises Forbidden, Invalid `placement.query.bad_value`, `placement.query.missing_value`.
    """
    policy.require(actor, "placement.candidate.list")
    _check(wanted)
    rooted = _rooted(wanted)
    if rooted is None:
        return Found([], {})
    chance = chance or random.Random(random.getrandbits(64))
    finding = _Finding(rooted, chance)
    at_once, start = loading.AT_ONCE, anchors.LOWEST
    if wanted.limit is not None:
        at_once, start = min(max(wanted.limit, _FEW), loading.AT_ONCE), anchors.somewhere(chance.random())
    for root_ids in anchors.anchors(rooted, finding.forest, start=start, at_once=at_once):
        chance.shuffle(root_ids)
        if not finding.look(root_ids):
            break
    return finding.found()


class _Finding:
    """One request while its candidates are looked for, some trees at a time."""

    def __init__(self, wanted: CandidateQuery, chance: random.Random) -> None:
        self._wanted, self.forest, self._candidates = wanted, Forest(), list[Candidate]()
        self._used: set[uuid.UUID] = set()
        sharing = anchors.sharing(wanted)
        groups = wanted.groups.values()
        self._aggregates = bool(sharing) or any(group.member_of or group.not_member_of for group in groups)
        self._kept = set(sharing.values())
        self._plant(self._kept, sharing=sharing.keys())
        self._search = Search(wanted, self.forest, chance, tries=TRIES)

    def look(self, root_ids: list[uuid.UUID]) -> bool:
        """Whether there is reason to go on after these trees."""
        self._plant([each for each in root_ids if each not in self.forest.trees])
        missing = None if self._wanted.limit is None else self._wanted.limit - len(self._candidates)
        found = list(islice(self._search.candidates(root_ids), missing))
        self._candidates += found
        used = {provider_id for candidate in found for provider_id in candidate.allocations}
        self._used |= used
        self._kept |= {provider.root_id for provider in map(self.forest.get, used)}
        self.forest.forget([each for each in root_ids if each not in self._kept])
        return self._search.complete and len(found) != missing

    def found(self) -> Found:
        summaries: dict[uuid.UUID, Provider]
        if self._wanted.nested:
            roots = {self.forest.get(each).root_id for each in self._used}
            summaries = {provider.id: provider for root_id in roots for provider in self.forest.trees[root_id]}
        else:
            summaries = {each: self.forest.get(each) for each in self._used}
        if not self._search.complete:
            log.warning("allocation candidates: %s groups, too many ways to combine; broken off", len(self._wanted.groups))
        return Found(self._candidates, summaries, self._search.complete)

    def _plant(self, root_ids: Collection[uuid.UUID], *, sharing: Collection[uuid.UUID] = ()) -> None:
        for some in _some(root_ids):
            self.forest.plant(loading.trees(some, aggregates=self._aggregates), sharing=sharing)


def _some(root_ids: Collection[uuid.UUID]) -> list[list[uuid.UUID]]:
    ids = list(root_ids)
    return [ids[first : first + loading.AT_ONCE] for first in range(0, len(ids), loading.AT_ONCE)]


def _check(wanted: CandidateQuery) -> None:
    giving = {suffix for suffix, group in wanted.groups.items() if group.resources}
    if not giving or "" in wanted.groups.keys() - giving:
        raise Invalid("placement.query.missing_value", "Say what resources are wanted; a group without a suffix must have some.")
    unknown = {suffix for suffixes in wanted.same_subtree for suffix in suffixes} - (wanted.groups.keys() - {""})
    if unknown:
        named = ", ".join(sorted(unknown))
        raise Invalid("placement.query.bad_value", f"There is no group {named} to be in the same subtree.", field="same_subtree")


def _rooted(wanted: CandidateQuery) -> CandidateQuery | None:
    """The request with roots for `in_tree`; None if there cannot be any candidates."""
    groups = {}
    for suffix, group in wanted.groups.items():
        root_id = anchors.root_of(group.in_tree) if group.in_tree else None
        if (group.in_tree and root_id is None) or any(amount > _MOST for amount in group.resources.values()):
            return None
        groups[suffix] = replace(group, in_tree=root_id)
    return replace(wanted, groups=groups)
