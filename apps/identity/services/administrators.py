"""Somebody always administers the installation: who is the last one can neither be deleted, disabled nor lose the role.

And whoever has a role on the system is changed only by those who may do so everywhere: the admin of a domain could otherwise
set the password of an operator who lives in it, and be one.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from django.db.models import Q

from apps.common.context import Actor
from apps.common.errors import Forbidden, InvalidState
from apps.identity import builtin, policy
from apps.identity.models import Assignment, Group, Role, User

_ADMIN = builtin.ROLE_IDS[builtin.Role.ADMIN]


@contextmanager
def last_one_stays() -> Iterator[None]:
    """For the part of a transaction that may take an administrator away. Raises InvalidState `identity.last_admin` at its end
    if nobody is left who is enabled and has the role admin on the system."""
    if not connection.in_atomic_block:
        raise RuntimeError("what takes an administrator away is rolled back if it was the last one")
    # One at a time: two administrators who remove each other would both see the other one stay.
    Role.objects.select_for_update(no_key=True).filter(pk=_ADMIN).first()
    there_was_one = _is_there_one()
    yield
    if there_was_one and not _is_there_one():
        raise InvalidState(
            "identity.last_admin", "Nobody else administers this installation: give another user the role admin on the system first."
        )


def require_over_user(actor: Actor, permission: str, user: User) -> None:
    """Raises Forbidden `user.on_system` if the user has a role on the system and the actor not `permission` everywhere."""
    if policy.everywhere(actor, permission) or user.pk == actor.user_id:
        return
    if Assignment.objects.filter(Q(user=user) | Q(group__members__user=user), system=True).exists():
        raise Forbidden(
            "user.on_system", f"The user {user.username} has a role on the system, so this needs {permission} on the system.",
            permission=permission, scope="system",
        )


def require_over_group(actor: Actor, permission: str, group: Group) -> None:
    """The same for a group: whoever is put into it gets what it has."""
    if not policy.everywhere(actor, permission) and Assignment.objects.filter(group=group, system=True).exists():
        raise Forbidden(
            "group.on_system", f"The group {group.name} has a role on the system, so this needs {permission} on the system.",
            permission=permission, scope="system",
        )


def _is_there_one() -> bool:
    able = User.objects.filter(is_active=True, domain__enabled=True)
    given = Assignment.objects.filter(system=True, role_id=_ADMIN)
    return given.filter(Q(user__in=able) | Q(group__members__user__in=able)).exists()
