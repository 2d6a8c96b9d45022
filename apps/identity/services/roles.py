"""Roles of the operator's own, roles of a domain's own, and what implies what. All processes see a change with the next request."""

import fnmatch
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

from django.db import IntegrityError, transaction

from apps.audit.services import record
from apps.common.checks import check_name
from apps.common.context import Actor
from apps.common.errors import Conflict, Forbidden, Invalid, InvalidState, NotFound
from apps.identity import builtin, policy, selectors
from apps.identity.fields import OF_ROLES, ROLE_NAME, check_mutable, check_text, merged
from apps.identity.models import ImpliedRole, Project, Role
from apps.identity.services import delegation, versions

_BUILTIN_PAIRS = {(builtin.ROLE_IDS[prior], builtin.ROLE_IDS[implied]) for prior, implied in builtin.IMPLIED}
_MOST_PERMISSIONS = 200


class RoleChanges(TypedDict, total=False):
    """What may be changed; `options` are put over those that there are, null takes one away."""

    name: str
    description: str
    permissions: Sequence[str]
    options: Mapping[str, Any]


def create_role(
    *, actor: Actor, name: str, description: str = "", permissions: Sequence[str] = (), domain_id: uuid.UUID | None = None,
    options: Mapping[str, Any] | None = None,
) -> Role:
    """A role with these permissions (names, or patterns such as `compute.*`), for everywhere or for one domain.

    Whoever may make roles in a domain only makes them of that domain. Raises Forbidden (also `role.beyond_own`), Invalid (a
    field; `role.permission`), NotFound (domain), Conflict (`role.exists`).
    """
    policy.require(actor, "identity.role.create")
    if domain_id is None and not policy.everywhere(actor, "identity.role.create"):
        domain_id = actor.domain_id
    if domain_id is not None and (
        not policy.allows(actor, "identity.role.create", domain_id=domain_id)
        or not Project.objects.filter(pk=domain_id, is_domain=True).exists()
    ):
        raise NotFound("domain.not_found", f"There is no domain {domain_id} of yours.", field="domain_id")
    _check_fields({"name": name, "description": description, "permissions": permissions})
    delegation.require_permissions(actor, "identity.role.create", permissions)
    options = merged({}, options or {}, OF_ROLES)
    try:
        with transaction.atomic():
            versions.bump()
            made = Role.objects.create(
                name=name, description=description, permissions=sorted(set(permissions)), domain_id=domain_id, options=options
            )
            record.write(
                actor, "identity.role.create", "role", made.pk, project_id=domain_id, name=name,
                changes={"permissions": tuple(made.permissions)},
            )
    except IntegrityError:
        if domain_id is not None and not Project.objects.filter(pk=domain_id).exists():
            raise NotFound("domain.not_found", f"There is no domain {domain_id} of yours.", field="domain_id") from None
        raise _exists(name) from None
    return made


def update_role(*, actor: Actor, role_id: uuid.UUID, **changes: Unpack[RoleChanges]) -> Role:
    """Change what is given. Raises NotFound, Forbidden (also `role.builtin`, `role.beyond_own`, `resource.immutable`), Invalid,
    Conflict (`role.exists`)."""
    policy.require(actor, "identity.role.update")
    _check_fields(changes)
    if "permissions" in changes:
        delegation.require_permissions(actor, "identity.role.update", changes["permissions"])
    try:
        with transaction.atomic():
            versions.bump()
            role = _mine(actor, role_id, "identity.role.update")
            check_mutable(role.options, changes, "role")
            wanted: dict[str, Any] = {name: changes[name] for name in ("name", "description") if name in changes}
            if "permissions" in changes:
                wanted["permissions"] = sorted(set(changes["permissions"]))
            if "options" in changes:
                wanted["options"] = merged(role.options, changes["options"], OF_ROLES)
            changed = record.changed(role, **wanted)
            for field, (_, value) in changed.items():
                setattr(role, field, value)
            if changed:
                role.save(update_fields=list(changed))
                record.write(
                    actor, "identity.role.update", "role", role.pk, project_id=role.domain_id, name=role.name, changes=changed
                )
    except IntegrityError:
        raise _exists(changes.get("name", "")) from None
    return role


@transaction.atomic
def delete_role(*, actor: Actor, role_id: uuid.UUID) -> None:
    """Delete a role; whoever has it loses it with the next request. Raises NotFound, Forbidden (also `role.builtin`,
    `resource.immutable`)."""
    policy.require(actor, "identity.role.delete")
    versions.bump()
    role = _mine(actor, role_id, "identity.role.delete")
    check_mutable(role.options, None, "role")
    Role.objects.select_for_update().filter(pk=role.pk).first()
    record.write(actor, "identity.role.delete", "role", role.pk, project_id=role.domain_id, name=role.name)
    Role.objects.filter(pk=role.pk).delete()


