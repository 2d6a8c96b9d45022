"""Who has which role where: given and taken away."""

import uuid
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction

from apps.audit.services import record
from apps.common.context import Actor
from apps.common.errors import Forbidden, Invalid, NotFound
from apps.identity import builtin, policy
from apps.identity.models import Assignment, Group, Project, Role, User
from apps.identity.services import administrators, delegation

GIVE, TAKE, LIST = "identity.assignment.create", "identity.assignment.delete", "identity.assignment.list"
_PLACES = {True: "domain", False: "project", None: "project or domain"}


@dataclass(frozen=True, kw_only=True)
class Held:
    """Whose roles, and where: a user's or a group's, in a project or domain (`place_id`), or on the system.

    `is_domain`: the place is taken for a domain, or for a project; None: for either.
    """

    user_id: uuid.UUID | None = None
    group_id: uuid.UUID | None = None
    place_id: uuid.UUID | None = None
    is_domain: bool | None = None
    inherited: bool = False

    @property
    def system(self) -> bool:
        return self.place_id is None


@dataclass(frozen=True, kw_only=True)
class Given(Held):
    """One of these roles."""

    role_id: uuid.UUID


def give(*, actor: Actor, given: Given) -> Assignment:
    """Give a role; again is no error.

    Raises NotFound (role, user, group, place), Forbidden (also `role.beyond_own`, `role.other_domain`,
    `assignment.inherited_beyond`), Invalid.
    """
    role, place = _resolve(actor, GIVE, given)
    _not_beyond(actor, role, place, inherited=given.inherited)
    values = _values(given)
    try:
        with transaction.atomic():
            made, new = Assignment.objects.select_related("role", "user", "group", "project").get_or_create(**values)
            if new:
                _record(actor, GIVE, made, role)
    except IntegrityError:
        raise NotFound("assignment.vanished", "User, group, role or place was deleted at this moment.") from None
    return made


def take(*, actor: Actor, given: Given) -> None:
    """Take a role away; it is gone with the next request. Raises NotFound, Forbidden, InvalidState (`identity.last_admin`)."""
    role, _ = _resolve(actor, TAKE, given)
    guarded = given.system and role.pk == builtin.ROLE_IDS[builtin.Role.ADMIN]
    with transaction.atomic(), administrators.last_one_stays() if guarded else nullcontext():
        found = Assignment.objects.select_for_update().filter(**_values(given)).first()
        if found is None:
            raise NotFound("assignment.not_found", "There is no such role assignment.")
        _record(actor, TAKE, found, role)
        found.delete()


def take_by_id(*, actor: Actor, assignment_id: uuid.UUID) -> None:
    """The same by the id of the assignment."""
    policy.require(actor, TAKE)
    found = Assignment.objects.select_related("project").filter(pk=assignment_id).first()
    if found is None or not _may(actor, TAKE, found.project):
        raise NotFound("assignment.not_found", f"There is no role assignment {assignment_id} that you may take away.")
    take(actor=actor, given=given_of(found))


def check_role(*, actor: Actor, given: Given) -> Assignment:
    """The assignment itself, as it was given. Raises NotFound (also `assignment.not_found`), Forbidden, Invalid."""
    if not _own(actor, given):
        _resolve(actor, LIST, given)
    found = Assignment.objects.select_related("role", "user", "group", "project").filter(**_values(given)).first()
    if found is None:
        raise NotFound("assignment.not_found", "There is no such role assignment.")
    return found


def roles_held(*, actor: Actor, held: Held) -> list[Role]:
    """The roles that a user or group was given there, in the order of ids. Raises NotFound (user, group, place), Forbidden,
    Invalid."""
    if not _own(actor, held):
        _place(actor, LIST, held)
        _holder(held)
    rows = Assignment.objects.select_related("role").filter(**_values(held)).order_by("role_id")
    return [row.role for row in rows]


def given_of(row: Assignment) -> Given:
    """What an assignment says."""
    return Given(
        role_id=row.role_id, user_id=row.user_id, group_id=row.group_id, place_id=row.project_id, inherited=row.inherited
    )


