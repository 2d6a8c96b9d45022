"""Bearer tokens: made, checked, revoked."""

import base64
import hashlib
import secrets
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from apps.audit.services import record
from apps.common import clock, context
from apps.common.context import Actor
from apps.common.errors import Forbidden, NotFound, Unauthenticated
from apps.common.sql import insert_rows
from apps.identity import access_rules, policy, standing
from apps.identity.builtin import ROLE_IDS, Role
from apps.identity.models import ApplicationCredential, Project, Token, Trust, User
from apps.identity.permissions import MAKES_CREDENTIALS, OWN
from apps.identity.standing import Bearer, Shown, Standing

_PREFIX = "cs1_"
# How stale a `last_used_at` may be, so that reading costs no write.
_USE_NOTED_EVERY = timedelta(minutes=1)
# How often a trust may be handed on.
MOST_REDELEGATIONS = 3
# What is over is kept for so long, for those who ask what it was.
_KEPT = timedelta(days=7)
# Over itself a trust's token may do this: its user may be another one's.
_OWN_BY_TRUST = frozenset({
    "identity.token.validate", "identity.token.revoke", "identity.trust.list", "identity.trust.get", "identity.trust.create",
})


@dataclass(frozen=True)
class Issued:
    """A new token and the actor that it makes: `secret` is shown once and never again."""

    token: Token
    secret: str
    actor: Actor


@dataclass(frozen=True)
class Held:
    """A token that was checked: who holds it, and what it is."""

    actor: Actor
    bearer: Bearer


def make(
    *, user: User, place_id: uuid.UUID | None = None, system: bool = False, trust: Trust | None = None,
    application_credential_id: uuid.UUID | None = None, methods: Sequence[str] = (), parent: str = "", name: str = "",
    hours: int | None = None, not_after: datetime | None = None,
) -> tuple[Token, str]:
    """A new token and its secret; who may have it was decided by the caller (`signin`).

    `hours`: its life, by default the setting's; `not_after` ends it earlier. `parent`: the first audit id of its chain.
    """
    secret = _PREFIX + secrets.token_urlsafe(32)
    now = clock.now()
    expires_at = now + timedelta(hours=hours or settings.ENV.token_hours)
    audit_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
    token = Token(
        user=user, project_id=place_id, system=system, trust=trust, application_credential_id=application_credential_id,
        methods=list(methods), audit_ids=[audit_id, parent] if parent else [audit_id], name=name, prefix=secret[:12],
        digest=digest_of(secret), created_at=now, expires_at=min(expires_at, not_after) if not_after else expires_at,
    )
    insert_rows([token])
    return token, secret


def check(*, secret: str, address: str = "", service: str = "", method: str = "", path: str = "") -> Held:
    """Whose token this is, and what it may do now: one query.

    `service` (its type), `method`, `path`: the request that it comes with, for the access rules of application credentials.
    Raises Unauthenticated (the text tells expired from unknown), Forbidden `policy.access_rule`.
    """
    bearer = standing.by_digest(digest_of(secret))
    if bearer is None:
        raise Unauthenticated("auth.token_unknown", "This token is not known.")
    now = clock.now()
    if bearer.revoked_at is not None:
        raise Unauthenticated("auth.token_revoked", "This token was revoked.")
    if bearer.expires_at <= now:
        raise Unauthenticated("auth.token_expired", f"This token expired at {bearer.expires_at.isoformat(timespec='seconds')}.")
    actor = actor_of(bearer, address=address)
    if bearer.access_rules:
        require_rule(bearer, service=service, method=method, path=path)
    if is_worth_noting(bearer.last_used_at, now):
        Token.objects.filter(pk=bearer.id).update(last_used_at=now)
    return Held(actor, bearer)


def is_worth_noting(last_used_at: datetime | None, now: datetime) -> bool:
    """Whether a use of a token, key or credential now is to be written down: not again within a minute."""
    return last_used_at is None or now - last_used_at > _USE_NOTED_EVERY


def require_rule(bearer: Bearer, *, service: str, method: str, path: str) -> None:
    """Raises Forbidden `policy.access_rule` unless the access rules behind this token or key, if any, allow the request."""
    if not bearer.access_rules or access_rules.allows(bearer.access_rules, service=service, method=method, path=path):
        return
    raise Forbidden(
        "policy.access_rule",
        f"The application credential behind this has access rules, and none of them allows {method or 'this'} {path} of "
        f"{service or 'this service'}.",
        service=service, method=method,
    )