def imply(*, actor: Actor, prior_id: uuid.UUID, implied_id: uuid.UUID) -> ImpliedRole:
    """Whoever has `prior` also has `implied` from now on; again is no error.

    Raises NotFound, Forbidden (also `role.beyond_own`), InvalidState (`role.admin_implied`, `role.other_domain`,
    `role.circle`).
    """
    prior, implied = _pair(actor, prior_id, implied_id)
    if implied.pk == builtin.ROLE_IDS[builtin.Role.ADMIN]:
        raise InvalidState("role.admin_implied", f"{implied.pk} cannot be an implied roles.", field="implied_id")
    if implied.domain_id is not None and implied.domain_id != prior.domain_id:
        raise InvalidState(
            "role.other_domain", f"The role {implied.name} is of one domain; only roles of that domain imply it.", field="implied_id"
        )
    delegation.require_role(actor, "identity.implied_role.update", implied.pk, implied.name, "system")
    try:
        with transaction.atomic():
            versions.bump()  # one at a time: two of them could close a circle together
            if prior.pk == implied.pk or prior.pk in _all_of(implied.pk):
                raise InvalidState("role.circle", f"{implied.name} implies {prior.name} already.", field="implied_id")
            made, new = ImpliedRole.objects.get_or_create(prior=prior, implied=implied)
            if new:
                _record(actor, prior, implied, after=True)
    except IntegrityError:
        raise NotFound("role.not_found", "One of the roles was deleted at this moment.", field="role_id") from None
    return made


@transaction.atomic
def unimply(*, actor: Actor, prior_id: uuid.UUID, implied_id: uuid.UUID) -> None:
    """Take that back. Raises NotFound (role; `role.not_implied`), Forbidden (also `role.builtin`)."""
    prior, implied = _pair(actor, prior_id, implied_id)
    if (prior.pk, implied.pk) in _BUILTIN_PAIRS:
        raise Forbidden("role.builtin", f"That {prior.name} implies {implied.name} is built in.")
    versions.bump()
    if not ImpliedRole.objects.filter(prior=prior, implied=implied).delete()[0]:
        raise NotFound("role.not_implied", f"{prior.pk} does not imply {implied.pk}.", field="implied_id")
    _record(actor, prior, implied, after=False)


def _pair(actor: Actor, prior_id: uuid.UUID, implied_id: uuid.UUID) -> tuple[Role, Role]:
    policy.require(actor, "identity.implied_role.update")
    return selectors.role(actor=actor, role_id=prior_id), selectors.role(actor=actor, role_id=implied_id)


def _all_of(role_id: uuid.UUID) -> set[uuid.UUID]:
    """All that a role implies, read from the tables: the cache may not know this transaction."""
    implied: dict[uuid.UUID, set[uuid.UUID]] = {}
    for prior, after in ImpliedRole.objects.values_list("prior_id", "implied_id"):
        implied.setdefault(prior, set()).add(after)
    found: set[uuid.UUID] = set()
    waiting = [role_id]
    while waiting:
        for each in implied.get(waiting.pop(), set()) - found:
            found.add(each)
            waiting.append(each)
    return found


def _mine(actor: Actor, role_id: uuid.UUID, permission: str) -> Role:
    """A role that may be changed, locked."""
    if not policy.everywhere(actor, permission):
        shared = selectors.role(actor=actor, role_id=role_id)
        if shared.domain_id is None:
            policy.require_everywhere(actor, permission)
    role = selectors.role(actor=actor, role_id=role_id, permission=permission, lock=True)
    if role.builtin:
        raise Forbidden("role.builtin", f"The role {role.name} is built in; make one of your own.", field="role_id")
    return role


def _check_fields(given: RoleChanges) -> None:
    if "name" in given:
        check_name(given["name"], most=ROLE_NAME)
    if "description" in given:
        check_text(given["description"])
    wanted = given.get("permissions", ())
    if len(wanted) > _MOST_PERMISSIONS:
        raise Invalid("role.permission", f"permissions: at most {_MOST_PERMISSIONS} names or patterns.", field="permissions")
    for pattern in wanted:
        if not any(fnmatch.fnmatchcase(row.name, pattern) for row in policy.table()):
            raise Invalid(
                "role.permission", f"permissions: {pattern[:64]!r} is no permission, and matches none; see `manage.py policy_list`.",
                field="permissions",
            )


def _record(actor: Actor, prior: Role, implied: Role, *, after: bool) -> None:
    record.write(
        actor, "identity.implied_role.update", "role", prior.pk, project_id=prior.domain_id, name=prior.name,
        changes={"implies": [None, implied.name] if after else [implied.name, None]},
    )


def _exists(name: str) -> Conflict:
    return Conflict("role.exists", f"There is a role named {name!r} already.", field="name")
