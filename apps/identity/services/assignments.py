"""Who has which role where: given and taken away."""

import uuid
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction

from apps.audit.services import record
from apps.common.context import Actor
from apps.common.errors import Forbidden, Invalid, NotFound
from apps.identity import builtin, policy
from apps.identity.models import Assignment, Group, Project, Role, User


@dataclass(frozen=True, kw_only=True)
class Given:
    """A role of a user or a group: in a project or domain (`place_id`), or on the system."""

    role_id: uuid.UUID
    user_id: uuid.UUID | None = None
    group_id: uuid.UUID | None = None
    place_id: uuid.UUID | None = None
    inherited: bool = False

    @property
    def system(self) -> bool:
        return self.place_id is None


def give(*, actor: Actor, given: Given) -> Assignment:
    """Give a role; again is no error. Raises Forbidden, NotFound (role, user, group, place), Invalid."""
    role, place = _resolve(actor, "identity.assignment.create", given)
    _not_beyond(actor, role, place)
    values = _values(given)
    try:
        with transaction.atomic():
            made, new = Assignment.objects.get_or_create(**values)
            if new:
                _record(actor, "identity.assignment.create", made, role)
    except IntegrityError:
        raise NotFound("assignment.vanished", "User, group, role or place was deleted at this moment.") from None
    return made


def take(*, actor: Actor, given: Given) -> None:
    """Take a role away; it is gone with the next request. Raises Forbidden, NotFound."""
    role, _ = _resolve(actor, "identity.assignment.delete", given)
    with transaction.atomic():
        found = Assignment.objects.select_for_update().filter(**_values(given)).first()
        if found is None:
            raise NotFound("assignment.not_found", "There is no such role assignment.")
        _record(actor, "identity.assignment.delete", found, role)
        found.delete()


def take_by_id(*, actor: Actor, assignment_id: uuid.UUID) -> None:
    """The same by the id of the assignment."""
    found = Assignment.objects.select_related("project").filter(pk=assignment_id).first()
    if found is None or not _may(actor, "identity.assignment.delete", found.project):
        raise NotFound("assignment.not_found", f"There is no role assignment {assignment_id} that you may take away.")
    take(actor=actor, given=given_of(found))


def given_of(row: Assignment) -> Given:
    """What an assignment says."""
    return Given(
        role_id=row.role_id, user_id=row.user_id, group_id=row.group_id, place_id=row.project_id, inherited=row.inherited
    )


def _may(actor: Actor, permission: str, place: Project | None) -> bool:
    if place is None:
        return policy.everywhere(actor, permission)
    return policy.allows(actor, permission, project_id=place.pk, domain_id=place.pk if place.is_domain else place.domain_id)


def _resolve(actor: Actor, permission: str, given: Given) -> tuple[Role, Project | None]:
    if (given.user_id is None) == (given.group_id is None):
        raise Invalid("assignment.holder", "Expected a user or a group, and not both.", field="user_id")
    place = None
    if given.place_id is not None:
        place = Project.objects.filter(pk=given.place_id).first()
        if place is None:
            raise NotFound("project.not_found", f"There is no project or domain {given.place_id}.", field="project_id")
        policy.require(actor, permission, project_id=place.pk, domain_id=place.pk if place.is_domain else place.domain_id)
    elif given.inherited:
        raise Invalid("assignment.inherited", "A role on the system is not inherited: it counts everywhere.", field="inherited")
    else:
        policy.require_everywhere(actor, permission)
    role = Role.objects.filter(pk=given.role_id).first()
    if role is None:
        raise NotFound("role.not_found", f"There is no role {given.role_id}.", field="role_id")
    if given.user_id is not None and not User.objects.filter(pk=given.user_id).exists():
        raise NotFound("user.not_found", f"There is no user {given.user_id}.", field="user_id")
    if given.group_id is not None and not Group.objects.filter(pk=given.group_id).exists():
        raise NotFound("group.not_found", f"There is no group {given.group_id}.", field="group_id")
    if role.domain_id is not None and (place is None or role.domain_id != (place.pk if place.is_domain else place.domain_id)):
        raise Forbidden("role.other_domain", f"The role {role.name} is of another domain.", field="role_id")
    return role, place


def _not_beyond(actor: Actor, role: Role, place: Project | None) -> None:
    """Nobody gives what they do not have themselves: a project's admin none of an operator's own powerful roles."""
    if place is None or policy.everywhere(actor, "identity.assignment.create"):
        return
    scope: policy.Scope = "domain" if place.is_domain else "project"
    beyond = policy.grants(scope, frozenset({role.pk}), policy.version()) - actor.grants
    if beyond and not (actor.domain_id and scope == "project"):
        raise Forbidden(
            "role.beyond_own", f"The role {role.name} has permissions that you do not have: {', '.join(sorted(beyond)[:5])}.",
            field="role_id",
        )


def _values(given: Given) -> dict[str, Any]:
    return {
        "role_id": given.role_id, "user_id": given.user_id, "group_id": given.group_id, "project_id": given.place_id,
        "system": given.system, "inherited": given.inherited,
    }


def _record(actor: Actor, action: str, row: Assignment, role: Role) -> None:
    holder = {"user": str(row.user_id)} if row.user_id else {"group": str(row.group_id)}
    changes = {"role": role.name, **holder, "inherited": row.inherited, "system": row.system}
    record.write(actor, action, "assignment", row.pk, project_id=row.project_id, name=role.name, changes=changes)


def role_named(given: str) -> uuid.UUID:
    """The id of a role by its id, or, for roles without a domain, by its name. Raises NotFound."""
    if given in builtin.ROLE_IDS:
        return builtin.ROLE_IDS[builtin.Role(given)]
    try:
        rows = Role.objects.filter(pk=uuid.UUID(given))
    except ValueError:
        rows = Role.objects.filter(name=given, domain=None)
    found = rows.values_list("pk", flat=True).first()
    if found is None:
        raise NotFound("role.not_found", f"There is no role {given!r}.", field="role")
    return found
