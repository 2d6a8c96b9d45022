"""Roles as bodies name them: by id or by name."""

from collections.abc import Iterable

from apis.openstack.common.schema import Struct, missing


class RoleNamed(Struct, forbid_unknown_fields=True):
    """One of the two."""

    id: str | None = None
    name: str | None = None


def names_of(roles: Iterable[RoleNamed]) -> list[str]:
    """As services take them. Raises Invalid for a role without either."""
    return [_one(each) for each in roles]


def _one(role: RoleNamed) -> str:
    found = role.id or role.name
    if not found:
        raise missing("id or name", "roles")
    return found
