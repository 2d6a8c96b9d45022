"""Projects: made, changed, deleted."""

import uuid

from django.db import IntegrityError, transaction

from apps.audit.services import record
from apps.common.checks import check_name
from apps.common.context import Actor
from apps.common.errors import Conflict, NotFound
from apps.identity import builtin, policy
from apps.identity.models import Project, ProjectAncestor


def ensure_project(*, actor: Actor, name: str, description: str = "") -> Project:
    """The project of that name in the default domain, made if there was none. Raises Forbidden."""
    found = Project.objects.filter(domain_id=builtin.DEFAULT_DOMAIN_ID, name=name).first()
    if found is not None:
        return found
    try:
        return create_project(actor=actor, name=name, description=description)
    except Conflict:
        return Project.objects.get(domain_id=builtin.DEFAULT_DOMAIN_ID, name=name)


def create_project(
    *, actor: Actor, name: str, description: str = "", domain_id: uuid.UUID | None = None, parent_id: uuid.UUID | None = None,
    enabled: bool = True,
) -> Project:
    """A project at the top of a domain (the actor's, else the default one), or below `parent_id`.

    Raises Forbidden, Invalid (name), NotFound (domain, parent), Conflict (name).
    """
    domain_id = domain_id or actor.domain_id or builtin.DEFAULT_DOMAIN_ID
    policy.require(actor, "identity.project.create", domain_id=domain_id)
    check_name(name, most=64)
    parent = Project.objects.filter(pk=parent_id or domain_id).first()
    if parent is None:
        field = "parent_id" if parent_id else "domain_id"
        raise NotFound("project.not_found", f"There is no project or domain {parent_id or domain_id}.", field=field)
    try:
        with transaction.atomic():
            made = Project.objects.create(
                domain_id=domain_id, parent=parent, name=name, description=description, enabled=enabled
            )
            place_below(made, parent)
            record.write(actor, "identity.project.create", "project", made.pk, project_id=made.pk, name=name)
    except IntegrityError:
        raise Conflict("project.exists", f"There is a project named {name!r} already.", field="name") from None
    return made


def place_below(project: Project, parent: Project | None) -> None:
    """Write down who stands above a new project or domain."""
    above = ProjectAncestor.objects.filter(project=parent).values_list("ancestor_id", "depth") if parent else []
    rows = [ProjectAncestor(project=project, ancestor_id=key, depth=depth + 1) for key, depth in above]
    ProjectAncestor.objects.bulk_create([ProjectAncestor(project=project, ancestor=project, depth=0), *rows])
