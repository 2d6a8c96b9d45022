"""Reads of domains and projects. `permission`: what is to be done with them; it decides which of them can be seen."""

import uuid
from collections.abc import Collection

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from apps.common.context import Actor
from apps.common.errors import Invalid, NotFound
from apps.identity import builtin, policy
from apps.identity.models import Assignment, GroupMember, Project, ProjectAncestor, ProjectTag, User


def holder(user_id: uuid.UUID | None) -> Q:
    """Assignments of this user, own or by a group."""
    return Q(user_id=user_id) | Q(group_id__in=GroupMember.objects.filter(Q(user_id=user_id)).values("group_id"))


def _reaching(user_id: uuid.UUID | None) -> Exists:
    """Whether an assignment of this user, own or by group, reaches the project of the outer query."""
    from_here_or_above = Q(inherited=False, project__descent__depth=0) | Q(inherited=True, project__descent__depth__gt=0)
    return Exists(
        Assignment.objects.filter(holder(user_id), from_here_or_above, project__descent__project=OuterRef("pk"))
    )


def projects_with_a_role(user_id: uuid.UUID) -> "QuerySet[Project]":
    """Enabled projects that the user may enter: those that it reaches, all of them for whom administers the installation."""
    if Assignment.objects.filter(holder(user_id), system=True, role_id=builtin.ROLE_IDS[builtin.Role.ADMIN]).exists():
        return _enabled_projects()
    return projects_reached(user_id)


def projects_reached(user_id: uuid.UUID) -> "QuerySet[Project]":
    """Enabled projects in which the user has a role, own, by a group or inherited."""
    return _enabled_projects().filter(_reaching(user_id))


def _enabled_projects() -> "QuerySet[Project]":
    return Project.objects.filter(is_domain=False, enabled=True, domain__enabled=True)


def domains_with_a_role(user_id: uuid.UUID) -> "QuerySet[Project]":
    """Enabled domains on which the user has a role."""
    return Project.objects.filter(_reaching(user_id), is_domain=True, enabled=True)


def projects(*, actor: Actor, permission: str = "identity.project.list") -> "QuerySet[Project]":
    """All, those of the domain that the actor works in, those in which it has a role. Raises Forbidden."""
    rows = Project.objects.filter(is_domain=False)
    if policy.everywhere(actor, permission):
        return rows
    policy.require(actor, permission, user_id=actor.user_id)
    seen = Q(pk__in=[])
    if permission in actor.own_grants:
        seen |= Q(_reaching(actor.user_id))
    if permission in actor.grants:
        seen |= Q(domain_id=actor.domain_id) if actor.domain_id is not None else Q(pk=actor.project_id)
    return rows.filter(seen)


def project(
    *, actor: Actor, project_id: uuid.UUID, permission: str = "identity.project.get", lock: bool = False
) -> Project:
    """One of them; `lock`: to be changed in the caller's transaction. Raises Forbidden, NotFound."""
    rows = projects(actor=actor, permission=permission).filter(pk=project_id)
    found = _locked(rows) if lock else rows.select_related("domain").first()
    if found is None:
        raise NotFound("project.not_found", f"There is no project {project_id} of yours.", field="project_id")
    return found


def project_by(*, actor: Actor, name: str, domain_id: uuid.UUID | None = None) -> Project:
    """The project of that name among those that the actor sees, of one domain if one is given. Raises Forbidden, NotFound,
    Invalid (in several domains)."""
    rows = projects(actor=actor).select_related("domain").filter(name=name)
    found = list((rows.filter(domain_id=domain_id) if domain_id else rows)[:2])
    if not found:
        raise NotFound("project.not_found", f"There is no project named {name!r} of yours.", field="project")
    if len(found) > 1:
        raise Invalid("project.ambiguous", f"Several domains have a project named {name!r}: say which domain.", field="domain")
    return found[0]


def project_named(name: str, domain_id: uuid.UUID = builtin.DEFAULT_DOMAIN_ID) -> Project:
    """For the system itself. Raises NotFound."""
    found = Project.objects.filter(name=name, domain_id=domain_id, is_domain=False).first()
    if found is None:
        raise NotFound("project.not_found", f"There is no project named {name!r}.", field="project")
    return found


