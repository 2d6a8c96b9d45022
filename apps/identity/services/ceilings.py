"""How much a user can hand to a program or to somebody else at most: what it has itself, now and by the way it came in."""

import uuid
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from apps.common.context import Actor
from apps.common.errors import Forbidden, Unauthenticated
from apps.identity import policy, standing
from apps.identity.access_rules import Rule
from apps.identity.models import Credential, Token

# The method of tokens that were had by a signature with an access key.
BY_ACCESS_KEY = "ec2credential"


@dataclass(frozen=True)
class Ceiling:
    """`roles` in a project, with all that they imply; the rest is of the application credential that the actor came by."""

    roles: frozenset[uuid.UUID]
    version: int
    permissions: tuple[str, ...] | None = None
    rules: frozenset[Rule] = frozenset()
    expires_at: datetime | None = None


def of(actor: Actor, project_id: uuid.UUID) -> Ceiling:
    """Raises Unauthenticated (the system itself has nothing to hand on), Forbidden `auth.bound` (came by a trust)."""
    found = standing.of(user_of(actor), project_id)
    assert found is not None, "its user is there, or it would not have come in"
    held = policy.closure(standing.split(found.roles)[0], found.version)
    token = came_by(actor)
    if token is not None and token.trust_id is not None:
        raise Forbidden("auth.bound", "A token by a trust makes no credentials.")
    parent = token.application_credential if token is not None else None
    if parent is None:
        return Ceiling(held, found.version)
    rules = frozenset(Rule(rule.service, rule.method, rule.path) for rule in parent.access_rules.all())
    return Ceiling(
        held & frozenset(parent.roles.values_list("pk", flat=True)), found.version,
        tuple(parent.permissions) if parent.permissions is not None else None, rules, parent.expires_at,
    )


def user_of(actor: Actor) -> uuid.UUID:
    """Raises Unauthenticated for the system itself."""
    if actor.user_id is None:
        raise Unauthenticated("auth.required", "This is for users, and the system itself is none.")
    return actor.user_id


def came_by(actor: Actor) -> Token | None:
    """The token that the actor came with; None for a browser.

    Raises Forbidden `auth.bound` for an access key: it is for one project, and what its owner makes may be for any.
    """
    if actor.token_id is None:
        return None
    found = Token.objects.select_related("application_credential", "trust").filter(pk=actor.token_id).first()
    if found is None or BY_ACCESS_KEY in found.methods:
        raise Forbidden("auth.bound", "Who comes by an access key makes no credentials, trusts and keys.")
    return found


def reads_secrets(actor: Actor) -> Callable[[Credential], bool]:
    """Which kept secrets are shown to the actor again: its user's own; to a program those that are bound to it, for the
    others reach further than it."""
    try:
        token = came_by(actor)
    except Forbidden:
        return lambda _: False
    if token is not None and token.trust_id is not None:
        return lambda _: False
    program = token.application_credential_id if token is not None else None
    return lambda row: row.user_id == actor.user_id and (program is None or row.application_credential_id == program)


def roles_named(asked: Iterable[str], held: Collection[uuid.UUID], version: int) -> tuple[list[uuid.UUID], list[str]]:
    """Of the roles held, those that are named by id or name; and the names that are none of them."""
    known = policy.definitions(version)
    ids = {known[key].name: key for key in held if key in known and known[key].domain_id is None} | {str(key): key for key in held}
    wanted = [_plain(name) for name in asked]
    return [ids[name] for name in wanted if name in ids], [name for name in wanted if name not in ids]


def _plain(name: str) -> str:
    """An id may come without dashes, as Identity v3 writes it."""
    try:
        return str(uuid.UUID(name))
    except ValueError:
        return name
