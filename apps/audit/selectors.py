"""Searching the trail. Who may see which part of it is decided by apps.identity.trail, which stands above."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from apps.audit.models import Record
from apps.common.ids import first_at

# What lists and exports show, in this order.
COLUMNS = (
    "id", "at", "decision", "action", "resource_type", "resource_id", "name", "project_id", "user_id", "user_name",
    "actor_project_id", "address", "request_id", "method", "path", "code", "reason", "changes",
)
# Where a clock was set back, ids went on rising all the same; no clock is set back by more than this.
_SLACK_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Search:
    """All of these at once. `user` is an id or a name, `action` its beginning; `since` is included, `until` is not."""

    user: str = ""
    project_id: uuid.UUID | None = None
    action: str = ""
    resource_type: str = ""
    resource_id: str = ""
    decision: str = ""
    request_id: str = ""
    address: str = ""
    since: datetime | None = None
    until: datetime | None = None


def records(search: Search) -> "QuerySet[Record]":
    """Matching records of all projects."""
    exact = ("project_id", "resource_type", "resource_id", "decision", "request_id", "address")
    rows = Record.objects.filter(**{name: value for name in exact if (value := getattr(search, name))})
    if search.user:
        rows = rows.filter(**_user(search.user))
    if search.action:
        rows = rows.filter(action__startswith=search.action)
    # Ids rise with time: they find the place in whichever index is used, and `at` decides.
    if search.since is not None:
        rows = rows.filter(pk__gte=first_at(search.since, later_s=-_SLACK_S), at__gte=search.since)
    if search.until is not None:
        rows = rows.filter(pk__lt=first_at(search.until, later_s=_SLACK_S), at__lt=search.until)
    return rows


def oldest_first(
    rows: "QuerySet[Record]", *, after: uuid.UUID | None = None, most: int | None = None, step: int = 500
) -> Iterator[list[dict[str, Any]]]:
    """`COLUMNS` of all rows, in pieces: each is a query of its own, so memory and transactions stay small however many there are."""
    left = most
    while left is None or left > 0:
        page = rows if after is None else rows.filter(pk__gt=after)
        found = list(page.order_by("pk").values(*COLUMNS)[: step if left is None else min(step, left)])
        if not found:
            return
        yield found
        after = found[-1]["id"]
        left = None if left is None else left - len(found)


def _user(text: str) -> dict[str, Any]:
    try:
        return {"user_id": uuid.UUID(text)}
    except ValueError:
        return {"user_name": text}