def actor_of(bearer: Bearer, *, address: str = "") -> Actor:
    """The Actor that holds a living token or key. Raises Unauthenticated if it is good for nothing any more."""
    found = bearer.standing
    if not found.enabled:
        raise Unauthenticated("auth.disabled", "This user or project is disabled.")
    if bearer.credential_expires_at is not None and bearer.credential_expires_at <= clock.now():
        raise Unauthenticated("auth.token_expired", "The application credential behind this has expired.")
    here, everywhere = standing.split(found.roles)
    own = OWN
    if bearer.trust_id is not None:
        here, everywhere, own = _by_trust(bearer), frozenset(), _OWN_BY_TRUST
    elif bearer.application_credential_id is not None:
        here, everywhere = here_of_credential(bearer, here), frozenset()
        own = OWN if bearer.credential_unrestricted else OWN - MAKES_CREDENTIALS
    elif found.place_id is None and not bearer.system:
        everywhere = frozenset()
    if not here and not everywhere and (found.place_id is not None or bearer.system):
        raise Unauthenticated("auth.no_role", "You have no role here any more.")
    return _actor(
        found, here, everywhere, own=own, system=bearer.system, patterns=bearer.credential_permissions, address=address,
        token_id=bearer.id,
    )


def here_of_credential(bearer: Bearer, held: frozenset[uuid.UUID]) -> frozenset[uuid.UUID]:
    """Of the roles that the credential was given, those that its owner still has, be it by implication."""
    return bearer.credential_roles & policy.closure(held, bearer.standing.version)


def actor_for(*, user_id: uuid.UUID, place_id: uuid.UUID | None, address: str = "") -> Actor:
    """The Actor of a signed-in user in a project or domain: one query. Raises Unauthenticated, Forbidden (no role there)."""
    found = standing.of(user_id, place_id)
    if found is None or not found.enabled or (place_id is not None and found.place_id is None):
        raise Unauthenticated("auth.disabled", "This user or project is disabled.")
    here, everywhere = standing.split(found.roles)
    if place_id is not None and not here and not everywhere:
        raise Forbidden("auth.not_member", "You have no role in this project.")
    return _actor(found, here, everywhere, address=address)


@transaction.atomic
def revoke(*, actor: Actor, token_id: uuid.UUID) -> None:
    """End a token at once, one's own or, with a role on the system, anybody's. Raises NotFound, Forbidden (one's own, but not so)."""
    token = Token.objects.filter(pk=token_id, revoked_at=None).first()
    if token is None or (token.user_id != actor.user_id and not policy.everywhere(actor, "identity.token.revoke")):
        raise NotFound("token.not_found", "There is no such token of yours.")
    policy.require(actor, "identity.token.revoke", user_id=token.user_id)
    if Token.objects.filter(pk=token_id, revoked_at=None).update(revoked_at=clock.now()):
        record.write(actor, "identity.token.revoke", "token", token_id, project_id=token.project_id, name=str(token))


def may_work_in(user_id: uuid.UUID, project_id: uuid.UUID) -> bool:
    """Whether the user has a role in this project, or administers the installation, and nothing of both is disabled: one query."""
    found = standing.of(user_id, project_id)
    if found is None or found.place_id is None or found.place_is_domain or not found.enabled:
        return False
    here, everywhere = standing.split(found.roles)
    return bool(here) or ROLE_IDS[Role.ADMIN] in everywhere


def revoke_all(*, actor: Actor, user_id: uuid.UUID | None = None, keep_this: bool = False) -> int:
    """End all tokens of a user, or one's own, with `keep_this` all but the one that the call came with. Returns how many.

    Raises Forbidden, NotFound.
    """
    whose = user_id or actor.user_id
    policy.require(actor, "identity.token.revoke", user_id=whose)
    if whose is None:
        return 0
    name = User.objects.filter(pk=whose).values_list("username", flat=True).first()
    if name is None:
        raise NotFound("user.not_found", f"There is no user {whose}.", field="user_id")
    with transaction.atomic():
        count = revoke_all_of([whose], except_token=actor.token_id if keep_this else None)
        if count:
            record.write(actor, "identity.token.revoke", "user", whose, name=name, changes={"ended": count})
    return count


def revoke_all_of(user_ids: Iterable[uuid.UUID], *, except_token: uuid.UUID | None = None) -> int:
    """End all tokens of these users, as after a new password; inside the caller's transaction. Returns how many."""
    living = Token.objects.filter(user_id__in=list(user_ids), revoked_at=None, expires_at__gt=clock.now())
    if except_token is not None:
        living = living.exclude(pk=except_token)
    return living.update(revoked_at=clock.now())


def prune() -> int:
    """Delete tokens that have been over for a week; how many."""
    old = clock.now() - _KEPT
    return Token.objects.filter(Q(expires_at__lt=old) | Q(revoked_at__lt=old)).delete()[0]


def validate(*, actor: Actor, secret: str, allow_expired: bool = False) -> tuple[Token, Actor]:
    """What a token is good for. Raises NotFound (unknown, expired, revoked, disabled), Forbidden (somebody else's)."""
    found = standing.shown_by_digest(digest_of(secret))
    if found is None or found.bearer.revoked_at is not None or (found.bearer.expires_at <= clock.now() and not allow_expired):
        raise NotFound("token.not_found", "Could not find token.")
    policy.require(actor, "identity.token.validate", user_id=found.bearer.standing.user_id)
    try:
        theirs = actor_of(found.bearer)
    except Unauthenticated:
        raise NotFound("token.not_found", "Could not find token.") from None
    return _as_row(found), theirs


