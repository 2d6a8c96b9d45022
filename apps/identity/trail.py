"""Who may read which part of the audit trail.

The trail itself (apps.audit) lies below identity, since identity writes to it, so it knows no policy: its tables, its
writing and its shapes are there; what has to ask who the reader is, is here.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Q, QuerySet

from apps.audit import selectors
from apps.audit.selectors import Search
from apps.common.context import Actor
from apps.identity import policy
from apps.identity.models import Project

if TYPE_CHECKING:
    from apps.audit.models import Record

PERMISSION = "audit.record.list"


@dataclass(frozen=True)
class Part:
    """What one reader may see, all of it or what concerns the project or domain `scope`."""

    rows: QuerySet[Record]
    everywhere: bool
    scope: uuid.UUID | None = None


def records(*, actor: Actor, search: Search) -> Part:
    """Matching records of the actor's project, of all projects of its domain, or of all. Raises Forbidden."""
    rows = selectors.records(search)
    if policy.everywhere(actor, PERMISSION):
        return Part(rows, everywhere=True)
    policy.require(actor, PERMISSION)
    if actor.domain_id is not None:
        projects = Project.objects.filter(domain_id=actor.domain_id).values("pk")
        rows = rows.filter(Q(project_id=actor.domain_id) | Q(project_id__in=projects))
    else:
        rows = rows.filter(project_id=actor.project_id)
    return Part(rows, everywhere=False, scope=actor.domain_id or actor.project_id)
