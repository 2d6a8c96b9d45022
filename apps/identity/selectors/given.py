"""Reads of role assignments, as they were given."""

import uuid
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q, QuerySet

from apps.common.context import Actor
from apps.identity import policy
from apps.identity.models import Assignment, Project, ProjectAncestor
from apps.identity.selectors.places import holder

PERMISSION = "identity.assignment.list"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which assignments; nothing set: all. `place_id`: a project, or a domain by its id; `include_subtree`: and all projects
    below it. What is unknown finds nothing."""

    user_id: uuid.UUID | None = None
    group_id: uuid.UUID | None = None
    role_id: uuid.UUID | None = None
    place_id: uuid.UUID | None = None
    is_domain: bool | None = None
    system: bool | None = None
    inherited: bool | None = None
    include_subtree: bool = False


def assignments(*, actor: Actor, wanted: Wanted | None = None) -> "QuerySet[Assignment]":
    """As they were given: all, those of the project or domain that the actor works in, or one's own, with role, user, group
    and place. Raises Forbidden."""
    rows = Assignment.objects.select_related("role", "user", "group", "project")
    if not policy.everywhere(actor, PERMISSION):
        rows = rows.filter(_seen(actor))
    return rows if wanted is None else rows.filter(_asked(wanted))


def _seen(actor: Actor) -> Q:
    policy.require(actor, PERMISSION, user_id=actor.user_id)
    seen = holder(actor.user_id) if PERMISSION in actor.own_grants else Q(pk__in=[])
    if PERMISSION in actor.grants:
        seen |= Q(project_id=actor.project_id or actor.domain_id)
        if actor.domain_id is not None:
            seen |= Q(project__domain_id=actor.domain_id)
    return seen


def _asked(wanted: Wanted) -> Q:
    exact = {
        "user_id": wanted.user_id, "group_id": wanted.group_id, "role_id": wanted.role_id, "system": wanted.system,
        "inherited": wanted.inherited, "project__is_domain": wanted.is_domain,
    }
    asked = Q(**{name: value for name, value in exact.items() if value is not None})
    if wanted.place_id is None:
        return asked
    if not wanted.include_subtree:
        return asked & Q(project_id=wanted.place_id)
    below = ProjectAncestor.objects.filter(ancestor_id=wanted.place_id, project_id=OuterRef("project_id"))
    return asked & Q(Exists(below))


def place_of(actor: Actor) -> "QuerySet[Project]":
    """The project that the actor works in, or the domain and all in it."""
    if actor.domain_id is not None:
        return Project.objects.filter(Q(pk=actor.domain_id) | Q(domain_id=actor.domain_id))
    return Project.objects.filter(Q(pk=actor.project_id))
