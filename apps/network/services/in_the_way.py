"""What keeps something from being deleted or changed, counted and named."""

from typing import Any

from django.db.models import Q, QuerySet

from apps.common.context import Actor
from apps.identity import policy
from apps.network import errors


def require_none(actor: Actor, kind: str, name: str, **blockers: "QuerySet[Any] | QuerySet[Any, Any]") -> None:
    """Raises InvalidState `<kind>.in_use` unless all of these are empty: `port=Port.objects.filter(…)`.

    Only what belongs to the actor's project is named to whom does not run networks; all of it is counted.
    """
    found = {}
    for thing, rows in blockers.items():
        if count := rows.count():
            open_to_all = not hasattr(rows.model, "project_id") or policy.everywhere(actor, "network.network.provide")
            mine = rows if open_to_all else rows.filter(Q(project_id=actor.project_id))
            found[thing] = (count, [_shown(row) for row in mine.order_by("pk")[: errors.NAMED]])
    if found:
        raise errors.in_use(kind, name, found)


def _shown(row: Any) -> str:
    name = getattr(row, "name", "") or getattr(row, "address", "") or getattr(row, "cidr", "")
    return f"{name} {row.pk}" if name else str(row.pk)
