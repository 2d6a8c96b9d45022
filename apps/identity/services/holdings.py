"""What upper contexts have of a project, as far as identity must know: a project that still has something is not deleted.

They register when their process starts, as kinds of operations do. All are called in the transaction that deletes.
"""

import uuid
from collections import Counter
from collections.abc import Callable, Collection, Mapping

from apps.common.errors import Conflict

# Projects → for each that has something: thing → how many.
InUse = Callable[[Collection[uuid.UUID]], Mapping[uuid.UUID, Mapping[str, int]]]
Told = Callable[[Collection[uuid.UUID]], None]
_in_use: list[InUse] = []
_unused: list[InUse] = []
_dropping: list[Told] = []
_closing: list[Told] = []
_gone: list[Told] = []
_users_gone: list[Told] = []


def register(in_use: InUse) -> None:
    """Have `in_use(project_ids)` asked before projects are deleted."""
    _in_use.append(in_use)


def register_defaults(*, unused: InUse, drop: Told) -> None:
    """`unused`: what of that these projects have without having asked for it, and nobody uses; `drop`: delete it with them."""
    _unused.append(unused)
    _dropping.append(drop)


def register_accounts(*, gone: Told, closing: Told | None = None) -> None:
    """`closing`: from now on nobody makes anything in these projects (it waits for those who are at it); `gone`: they are
    deleted, so forget them."""
    if closing is not None:
        _closing.append(closing)
    _gone.append(gone)


def register_users(gone: Told) -> None:
    """Have `gone(user_ids)` told when users are deleted: for what is a user's own, such as key pairs."""
    _users_gone.append(gone)


def require_none(project_ids: Collection[uuid.UUID]) -> None:
    """Raises Conflict `project.in_use`, telling what is left, unless these projects have nothing any more."""
    # Before accounts are closed: whoever makes something has locked rows of that kind first, and the account last.
    for drop in _dropping:
        drop(project_ids)
    for tell in _closing:
        tell(project_ids)
    left, projects = left_in(project_ids)
    if left:
        listed = ", ".join(f"{thing.replace('_', ' ')} ({count})" for thing, count in sorted(left.items()))
        whose = "It still has" if len(project_ids) == 1 else f"{len(projects)} of its projects still have"
        raise Conflict("project.in_use", f"{whose} {listed}; delete these first.", in_use=left, projects=sorted(map(str, projects)))


def left_in(project_ids: Collection[uuid.UUID]) -> tuple[dict[str, int], set[uuid.UUID]]:
    """Thing → how many these projects have together, and which of them have something; as it is at this moment.

    What goes with a project by itself does not count.
    """
    left: Counter[str] = Counter()
    projects = set()
    spared: dict[uuid.UUID, Counter[str]] = {}
    for ask in _unused:
        for project_id, things in ask(project_ids).items():
            spared.setdefault(project_id, Counter()).update(things)
    for ask in _in_use:
        for project_id, things in ask(project_ids).items():
            kept = Counter(things) - spared.get(project_id, Counter())
            if kept:
                left.update(kept)
                projects.add(project_id)
    return dict(left), projects


def forget(project_ids: Collection[uuid.UUID]) -> None:
    """The projects are deleted: nobody keeps accounts of them any more."""
    for tell in _gone:
        tell(project_ids)


def forget_users(user_ids: Collection[uuid.UUID]) -> None:
    """The users are deleted."""
    for tell in _users_gone:
        tell(user_ids)