def revoke_secret(*, actor: Actor, secret: str) -> None:
    """End the token with this secret. Raises NotFound."""
    bearer = standing.by_digest(digest_of(secret))
    if bearer is None or bearer.revoked_at is not None or bearer.expires_at <= clock.now():
        raise NotFound("token.not_found", "Could not find token.")
    revoke(actor=actor, token_id=bearer.id)


def token_row(token_id: uuid.UUID) -> Token:
    """The row with user, project and their domains. Raises NotFound."""
    rows = Token.objects.select_related("user__domain", "project__domain", "trust", "application_credential")
    found = rows.filter(pk=token_id).first()
    if found is None:
        raise NotFound("token.not_found", "Could not find token.")
    return found


def place_row(found: Standing) -> Project | None:
    """The project or domain that somebody works in, with its domain, as far as `standing` has read it: for those who show it."""
    if found.place_id is None:
        return None
    domain = None
    if not found.place_is_domain:
        domain = Project(id=found.place_domain_id, name=found.place_domain_name or "", is_domain=True, enabled=found.place_domain_enabled)
    return Project(
        id=found.place_id, name=found.place_name or "", is_domain=found.place_is_domain, enabled=found.place_enabled, domain=domain
    )


def _as_row(found: Shown) -> Token:
    """A token's row as far as it is shown, without asking again: validation is as frequent as requests to other services."""
    bearer, who = found.bearer, found.bearer.standing
    domain = Project(id=who.user_domain_id, name=who.user_domain_name, is_domain=True, enabled=who.user_domain_enabled)
    credential = None
    if bearer.application_credential_id is not None:
        credential = ApplicationCredential(
            id=bearer.application_credential_id, name=found.credential_name or "", unrestricted=bearer.credential_unrestricted
        )
    return Token(
        id=bearer.id, user=User(id=who.user_id, username=who.user_name, domain=domain, password_expires_at=found.password_expires_at),
        project=place_row(who), system=bearer.system, trust_id=bearer.trust_id, application_credential=credential,
        methods=found.methods, audit_ids=found.audit_ids, name=bearer.name, prefix=bearer.prefix, created_at=bearer.created_at,
        expires_at=bearer.expires_at, last_used_at=bearer.last_used_at,
    )


def digest_of(secret: str) -> str:
    """What is stored of a token: SHA-256 in hex. A token has 256 random bits, so it needs no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _by_trust(bearer: Bearer) -> frozenset[uuid.UUID]:
    """Roles of a trust that still holds, if the one who gave it first still has all of them. Raises Unauthenticated."""
    over = Unauthenticated("auth.trust_over", "The trust behind this has ended.")
    chain = "__".join(["redelegated_from"] * MOST_REDELEGATIONS)
    link = trust = Trust.objects.select_related(chain).filter(Q(pk=bearer.trust_id)).first()
    root = None
    while link is not None:
        if link.deleted_at is not None or (link.expires_at is not None and link.expires_at <= clock.now()):
            raise over
        root, link = link, link.redelegated_from
    if trust is None or root is None:
        raise over
    people = {trust.trustor_id, trust.trustee_id, root.trustor_id}
    if User.objects.filter(pk__in=people, is_active=True, domain__enabled=True).count() < len(people):
        raise over
    if trust.project_id is None:
        return frozenset()
    found = bearer.standing if bearer.standing.user_id == root.trustor_id else standing.of(root.trustor_id, trust.project_id)
    held = policy.closure(standing.split(found.roles)[0], found.version) if found is not None else frozenset()
    roles = frozenset(trust.roles.values_list("pk", flat=True))
    # All or nothing: a trust with a part of its roles would be another one.
    if not roles <= held:
        raise over
    return roles


def _actor(
    found: Standing, here: frozenset[uuid.UUID], everywhere: frozenset[uuid.UUID], *, own: frozenset[str] = OWN,
    system: bool = False, patterns: tuple[str, ...] | None = None, address: str = "", token_id: uuid.UUID | None = None,
) -> Actor:
    roles, grants, system_grants = _grants(here, everywhere, found.place_is_domain, system, found.version)
    if patterns is not None:
        grants, own = policy.matching(grants, patterns), policy.matching(own, patterns)
    place: dict[str, Any] = {"project_id": found.place_id, "domain_id": None}
    if found.place_is_domain:
        place = {"project_id": None, "domain_id": found.place_id}
    return Actor(
        user_id=found.user_id, user_name=found.user_name, roles=roles, grants=grants, system_grants=system_grants,
        own_grants=own, request_id=context.request_id.get(), address=address, token_id=token_id, **place,
    )


@lru_cache(maxsize=4096)
def _grants(
    here: frozenset[uuid.UUID], everywhere: frozenset[uuid.UUID], is_domain: bool, system: bool, version: int
) -> tuple[tuple[str, ...], frozenset[str], frozenset[str]]:
    """(names of roles, permissions in the place, permissions everywhere)."""
    named = everywhere if system else here
    everything = policy.grants("system", everywhere, version) if everywhere else frozenset()
    grants = policy.grants("domain" if is_domain else "project", here, version) if here else frozenset()
    return policy.role_names(named or everywhere, version), grants, everything
