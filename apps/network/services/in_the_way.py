"""What keeps something from being deleted or changed, counted and named."""

from typing import Any

from django.db.models import Q, QuerySet

from apps.common.context import Actor
from apps.identity import policy
from apps.network import errors


def require_none(actor: Actor, kind: str, name: str, **blockers: "QuerySet[Any] | QuerySet[Any, Any]") -> None:
    """Raises InvalidState `<kind>.in_use` unless all of these are empty: `port=Port.objects.filter(…)`."""
    if present := found(actor, **blockers):
        raise errors.in_use(kind, name, present)


def found(actor: Actor, **blockers: "QuerySet[Any] | QuerySet[Any, Any]") -> errors.InTheWay:
    """Those that are not empty. What does not belong to the actor's project is counted, and named only to whom runs networks."""
    present = {}
    for thing, rows in blockers.items():
        if count := rows.count():
            open_to_all = not hasattr(rows.model, "project_id") or policy.everywhere(actor, "network.network.provide")
            mine = rows if open_to_all else rows.filter(Q(project_id=actor.project_id))
            present[thing] = (count, [_shown(row) for row in mine.order_by("pk")[: errors.NAMED]])
    return present


def _shown(row: Any) -> str:
    name = getattr(row, "name", "") or getattr(row, "address", "") or getattr(row, "cidr", "")
    return f"{name} {row.pk}" if name else str(row.pk)
