"""Reads of domains, projects, users, roles and tokens."""

import uuid

from django.db.models import Exists, OuterRef, Q, QuerySet

from apps.common import clock
from apps.common.context import Actor
from apps.common.errors import NotFound
from apps.identity import builtin, policy
from apps.identity.models import Assignment, GroupMember, Project, Token, User


def _reaching(user_id: uuid.UUID | None) -> Exists:
    """Whether an assignment of this user, own or by group, reaches the project of the outer query."""
    from_here_or_above = Q(inherited=False, project__descent__depth=0) | Q(inherited=True, project__descent__depth__gt=0)
    return Exists(
        Assignment.objects.filter(holder(user_id), from_here_or_above, project__descent__project=OuterRef("pk"))
    )


def holder(user_id: uuid.UUID | None) -> Q:
    """Assignments of this user, own or by a group."""
    return Q(user_id=user_id) | Q(group_id__in=GroupMember.objects.filter(Q(user_id=user_id)).values("group_id"))


def projects_with_a_role(user_id: uuid.UUID) -> "QuerySet[Project]":
    """Enabled projects in which the user has a role, own, by a group or inherited; all of them for whom administers the
    installation."""
    if Assignment.objects.filter(holder(user_id), system=True, role_id=builtin.ROLE_IDS[builtin.Role.ADMIN]).exists():
        return Project.objects.filter(is_domain=False, enabled=True, domain__enabled=True)
    return projects_reached(user_id)


def projects_reached(user_id: uuid.UUID) -> "QuerySet[Project]":
    """Enabled projects in which the user has a role of its own, by a group or inherited."""
    return Project.objects.filter(_reaching(user_id), is_domain=False, enabled=True, domain__enabled=True)


def domains_with_a_role(user_id: uuid.UUID) -> "QuerySet[Project]":
    """Enabled domains on which the user has a role."""
    return Project.objects.filter(_reaching(user_id), is_domain=True, enabled=True)


def projects(*, actor: Actor) -> "QuerySet[Project]":
    """Projects that the actor may see: all, those of the domain it works in, and those in which it has a role."""
    rows = Project.objects.filter(is_domain=False)
    if policy.everywhere(actor, "identity.project.list"):
        return rows
    mine = Q(_reaching(actor.user_id))
    if policy.allows(actor, "identity.project.list"):
        mine |= Q(domain_id=actor.domain_id)
    return rows.filter(mine)


def project(*, actor: Actor, project_id: uuid.UUID) -> Project:
    """Raises NotFound."""
    found = projects(actor=actor).select_related("domain").filter(pk=project_id).first()
    if found is None:
        raise NotFound("project.not_found", f"There is no project {project_id} of yours.", field="project_id")
    return found


def project_named(name: str, domain_id: uuid.UUID = builtin.DEFAULT_DOMAIN_ID) -> Project:
    """For the system itself. Raises NotFound."""
    found = Project.objects.filter(name=name, domain_id=domain_id, is_domain=False).first()
    if found is None:
        raise NotFound("project.not_found", f"There is no project named {name!r}.", field="project")
    return found


def domain(*, actor: Actor, domain_id: uuid.UUID) -> Project:
    """A domain that the actor may see: any, the one it works in, or the one of its project. Raises NotFound."""
    found = Project.objects.filter(pk=domain_id, is_domain=True).first()
    if found is None or not (
        policy.everywhere(actor, "identity.domain.get") or found.pk == actor.domain_id
        or found.projects.filter(Q(pk=actor.project_id)).exists()
    ):
        raise NotFound("domain.not_found", f"There is no domain {domain_id} of yours.", field="domain_id")
    return found


def domain_named(name: str) -> Project:
    """For the system itself. Raises NotFound."""
    found = Project.objects.filter(name=name, is_domain=True).first()
    if found is None:
        raise NotFound("domain.not_found", f"There is no domain named {name!r}.", field="domain")
    return found


def users(*, actor: Actor) -> "QuerySet[User]":
    """All, or those of the domain that the actor works in. Raises Forbidden."""
    policy.require(actor, "identity.user.list")
    if policy.everywhere(actor, "identity.user.list"):
        return User.objects.all()
    return User.objects.filter(Q(domain_id=actor.domain_id))


def user_named(username: str, domain_id: uuid.UUID = builtin.DEFAULT_DOMAIN_ID) -> User:
    """For the system itself. Raises NotFound."""
    found = User.objects.filter(username=username, domain_id=domain_id).first()
    if found is None:
        raise NotFound("user.not_found", f"There is no user named {username!r}.", field="username")
    return found


def assignments(*, actor: Actor) -> "QuerySet[Assignment]":
    """As they were given: all, those of the project or domain that the actor works in, or one's own."""
    rows = Assignment.objects.select_related("role", "user", "group", "project")
    if policy.everywhere(actor, "identity.assignment.list"):
        return rows
    seen = holder(actor.user_id)
    if policy.allows(actor, "identity.assignment.list"):
        here = Q(project_id=actor.project_id or actor.domain_id)
        seen |= here if actor.domain_id is None else here | Q(project__domain_id=actor.domain_id)
    return rows.filter(seen)


def tokens(*, actor: Actor) -> "QuerySet[Token]":
    """One's own that still work."""
    living = Token.objects.filter(revoked_at=None, expires_at__gt=clock.now())
    return living.filter(Q(user_id=actor.user_id)).select_related("project")
