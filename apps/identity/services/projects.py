"""Projects: made, changed, deleted. Domains have a module of their own, tags too."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

from django.db import IntegrityError, transaction
from django.db.models import Max, Q

from apps.audit.services import record
from apps.common.checks import check_name
from apps.common.context import Actor
from apps.common.errors import Conflict, Invalid, InvalidState, NotFound
from apps.identity import builtin, policy, selectors
from apps.identity.fields import OF_PLACES, PROJECT_NAME, check_mutable, check_tags, check_text, merged
from apps.identity.models import Project, ProjectAncestor, ProjectTag, User
from apps.identity.services import holdings

# Levels of a tree, the domain among them.
MOST_LEVELS = 5


class ProjectChanges(TypedDict, total=False):
    """What may be changed; `options` are put over those that there are, null takes one away."""

    name: str
    description: str
    enabled: bool
    options: Mapping[str, Any]
    tags: Sequence[str]


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
    enabled: bool = True, tags: Sequence[str] = (), options: Mapping[str, Any] | None = None,
) -> Project:
    """A project at the top of a domain (the parent's, the actor's, else the default one), or below `parent_id`.

    Raises Forbidden, Invalid (a field; `project.parent_domain`, `project.parent_disabled`), NotFound (domain, parent),
    InvalidState (`project.too_deep`), Conflict (`project.exists`).
    """
    policy.require(actor, "identity.project.create")
    check_name(name, most=PROJECT_NAME)
    check_text(description)
    tags, options = check_tags(tags), merged({}, options or {}, OF_PLACES)
    try:
        with transaction.atomic():
            parent = _parent(actor, domain_id, parent_id, enabled=enabled)
            made = Project.objects.create(
                domain_id=parent.domain_id or parent.pk, parent=parent, name=name, description=description, enabled=enabled,
                options=options,
            )
            place_below(made, parent)
            ProjectTag.objects.bulk_create([ProjectTag(project=made, name=tag) for tag in tags])
            record.write(actor, "identity.project.create", "project", made.pk, project_id=made.pk, name=name)
    except IntegrityError:
        raise _exists(name) from None
    return made


def update_project(*, actor: Actor, project_id: uuid.UUID, **changes: Unpack[ProjectChanges]) -> Project:
    """Change what is given. A disabled project is out at once: its tokens are good for nothing while it is.

    Raises NotFound, Forbidden (also `resource.immutable`), Invalid, Conflict (`project.exists`), InvalidState
    (`project.children_enabled`, `project.parent_disabled`).
    """
    check_changes(changes)
    try:
        with transaction.atomic():
            project = selectors.project(actor=actor, project_id=project_id, permission="identity.project.update")
            above = Project.objects.select_for_update(no_key=True).get(Q(pk=project.parent_id))  # parents first: no deadlock
            project = selectors.project(actor=actor, project_id=project_id, permission="identity.project.update", lock=True)
            check_mutable(project.options, changes, "project")
            if "enabled" in changes and changes["enabled"] != project.enabled:
                _may_switch(project, above, on=changes["enabled"])
            apply_changes(actor, "identity.project.update", "project", project, changes)
    except IntegrityError:
        raise _exists(changes.get("name", "")) from None
    return project


def delete_project(*, actor: Actor, project_id: uuid.UUID) -> None:
    """Delete a project that has nothing any more, with all roles in it, tokens and application credentials for it.

    Raises NotFound, Forbidden, InvalidState (`project.has_children`), Conflict (`project.in_use`: facts say what is left).
    """
    with transaction.atomic():
        project = selectors.project(actor=actor, project_id=project_id, permission="identity.project.delete")
        # Whoever makes a child, or refers to it, waits for this lock.
        locked = Project.objects.select_for_update().filter(pk=project.pk).first()
        if locked is None:
            raise NotFound("project.not_found", f"There is no project {project_id} of yours.", field="project_id")
        check_mutable(locked.options, None, "project")
        if Project.objects.filter(parent=locked).exists():
            raise InvalidState("project.has_children", f"The project {locked.name} has projects below it; delete these first.")
        delete_all(actor, [locked])


def delete_all(actor: Actor, projects: Sequence[Project]) -> None:
    """Delete projects without children, locked by the caller. Raises Conflict `project.in_use`."""
    ids = [project.pk for project in projects]
    holdings.require_none(ids)
    User.objects.filter(default_project_id__in=ids).update(default_project_id=None)
    entries = [record.Entry(resource_id=each.pk, name=each.name, project_id=each.pk) for each in projects]
    record.write_many(actor, "identity.project.delete", "project", entries)
    Project.objects.filter(pk__in=ids).delete()
    holdings.forget(ids)


def place_below(project: Project, parent: Project | None) -> None:
    """Write down who stands above a new project or domain."""
    above = ProjectAncestor.objects.filter(project=parent).values_list("ancestor_id", "depth") if parent else []
    rows = [ProjectAncestor(project=project, ancestor_id=key, depth=depth + 1) for key, depth in above]
    ProjectAncestor.objects.bulk_create([ProjectAncestor(project=project, ancestor=project, depth=0), *rows])


def check_changes(changes: Mapping[str, Any]) -> None:
    """Fields of a project or a domain. Raises Invalid."""
    if "name" in changes:
        check_name(changes["name"], most=PROJECT_NAME)
    if "description" in changes:
        check_text(changes["description"])
    if "tags" in changes:
        check_tags(changes["tags"])


def apply_changes(actor: Actor, action: str, kind: str, place: Project, changes: Mapping[str, Any]) -> None:
    """Write the checked changes of a locked project or domain, and the record of them. Raises Invalid (options)."""
    wanted = {name: changes[name] for name in ("name", "description", "enabled") if name in changes}
    if "options" in changes:
        wanted["options"] = merged(place.options, changes["options"], OF_PLACES)
    changed: dict[str, Any] = record.changed(place, **wanted)
    for field, (_, value) in changed.items():
        setattr(place, field, value)
    if changed:
        place.save(update_fields=list(changed))
    if "tags" in changes:
        before, after = selectors.tags(place), sorted(changes["tags"])
        if before != after:
            changed["tags"] = [before, after]
            replace_tags(place, after)
    if changed:
        record.write(actor, action, kind, place.pk, project_id=place.pk, name=place.name, changes=changed)


def replace_tags(place: Project, tags: Sequence[str]) -> None:
    """These tags and no others, of a locked project or domain."""
    ProjectTag.objects.filter(project=place).exclude(name__in=tags).delete()
    ProjectTag.objects.bulk_create([ProjectTag(project=place, name=tag) for tag in tags], ignore_conflicts=True)


def _parent(actor: Actor, domain_id: uuid.UUID | None, parent_id: uuid.UUID | None, *, enabled: bool) -> Project:
    """The row above a new project, locked, so that it stays and stays enabled."""
    key = parent_id or domain_id or actor.domain_id or builtin.DEFAULT_DOMAIN_ID
    found = Project.objects.select_for_update(no_key=True).filter(pk=key).first()
    field = "parent_id" if parent_id else "domain_id"
    if found is None or (field == "domain_id" and not found.is_domain) or not _may_create(actor, found):
        raise NotFound(
            "project.not_found" if parent_id else "domain.not_found",
            f"There is no {'project or domain' if parent_id else 'domain'} {key} of yours.", field=field,
        )
    of = found.pk if found.is_domain else found.domain_id
    if domain_id is not None and of != domain_id:
        raise Invalid("project.parent_domain", "The parent is in another domain.", field="parent_id")
    if not found.enabled and enabled:
        raise Invalid("project.parent_disabled", f"{found.name} is disabled, so nothing enabled is made below it.", field=field)
    depth = ProjectAncestor.objects.filter(project=found).aggregate(most=Max("depth"))["most"] or 0
    if depth + 2 > MOST_LEVELS:
        raise InvalidState(
            "project.too_deep", f"A tree has at most {MOST_LEVELS} levels, the domain among them.", field="parent_id", most=MOST_LEVELS
        )
    return found


def _may_create(actor: Actor, parent: Project) -> bool:
    return policy.allows(actor, "identity.project.create", domain_id=parent.pk if parent.is_domain else parent.domain_id)


def _may_switch(project: Project, above: Project, *, on: bool) -> None:
    if on and not above.enabled:
        raise InvalidState("project.parent_disabled", f"{above.name}, above it, is disabled; enable that first.", field="enabled")
    if not on and Project.objects.filter(parent=project, enabled=True).exists():
        raise InvalidState(
            "project.children_enabled", f"Projects below {project.name} are enabled; disable these first.", field="enabled"
        )


def _exists(name: str) -> Conflict:
    return Conflict("project.exists", f"There is a project named {name!r} in this domain already.", field="name")
