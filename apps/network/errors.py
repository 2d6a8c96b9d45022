"""Refusals that several modules make. No Django."""

from collections.abc import Mapping, Sequence
from typing import Any

from apps.common.errors import InvalidState

# Of each kind of thing in the way, so many are named.
NAMED = 5

# Thing (`port`, `router` …) → how many, and the ids or names of some of them that the asking actor may see.
InTheWay = Mapping[str, tuple[int, Sequence[str]]]


def in_use(kind: str, name: str, blockers: InTheWay) -> InvalidState:
    """`<kind>.in_use`: says what is in the way, how many, and which. Facts as of `told`."""
    text, facts = told(blockers)
    return InvalidState(
        f"{kind}.in_use", f"The {kind.replace('_', ' ')} {name} is in use by {text}; take these away first.", **facts
    )


def told(blockers: InTheWay) -> tuple[str, dict[str, Any]]:
    """`2 ports (a, b) and 1 router`; and facts: a count per thing, and `in_the_way` with names."""
    parts = []
    for thing, (count, names) in blockers.items():
        shown = ", ".join([*names[:NAMED], *(["…"] if count > len(names[:NAMED]) else [])]) if names else ""
        parts.append(f"{count} {thing.replace('_', ' ')}{'s' if count != 1 else ''}{f' ({shown})' if shown else ''}")
    counts: dict[str, Any] = {f"{thing}s": count for thing, (count, _) in blockers.items()}
    named = {f"{thing}s": list(names[:NAMED]) for thing, (_, names) in blockers.items()}
    return " and ".join(parts), {**counts, "in_the_way": named}
