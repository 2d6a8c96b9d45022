"""Who may do what: roles become permissions when a request comes in, services ask for them by name.

The table is in `permissions.py`; settings put the operator's file over it and refuse to start with a wrong one.
"""

import fnmatch
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from django.conf import settings

from apps.common.context import Actor
from apps.common.errors import Forbidden, Invalid
from apps.common.sql import one_row
from apps.identity.models import ImpliedRole
from apps.identity.models import Role as RoleRow
from apps.identity.permissions import Permission

Scope = Literal["project", "domain", "system"]


def require(
    actor: Actor, permission: str, *, project_id: uuid.UUID | None = None, domain_id: uuid.UUID | None = None,
    user_id: uuid.UUID | None = None,
) -> None:
    """Raises Forbidden `policy.forbidden`, naming permission and missing roles, unless `allows` says yes."""
    if allows(actor, permission, project_id=project_id, domain_id=domain_id, user_id=user_id):
        return
    scope: Scope = "domain" if actor.domain_id else "project" if actor.project_id else "system"
    row = rule(permission)
    needed = getattr(row, scope) or row.system or ()
    where = scope if getattr(row, scope) else "system"
    held = ", ".join(actor.roles) or "none"
    raise Forbidden(
        "policy.forbidden",
        f"This needs the permission {permission}, which the role {' or '.join(needed) or 'of nobody'} on the {where} gives; "
        f"your roles here: {held}.",
        permission=permission, roles_needed=list(needed), roles_held=list(actor.roles), scope=where,
    )


def allows(
    actor: Actor, permission: str, *, project_id: uuid.UUID | None = None, domain_id: uuid.UUID | None = None,
    user_id: uuid.UUID | None = None,
) -> bool:
    """Whether `actor` has the permission: everywhere, over itself (`user_id`), or where it works.

    Without a target the question is about the scope that the actor works in; with `project_id` or `domain_id` that scope
    must be one of them.
    """
    rule(permission)  # a name that is not in the table is a mistake in the code: KeyError
    if permission in actor.system_grants:
        return True
    if user_id is not None and user_id == actor.user_id and permission in actor.own_grants:
        return True
    if permission not in actor.grants:
        return False
    if project_id is None and domain_id is None:
        return user_id is None or user_id == actor.user_id
    return (project_id is not None and project_id == actor.project_id) or (domain_id is not None and domain_id == actor.domain_id)


def everywhere(actor: Actor, permission: str) -> bool:
    """Whether a role on the system gives it: then it is held in all projects."""
    rule(permission)
    return permission in actor.system_grants


def require_everywhere(actor: Actor, permission: str) -> None:
    """Raises Forbidden `policy.forbidden` unless a role on the system gives it."""
    if everywhere(actor, permission):
        return
    needed = rule(permission).system or ()
    raise Forbidden(
        "policy.forbidden",
        f"This needs the permission {permission} everywhere, which the role {' or '.join(needed) or 'of nobody'} on the system gives.",
        permission=permission, roles_needed=list(needed), roles_held=list(actor.roles), scope="system",
    )


def in_project(actor: Actor) -> uuid.UUID:
    """The project that the actor works in. Raises Invalid `auth.project_needed` if it works in none."""
    if actor.project_id is None:
        raise Invalid("auth.project_needed", "You work in no project: take a token for one, or become a member.", field="project")
    return actor.project_id


def rule(permission: str) -> Permission:
    """The row of the table, with the operator's file over it. Raises KeyError."""
    table: dict[str, Permission] = settings.POLICY
    return table[permission]


def table() -> list[Permission]:
    """All rows, by name."""
    return [row for _, row in sorted(settings.POLICY.items())]


@dataclass(frozen=True)
class Definition:
    """A role with all that it implies: `ids` and `names` include itself. `priors`: each that is implied → which role implies
    it directly."""

    id: uuid.UUID
    name: str
    domain_id: uuid.UUID | None
    patterns: frozenset[str]
    ids: frozenset[uuid.UUID]
    names: frozenset[str]
    priors: Mapping[uuid.UUID, uuid.UUID]


def version() -> int:
    """The number of the newest change of roles."""
    row = one_row("SELECT version FROM identity_policyversion WHERE id = 1", ())
    return row[0] if row else 0


@lru_cache(maxsize=4)
def definitions(version: int) -> dict[uuid.UUID, Definition]:
    """All roles as they are at this version; read once per process and version."""
    rows = {row.pk: row for row in RoleRow.objects.all()}
    implied: dict[uuid.UUID, set[uuid.UUID]] = {}
    for prior, after in ImpliedRole.objects.values_list("prior_id", "implied_id"):
        if after in rows:  # made between the two reads: the next version has it
            implied.setdefault(prior, set()).add(after)
    found = {}
    for key, row in rows.items():
        priors = _priors(key, implied)
        ids = frozenset({key, *priors})
        patterns = frozenset(pattern for each in ids for pattern in rows[each].permissions)
        names = frozenset(rows[each].name for each in ids if rows[each].domain_id is None)
        found[key] = Definition(key, row.name, row.domain_id, patterns, ids, names, priors)
    return found


def closure(role_ids: Iterable[uuid.UUID], at: int) -> frozenset[uuid.UUID]:
    """These roles and all that they imply."""
    known = definitions(at)
    return frozenset(each for key in role_ids if key in known for each in known[key].ids)


@lru_cache(maxsize=4096)
def grants(scope: Scope, role_ids: frozenset[uuid.UUID], at: int) -> frozenset[str]:
    """The permissions that these roles give in such a scope."""
    known = definitions(at)
    held = [known[key] for key in role_ids if key in known]
    names = frozenset(name for role in held for name in role.names)
    patterns = frozenset(pattern for role in held for pattern in role.patterns)
    table: dict[str, Permission] = settings.POLICY
    return frozenset(name for name, row in table.items() if _gives(getattr(row, scope), name, names, patterns))


@lru_cache(maxsize=4096)
def role_names(role_ids: frozenset[uuid.UUID], at: int) -> tuple[str, ...]:
    """Names of these roles and of what they imply, sorted; roles of a domain's own stand for what they imply."""
    known = definitions(at)
    return tuple(sorted({name for key in role_ids if key in known for name in known[key].names}))


def matching(permissions: frozenset[str], patterns: Iterable[str]) -> frozenset[str]:
    """Those that one of the patterns (`compute.*`) names."""
    listed = list(patterns)
    return frozenset(name for name in permissions if any(fnmatch.fnmatchcase(name, pattern) for pattern in listed))


def _gives(needed: tuple[str, ...] | None, name: str, names: frozenset[str], patterns: frozenset[str]) -> bool:
    if needed is None:
        return False
    return bool(names.intersection(needed)) or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _priors(start: uuid.UUID, implied: Mapping[uuid.UUID, set[uuid.UUID]]) -> dict[uuid.UUID, uuid.UUID]:
    found: dict[uuid.UUID, uuid.UUID] = {}
    waiting = [start]
    for prior in waiting:
        for each in sorted(implied.get(prior, ())):
            if each != start and each not in found:
                found[each] = prior
                waiting.append(each)
    return found