def domains(*, actor: Actor, permission: str = "identity.domain.list") -> "QuerySet[Project]":
    """All, or the one that the actor works in; with `identity.domain.get` also that of its project and its own. Raises
    Forbidden."""
    rows = Project.objects.filter(is_domain=True)
    if policy.everywhere(actor, permission):
        return rows
    policy.require(actor, permission, user_id=actor.user_id)
    seen = Q(pk__in=[])
    if permission in actor.own_grants:
        seen |= Q(pk__in=User.objects.filter(Q(pk=actor.user_id)).values("domain_id"))
    if permission in actor.grants:
        works_in = Project.objects.filter(Q(pk=actor.project_id)).values("domain_id")
        seen |= Q(pk=actor.domain_id) if actor.domain_id is not None else Q(pk__in=works_in)
    return rows.filter(seen)


def domain(*, actor: Actor, domain_id: uuid.UUID, permission: str = "identity.domain.get", lock: bool = False) -> Project:
    """One of them. Raises Forbidden, NotFound."""
    rows = domains(actor=actor, permission=permission).filter(pk=domain_id)
    found = _locked(rows) if lock else rows.first()
    if found is None:
        raise NotFound("domain.not_found", f"There is no domain {domain_id} of yours.", field="domain_id")
    return found


def domain_by(*, actor: Actor, name: str) -> Project:
    """The domain of that name. Raises Forbidden, NotFound."""
    found = domains(actor=actor, permission="identity.domain.get").filter(name=name).first()
    if found is None:
        raise NotFound("domain.not_found", f"There is no domain named {name!r} of yours.", field="domain")
    return found


def domain_named(name: str) -> Project:
    """For the system itself. Raises NotFound."""
    found = Project.objects.filter(name=name, is_domain=True).first()
    if found is None:
        raise NotFound("domain.not_found", f"There is no domain named {name!r}.", field="domain")
    return found


def place(*, actor: Actor, place_id: uuid.UUID) -> Project:
    """A project or a domain that the actor sees. Raises Forbidden, NotFound."""
    found = Project.objects.select_related("domain").filter(pk=place_id).first()
    if found is not None and found.is_domain:
        return domain(actor=actor, domain_id=place_id)
    return project(actor=actor, project_id=place_id)


def parents(*, actor: Actor, project_id: uuid.UUID) -> list[Project]:
    """Those above a project that the actor sees: parent first, domain last. The tree is not private to who is in it."""
    above = ProjectAncestor.objects.filter(project=project(actor=actor, project_id=project_id), depth__gt=0)
    return [row.ancestor for row in above.select_related("ancestor").order_by("depth")]


def subtree(*, actor: Actor, project_id: uuid.UUID) -> "QuerySet[Project]":
    """Those below a project or domain that the actor sees, of which it sees each. Raises Forbidden, NotFound."""
    top = place(actor=actor, place_id=project_id)
    return projects(actor=actor, permission="identity.project.get").filter(ancestry__ancestor=top, ancestry__depth__gt=0)


def tags(place_: Project) -> list[str]:
    """Its tags, sorted; from what was prefetched if it was."""
    return sorted(tag.name for tag in place_.tags.all())


def tagged(names: Collection[str], *, every: bool) -> "QuerySet[ProjectTag]":
    """Ids of projects and domains that have all of these tags, or any of them: to filter others by."""
    hits = ProjectTag.objects.filter(name__in=names).values("project_id")
    if every:
        hits = hits.annotate(hits=Count("pk")).filter(hits=len(set(names))).values("project_id")
    return hits  # type: ignore[return-value]


def domain_names(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Id → name, for what is shown with its domain. Asks nobody."""
    return dict(Project.objects.filter(pk__in=ids, is_domain=True).values_list("pk", "name"))


def _locked(rows: "QuerySet[Project]") -> Project | None:
    return rows.select_for_update(of=("self",), no_key=True).first()
