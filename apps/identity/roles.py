"""Roles in a project, each including the ones before it."""

import enum
import uuid

from apps.common.context import Actor
from apps.common.errors import Forbidden, Invalid


class Role(enum.StrEnum):
    """READER looks, MEMBER also changes the project's resources, ADMIN also its members."""

    READER = "reader"
    MEMBER = "member"
    ADMIN = "admin"


RANK = {Role.READER: 0, Role.MEMBER: 1, Role.ADMIN: 2}


def require(actor: Actor, role: Role) -> None:
    """Raises Forbidden, naming the role that is missing."""
    if actor.is_admin or RANK[Role(actor.role)] >= RANK[role]:
        return
    raise Forbidden(
        "auth.role", f"This needs the role {role.value} in the project; you have {actor.role}.",
        role_needed=role.value, role_held=actor.role,
    )


def require_operator(actor: Actor) -> None:
    """Raises Forbidden unless the actor administers the whole installation."""
    if not actor.is_admin:
        raise Forbidden("auth.operator", "This is for operators of the installation only.")


def in_project(actor: Actor) -> uuid.UUID:
    """The project that the actor works in. Raises Invalid for an operator who has chosen none."""
    if actor.project_id is None:
        raise Invalid("auth.project_needed", "You work in no project: take a token for one, or become a member.", field="project")
    return actor.project_id
