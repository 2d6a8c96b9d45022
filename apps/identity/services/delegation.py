"""Nobody hands on what they do not have: neither by giving a role, nor by what they write into one."""

import uuid
from collections.abc import Iterable

from apps.common.context import Actor
from apps.common.errors import Forbidden
from apps.identity import builtin, policy
from apps.identity.policy import Scope

_SERVICE = builtin.ROLE_IDS[builtin.Role.SERVICE]


def require_role(actor: Actor, permission: str, role_id: uuid.UUID, role_name: str, scope: Scope) -> None:
    """Raises Forbidden `role.beyond_own` if the role gives more in `scope` than the actor, who uses `permission`, has."""
    at = policy.version()
    # Gives nothing in a project; but other clouds' services go by its name in tokens, whatever these are for.
    if _SERVICE in policy.closure([role_id], at) and not policy.everywhere(actor, permission):
        raise Forbidden(
            "role.beyond_own", f"The role {role_name} is for services of clouds; only who gives roles on the system gives it.",
            field="role_id", beyond=[],
        )
    _require(actor, permission, policy.grants(scope, frozenset({role_id}), at), scope, f"The role {role_name} has")


def require_permissions(actor: Actor, permission: str, patterns: Iterable[str]) -> None:
    """The same for a role that is to have these permissions."""
    works = _works(actor, permission)
    asked = frozenset(row.name for row in policy.table() if getattr(row, works) is not None)
    _require(actor, permission, policy.matching(asked, patterns), works, "These are")


def _require(actor: Actor, permission: str, handed: frozenset[str], scope: Scope, text: str) -> None:
    works = _works(actor, permission)
    # Whoever rules over a domain may staff its projects, though the roles of a domain do not reach into them.
    asked = [name for name in handed if works == scope or getattr(policy.rule(name), works)]
    beyond = sorted(name for name in asked if not policy.allows(actor, name))
    if beyond:
        more = f" and {len(beyond) - 5} more" if len(beyond) > 5 else ""
        raise Forbidden(
            "role.beyond_own", f"{text} permissions that you do not have yourself: {', '.join(beyond[:5])}{more}.",
            field="role_id", beyond=beyond[:20],
        )


def _works(actor: Actor, permission: str) -> Scope:
    """The scope out of which the actor has the permission."""
    if policy.everywhere(actor, permission):
        return "system"
    return "domain" if actor.domain_id is not None else "project"
