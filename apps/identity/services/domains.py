"""Domains: made, changed, deleted."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from django.db import IntegrityError, transaction
from django.db.models import Q

from apps.audit.services import record
from apps.common.checks import check_name
from apps.common.context import Actor
from apps.common.errors import Conflict, Forbidden, InvalidState, NotFound
from apps.common.ids import new_id
from apps.identity import builtin, policy, selectors
from apps.identity.fields import OF_PLACES, PROJECT_NAME, check_mutable, check_tags, check_text, merged
from apps.identity.models import Group, Project, ProjectTag, Role, User
from apps.identity.services import administrators, holdings, projects, versions
from apps.identity.services.projects import ProjectChanges


def create_domain(
    *, actor: Actor, name: str, description: str = "", enabled: bool = True, tags: Sequence[str] = (),
    options: Mapping[str, Any] | None = None, domain_id: uuid.UUID | None = None,
) -> Project:
    """A domain; `domain_id`: under this id. Raises Forbidden, Invalid, Conflict (`domain.exists`)."""
    policy.require(actor, "identity.domain.create")
    check_name(name, most=PROJECT_NAME)
    check_text(description)
    tags, options = check_tags(tags), merged({}, options or {}, OF_PLACES)
    try:
        with transaction.atomic():
            made = Project(
                pk=domain_id or new_id(), is_domain=True, name=name, description=description, enabled=enabled, options=options
            )
            made.save(force_insert=True)
            projects.place_below(made, None)
            ProjectTag.objects.bulk_create([ProjectTag(project=made, name=tag) for tag in tags])
            record.write(actor, "identity.domain.create", "domain", made.pk, project_id=made.pk, name=name)
    except IntegrityError:
        raise _exists(name) from None
    return made


def update_domain(*, actor: Actor, domain_id: uuid.UUID, **changes: Unpack[ProjectChanges]) -> Project:
    """Change what is given. With a disabled domain all its users and projects are out at once.

    Raises NotFound, Forbidden (also `resource.immutable`, `domain.default`), Invalid, Conflict (`domain.exists`),
    InvalidState (`identity.last_admin`).
    """
    projects.check_changes(changes)
    try:
        with transaction.atomic():
            domain = selectors.domain(actor=actor, domain_id=domain_id, permission="identity.domain.update", lock=True)
            check_mutable(domain.options, changes, "domain")
            if not changes.get("enabled", True) and domain.pk == builtin.DEFAULT_DOMAIN_ID:
                raise Forbidden("domain.default", "The default domain cannot be disabled: the installation lives in it.", field="enabled")
            with administrators.last_one_stays():
                projects.apply_changes(actor, "identity.domain.update", "domain", domain, changes)
    except IntegrityError:
        raise _exists(changes.get("name", "")) from None
    return domain


def delete_domain(*, actor: Actor, domain_id: uuid.UUID) -> None:
    """Delete a disabled domain with its projects, users, groups and roles; refused while a project of it has resources.

    Raises NotFound, Forbidden (also `domain.default`), InvalidState (`domain.enabled`, `identity.last_admin`), Conflict
    (`project.in_use`: facts say what is left).
    """
    with transaction.atomic():
        domain = selectors.domain(actor=actor, domain_id=domain_id, permission="identity.domain.delete")
        # Whoever makes something in it waits for this lock.
        locked = Project.objects.select_for_update().filter(pk=domain.pk).first()
        if locked is None:
            raise NotFound("domain.not_found", f"There is no domain {domain_id} of yours.", field="domain_id")
        if locked.pk == builtin.DEFAULT_DOMAIN_ID:
            raise Forbidden("domain.default", "The default domain cannot be deleted: the installation lives in it.")
        check_mutable(locked.options, None, "domain")
        if locked.enabled:
            raise InvalidState("domain.enabled", "Cannot delete a domain that is enabled, please disable it first.")
        if User.objects.filter(Q(pk=actor.user_id), domain=locked).exists():
            raise Forbidden("user.oneself", "You are a user of this domain: somebody else must delete it.")
        _delete(actor, locked)


def _delete(actor: Actor, domain: Project) -> None:
    """Leaves first: a project goes only when none is below it."""
    living = list(Project.objects.filter(domain=domain).select_for_update().order_by("pk"))
    while living:
        parents = {each.parent_id for each in living}
        leaves = [each for each in living if each.pk not in parents]
        projects.delete_all(actor, leaves)
        living = [each for each in living if each.pk in parents]
    with administrators.last_one_stays():
        users, groups = list(User.objects.filter(domain=domain)), list(Group.objects.filter(domain=domain))
        holdings.forget_users([user.pk for user in users])
        for kind, rows in (("user", users), ("group", groups)):
            entries = [record.Entry(resource_id=each.pk, name=str(each), project_id=domain.pk) for each in rows]
            record.write_many(actor, f"identity.{kind}.delete", kind, entries)
        User.objects.filter(domain=domain).delete()
        Group.objects.filter(domain=domain).delete()
    if Role.objects.filter(domain=domain).exists():
        versions.bump()
    domain_id = domain.pk
    record.write(actor, "identity.domain.delete", "domain", domain_id, name=domain.name, project_id=domain.pk)
    domain.delete()
    holdings.forget([domain_id])


def _exists(name: str) -> Conflict:
    return Conflict("domain.exists", f"There is a domain named {name!r} already, or one under this id.", field="name")
