"""Opaque ids → names and pages.

Rows refer upwards, and across cells, by plain ids. Whoever owns a kind of thing says here how it is called and where
its page is; so a lower context links to an upper one without knowing it, and a list finds all its names in one query
per kind.
"""

import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.common.admin import drawing

Names = Callable[[Collection[uuid.UUID]], dict[uuid.UUID, str]]


@dataclass(frozen=True)
class _Thing:
    page: str
    names: Names


_things: dict[str, _Thing] = {}


def register(kind: str, *, model: str, names: Names) -> None:
    """`model`: `app_model` of the admin page. Raises ValueError for a kind that is taken."""
    if kind in _things:
        raise ValueError(f"admin reference {kind} is registered twice")
    _things[kind] = _Thing(f"admin:{model}_change", names)


def names(kind: str, ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Names of those that exist; empty for a kind that nobody owns."""
    return _things[kind].names(ids) if ids and kind in _things else {}


def link(kind: str, found: uuid.UUID | None, name: str | None = None) -> SafeString:
    """A link to the page of one thing; without `name` it is looked up. What does not exist (any more) is an id."""
    if found is None:
        return drawing.NOTHING
    name = names(kind, [found]).get(found) if name is None else name
    if not name or kind not in _things:
        return drawing.code(found)
    return format_html('<a href="{}">{}</a>', reverse(_things[kind].page, args=[found]), name)
