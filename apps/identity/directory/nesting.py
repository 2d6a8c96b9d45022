"""Who is in a group when groups are members of groups. Pure."""

from collections.abc import Iterable, Mapping

from apps.identity.directory.entries import GroupEntry


def closures(groups: Iterable[GroupEntry], users: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """Key of each group → keys of the users in it, by itself or by a group in it. `users`: canonical DN → key.

    Groups that are in each other, or in themselves, have the same users. What is neither a known user nor group is nobody.
    """
    listed = list(groups)
    by_dn = {group.dn: group for group in listed}
    direct = {group.dn: frozenset(users[member] for member in group.members if member in users) for group in listed}
    below = {group.dn: [member for member in group.members if member in by_dn and member != group.dn] for group in listed}
    return {group.key: frozenset().union(*(direct[dn] for dn in _reached(group.dn, below))) for group in listed}


def _reached(start: str, below: Mapping[str, list[str]]) -> set[str]:
    seen, waiting = {start}, [start]
    while waiting:
        for each in below[waiting.pop()]:
            if each not in seen:
                seen.add(each)
                waiting.append(each)
    return seen
