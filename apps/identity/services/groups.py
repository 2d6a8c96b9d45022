"""Groups: made, changed, deleted, and who is in them."""

import uuid
from typing import TypedDict, Unpack

from django.db import IntegrityError, transaction

from apps.audit.services import record
from apps.common.checks import check_name
from apps.common.context import Actor
from apps.common.errors import Conflict, Forbidden, NotFound
from apps.identity import policy, selectors
from apps.identity.fields import GROUP_NAME, check_text
from apps.identity.models import Group, GroupMember, Project, User
from apps.identity.services import administrators
from apps.identity.services.users import owner_of


class GroupChanges(TypedDict, total=False):
    """What may be changed."""

    name: str
    description: str


def create_group(*, actor: Actor, name: str, description: str = "", domain_id: uuid.UUID | None = None) -> Group:
    """A group of a domain (the actor's, else the default one). Raises Forbidden, Invalid, NotFound (domain), Conflict
    (`group.exists`)."""
    policy.require(actor, "identity.group.create")
    domain_id = owner_of(actor, "identity.group.create", domain_id)
    _check_fields({"name": name, "description": description})
    try:
        with transaction.atomic():
            made = Group.objects.create(name=name, description=description, domain_id=domain_id)
            record.write(actor, "identity.group.create", "group", made.pk, project_id=domain_id, name=name)
    except IntegrityError:
        if not Project.objects.filter(pk=domain_id).exists():
            raise NotFound("domain.not_found", f"There is no domain {domain_id} of yours.", field="domain_id") from None
        raise _exists(name) from None
    return made


def update_group(*, actor: Actor, group_id: uuid.UUID, **changes: Unpack[GroupChanges]) -> Group:
    """Change what is given. Raises NotFound, Forbidden (also `group.read_only`), Invalid, Conflict (`group.exists`)."""
    _check_fields(changes)
    try:
        with transaction.atomic():
            group = selectors.group(actor=actor, group_id=group_id, permission="identity.group.update", lock=True)
            changed = record.changed(group, **changes)
            if "name" in changed:
                _of_ours(group, "name")
            for field, (_, value) in changed.items():
                setattr(group, field, value)
            if changed:
                group.save(update_fields=list(changed))
                record.write(
                    actor, "identity.group.update", "group", group.pk, project_id=group.domain_id, name=group.name, changes=changed
                )
    except IntegrityError:
        raise _exists(changes.get("name", "")) from None
    return group


def delete_group(*, actor: Actor, group_id: uuid.UUID) -> None:
    """Delete a group with the roles that its users have by it. Raises NotFound, Forbidden (also `group.on_system`),
    InvalidState (`identity.last_admin`)."""
    permission = "identity.group.delete"
    with transaction.atomic():
        group = selectors.group(actor=actor, group_id=group_id, permission=permission)
        administrators.require_over_group(actor, permission, group)
        with administrators.last_one_stays():
            if Group.objects.select_for_update().filter(pk=group.pk).first() is None:
                raise _none(group_id)
            record.write(actor, permission, "group", group.pk, project_id=group.domain_id, name=group.name)
            Group.objects.filter(pk=group.pk).delete()


def add_member(*, actor: Actor, group_id: uuid.UUID, user_id: uuid.UUID) -> None:
    """Put a user, of whatever domain, into a group: it has the group's roles with the next request. Again is no error.

    Raises NotFound (group, user), Forbidden (also `group.on_system`, `group.read_only`).
    """
    permission = "identity.group.members"
    try:
        with transaction.atomic():
            group = _group(actor, group_id)
            user = User.objects.filter(pk=user_id).first()
            if user is None:
                raise NotFound("user.not_found", f"There is no user {user_id}.", field="user_id")
            _, made = GroupMember.objects.get_or_create(group=group, user=user)
            if made:
                _record(actor, permission, group, user, after=True)
    except IntegrityError:
        raise NotFound("user.not_found", "User or group was deleted at this moment.", field="user_id") from None


def remove_member(*, actor: Actor, group_id: uuid.UUID, user_id: uuid.UUID) -> None:
    """Take a user out of a group: its roles are gone with the next request.

    Raises NotFound (group; `group.no_member`), Forbidden (also `group.on_system`, `group.read_only`), InvalidState
    (`identity.last_admin`).
    """
    permission = "identity.group.members"
    with transaction.atomic():
        group = _group(actor, group_id)
        member = GroupMember.objects.select_related("user").filter(group=group, user_id=user_id).first()
        if member is None:
            raise NotFound("group.no_member", f"User {user_id} is not in the group {group.name}.", field="user_id")
        with administrators.last_one_stays():
            if GroupMember.objects.filter(pk=member.pk).delete()[0]:
                _record(actor, permission, group, member.user, after=False)


def _group(actor: Actor, group_id: uuid.UUID) -> Group:
    """A group whose members this actor may change."""
    group = selectors.group(actor=actor, group_id=group_id, permission="identity.group.members")
    administrators.require_over_group(actor, "identity.group.members", group)
    _of_ours(group, "members")
    return group


def _of_ours(group: Group, field: str) -> None:
    if group.source != "database":
        raise Forbidden("group.read_only", f"{group.name} comes from the directory: change its {field} there.", field=field)


def _check_fields(given: GroupChanges) -> None:
    if "name" in given:
        check_name(given["name"], most=GROUP_NAME)
    if "description" in given:
        check_text(given["description"])


def _record(actor: Actor, permission: str, group: Group, user: User, *, after: bool) -> None:
    record.write(
        actor, permission, "group", group.pk, project_id=group.domain_id, name=group.name,
        changes={"member": [None, user.username] if after else [user.username, None]},
    )


def _none(group_id: uuid.UUID) -> NotFound:
    return NotFound("group.not_found", f"There is no group {group_id} of yours.", field="group_id")


def _exists(name: str) -> Conflict:
    return Conflict("group.exists", f"There is a group named {name!r} in this domain already.", field="name")