def _may(actor: Actor, permission: str, place: Project | None) -> bool:
    if place is None:
        return policy.everywhere(actor, permission)
    return policy.allows(actor, permission, project_id=place.pk, domain_id=place.pk if place.is_domain else place.domain_id)


def _own(actor: Actor, held: Held) -> bool:
    """Whether the question is about the actor's own roles."""
    return held.user_id is not None and held.user_id == actor.user_id and LIST in actor.own_grants


def _resolve(actor: Actor, permission: str, given: Given) -> tuple[Role, Project | None]:
    place = _place(actor, permission, given)
    role = Role.objects.filter(pk=given.role_id).first()
    if role is None:
        raise NotFound("role.not_found", f"There is no role {given.role_id}.", field="role_id")
    _holder(given)
    if role.domain_id is not None and place is None:
        raise Invalid("role.of_domain", f"The role {role.name} is of one domain, so it is not given on the system.", field="role_id")
    if role.domain_id is not None and place is not None and role.domain_id != (place.pk if place.is_domain else place.domain_id):
        raise Forbidden("role.other_domain", f"The role {role.name} is of another domain.", field="role_id")
    return role, place


def _holder(held: Held) -> None:
    if (held.user_id is None) == (held.group_id is None):
        raise Invalid("assignment.holder", "Expected a user or a group, and not both.", field="user_id")
    if held.user_id is not None and not User.objects.filter(pk=held.user_id).exists():
        raise NotFound("user.not_found", f"There is no user {held.user_id}.", field="user_id")
    if held.group_id is not None and not Group.objects.filter(pk=held.group_id).exists():
        raise NotFound("group.not_found", f"There is no group {held.group_id}.", field="group_id")


def _place(actor: Actor, permission: str, given: Held) -> Project | None:
    """Where; None: on the system."""
    if given.place_id is None:
        if given.inherited:
            raise Invalid("assignment.inherited", "A role on the system is not inherited: it counts everywhere.", field="inherited")
        policy.require_everywhere(actor, permission)
        return None
    policy.require(actor, permission)
    place = Project.objects.filter(pk=given.place_id, **({} if given.is_domain is None else {"is_domain": given.is_domain})).first()
    if place is None or not _may(actor, permission, place):
        thing = "domain" if given.is_domain else "project"
        raise NotFound(f"{thing}.not_found", f"There is no {_PLACES[given.is_domain]} {given.place_id} of yours.", field=f"{thing}_id")
    return place


def _not_beyond(actor: Actor, role: Role, place: Project | None, *, inherited: bool) -> None:
    """Nobody gives what they do not have themselves: a project's admin none of an operator's own powerful roles, and none
    in the projects below."""
    if inherited and actor.domain_id is None and not policy.everywhere(actor, GIVE):
        raise Forbidden(
            "assignment.inherited_beyond", "A role that goes down to the projects below is given by the domain's admin.", field="inherited"
        )
    scope: policy.Scope = "system" if place is None else "domain" if place.is_domain and not inherited else "project"
    delegation.require_role(actor, GIVE, role.pk, role.name, scope)


def _values(held: Held) -> dict[str, Any]:
    values = {
        "user_id": held.user_id, "group_id": held.group_id, "project_id": held.place_id, "system": held.system,
        "inherited": held.inherited,
    }
    return values | {"role_id": held.role_id} if isinstance(held, Given) else values


def _record(actor: Actor, action: str, row: Assignment, role: Role) -> None:
    holder = {"user": str(row.user_id)} if row.user_id else {"group": str(row.group_id)}
    changes: dict[str, Any] = {"role": role.name, **holder, "inherited": row.inherited, "system": row.system}
    record.write(actor, action, "assignment", row.pk, project_id=row.project_id, name=role.name, changes=changes)


def give_named(*, actor: Actor, role: str, held: Held) -> Assignment:
    """`give`, with the role by its id or name. Raises what that raises."""
    policy.require(actor, GIVE)
    given = Given(
        role_id=role_named(role), user_id=held.user_id, group_id=held.group_id, place_id=held.place_id, is_domain=held.is_domain,
        inherited=held.inherited,
    )
    return give(actor=actor, given=given)


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
