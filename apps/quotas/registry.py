"""How to count again: upper contexts, who have the things, register a function for the resources that they count."""

import uuid
from collections import Counter
from collections.abc import Callable, Collection, Mapping

from apps.quotas.resources import Amounts, known

# Project ids (None: all) → what each of them has; who has nothing may be left out.
Count = Callable[[Collection[uuid.UUID] | None], Mapping[uuid.UUID, Amounts]]
_counts: dict[tuple[str, ...], Count] = {}


def counted(resources: str | Collection[str], count: Count) -> None:
    """Called by a context when the process starts. Raises ValueError for a resource that is taken, KeyError for an unknown one."""
    names = (resources,) if isinstance(resources, str) else tuple(resources)
    for name in names:
        known(name)
        if name in counted_resources():
            raise ValueError(f"{name} is counted twice")
    _counts[names] = count


def counted_resources() -> frozenset[str]:
    """The resources that somebody can count; the others are not used yet."""
    return frozenset(name for names in _counts for name in names)


def recount(project_ids: Collection[uuid.UUID] | None = None) -> dict[uuid.UUID, Counter[str]]:
    """What projects have, counted from the things themselves; who has nothing is left out."""
    found: dict[uuid.UUID, Counter[str]] = {}
    for names, count in _counts.items():
        for project_id, amounts in count(project_ids).items():
            found.setdefault(project_id, Counter()).update({name: amounts.get(name, 0) for name in names})
    return found
