"""Reads of users, projects, memberships and tokens."""

import uuid

from django.db.models import Q, QuerySet

from apps.common import clock
from apps.common.context import Actor
from apps.common.errors import NotFound
from apps.identity.models import Membership, Project, Token, User
from apps.identity.roles import Role, require_operator


def projects(*, actor: Actor) -> "QuerySet[Project]":
    """One's own; operators see all."""
    return Project.objects.all() if actor.is_admin else Project.objects.filter(Q(memberships__user_id=actor.user_id))


def project(*, actor: Actor, project_id: uuid.UUID) -> Project:
    """Raises NotFound."""
    found = projects(actor=actor).filter(pk=project_id).first()
    if found is None:
        raise NotFound("project.not_found", f"There is no project {project_id} of yours.", field="project_id")
    return found


def project_named(name: str) -> Project:
    """For the system itself. Raises NotFound."""
    found = Project.objects.filter(name=name).first()
    if found is None:
        raise NotFound("project.not_found", f"There is no project named {name!r}.", field="project")
    return found


def users(*, actor: Actor) -> "QuerySet[User]":
    """Raises Forbidden."""
    require_operator(actor)
    return User.objects.all()


def user_named(username: str) -> User:
    """For the system itself. Raises NotFound."""
    found = User.objects.filter(username=username).first()
    if found is None:
        raise NotFound("user.not_found", f"There is no user named {username!r}.", field="username")
    return found


def memberships(*, actor: Actor) -> "QuerySet[Membership]":
    """Operators see all, a project's admin those of the project, others their own."""
    rows = Membership.objects.select_related("user", "project")
    if actor.is_admin:
        return rows
    return rows.filter(Q(project_id=actor.project_id) if actor.role == Role.ADMIN else Q(user_id=actor.user_id))


def tokens(*, actor: Actor) -> "QuerySet[Token]":
    """One's own that still work."""
    living = Token.objects.filter(revoked_at=None, expires_at__gt=clock.now())
    return living.filter(Q(user_id=actor.user_id)).select_related("project")
