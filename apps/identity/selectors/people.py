"""Reads of users and groups. `permission`: what is to be done with them; it decides which of them can be seen."""

import uuid
from collections.abc import Collection

from django.db.models import Q, QuerySet

from apps.common.context import Actor
from apps.common.errors import NotFound
from apps.identity import builtin, policy
from apps.identity.models import Group, Project, User
from apps.identity.selectors.places import projects_with_a_role


def users(*, actor: Actor, permission: str = "identity.user.list") -> "QuerySet[User]":
    """All, those of the domain that the actor works in, or itself. Raises Forbidden."""
    if policy.everywhere(actor, permission):
        return User.objects.all()
    policy.require(actor, permission, user_id=actor.user_id)
    seen = Q(pk__in=[])
    if permission in actor.own_grants:
        seen |= Q(pk=actor.user_id)
    if permission in actor.grants and actor.domain_id is not None:
        seen |= Q(domain_id=actor.domain_id)
    return User.objects.filter(seen)


def user(*, actor: Actor, user_id: uuid.UUID, permission: str = "identity.user.get", lock: bool = False) -> User:
    """One of them; `lock`: to be changed in the caller's transaction. Raises Forbidden, NotFound."""
    policy.require(actor, permission, user_id=user_id if user_id == actor.user_id else None)
    rows = users(actor=actor, permission=permission).filter(pk=user_id)
    found = rows.select_for_update(no_key=True).first() if lock else rows.select_related("domain").first()
    if found is None:
        raise NotFound("user.not_found", f"There is no user {user_id} of yours.", field="user_id")
    return found


def user_named(username: str, domain_id: uuid.UUID = builtin.DEFAULT_DOMAIN_ID) -> User:
    """For the system itself. Raises NotFound."""
    found = User.objects.filter(username=username, domain_id=domain_id).first()
    if found is None:
        raise NotFound("user.not_found", f"There is no user named {username!r}.", field="username")
    return found


def user_names(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    """For who shows names beside ids that it may show."""
    return dict(User.objects.filter(pk__in=ids).values_list("pk", "username"))


def projects_of_user(*, actor: Actor, user_id: uuid.UUID) -> "QuerySet[Project]":
    """Enabled projects in which a user, whom the actor sees, has a role. Raises Forbidden, NotFound."""
    return projects_with_a_role(user(actor=actor, user_id=user_id).pk)


def groups_of_user(*, actor: Actor, user_id: uuid.UUID) -> "QuerySet[Group]":
    """Groups that a user, whom the actor sees, is in. Raises Forbidden, NotFound."""
    found = user(actor=actor, user_id=user_id)
    return Group.objects.filter(pk__in=found.memberships.values("group_id"))


def groups(*, actor: Actor, permission: str = "identity.group.list") -> "QuerySet[Group]":
    """All, or those of the domain that the actor works in. Raises Forbidden."""
    policy.require(actor, permission)
    if policy.everywhere(actor, permission):
        return Group.objects.all()
    return Group.objects.filter(Q(domain_id=actor.domain_id))


def group(*, actor: Actor, group_id: uuid.UUID, permission: str = "identity.group.get", lock: bool = False) -> Group:
    """One of them. Raises Forbidden, NotFound."""
    rows = groups(actor=actor, permission=permission).filter(pk=group_id)
    found = rows.select_for_update(no_key=True).first() if lock else rows.select_related("domain").first()
    if found is None:
        raise NotFound("group.not_found", f"There is no group {group_id} of yours.", field="group_id")
    return found


def group_named(name: str, domain_id: uuid.UUID = builtin.DEFAULT_DOMAIN_ID) -> Group:
    """For the system itself. Raises NotFound."""
    found = Group.objects.filter(name=name, domain_id=domain_id).first()
    if found is None:
        raise NotFound("group.not_found", f"There is no group named {name!r}.", field="group")
    return found


def members(*, actor: Actor, group_id: uuid.UUID) -> "QuerySet[User]":
    """Who is in a group. Raises Forbidden, NotFound."""
    found = group(actor=actor, group_id=group_id)
    return User.objects.filter(pk__in=found.members.values("user_id"))


def is_member(*, actor: Actor, group_id: uuid.UUID, user_id: uuid.UUID) -> bool:
    """Whether a user is in a group. Raises Forbidden, NotFound (no such group)."""
    return members(actor=actor, group_id=group_id).filter(pk=user_id).exists()
