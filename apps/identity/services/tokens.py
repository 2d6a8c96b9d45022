"""Bearer tokens: made, checked, revoked."""

import hashlib
import secrets
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import authenticate
from django.db.models import F, OuterRef, Q, QuerySet, Subquery

from apps.common import clock, context
from apps.common.context import Actor
from apps.common.errors import Forbidden, Invalid, NotFound, Unauthenticated
from apps.common.sql import Compiled
from apps.identity.models import Membership, Project, Token, User

_PREFIX = "cs1_"
# How stale `last_used_at` may be, so that reading costs no write.
_USE_NOTED_EVERY = timedelta(minutes=1)


def _by_digest(digest: str) -> "QuerySet[Token]":
    """A token with all that decides whether it is good, in one query."""
    role = Membership.objects.filter(user=OuterRef("user"), project=OuterRef("project")).values("role")[:1]
    return Token.objects.filter(digest=digest).annotate(
        role=Subquery(role), user_name=F("user__username"), user_is_active=F("user__is_active"),
        user_is_staff=F("user__is_staff"), user_is_superuser=F("user__is_superuser"), project_enabled=F("project__enabled"),
    )


_BY_DIGEST = Compiled(_by_digest, "the digest")


@dataclass(frozen=True)
class Issued:
    """A new token: `secret` is shown once and never again."""

    token: Token
    secret: str


def login(*, username: str, password: str, project: str = "", name: str = "", hours: int | None = None, address: str = "") -> Issued:
    """Exchange a password for a token. `project`: id or name; may be empty for a user of just one.

    Raises Unauthenticated, Forbidden (not a member), Invalid (which project?).
    """
    user = authenticate(username=username, password=password)
    if not isinstance(user, User):
        raise Unauthenticated("auth.failed", "Unknown user or wrong password.")
    return issue(user=user, project=project_for(user, project), name=name, hours=hours)


def issue(*, user: User, project: Project, name: str = "", hours: int | None = None) -> Issued:
    """A new token for `user` in `project`, valid for `hours` (default: the setting)."""
    secret = _PREFIX + secrets.token_urlsafe(32)
    token = Token.objects.create(
        user=user, project=project, name=name, prefix=secret[:12], digest=digest_of(secret),
        expires_at=clock.after((hours or settings.ENV.token_hours) * 3600),
    )
    return Issued(token, secret)


def authenticate_token(*, secret: str, address: str = "") -> tuple[User, Actor, Token]:
    """Whose token this is: one query. Raises Unauthenticated; the text tells expired and revoked from unknown."""
    token: Any = _BY_DIGEST.first(digest_of(secret))
    if token is None:
        raise Unauthenticated("auth.token_unknown", "This token is not known.")
    now = clock.now()
    if token.revoked_at is not None:
        raise Unauthenticated("auth.token_revoked", "This token was revoked.")
    if token.expires_at <= now:
        raise Unauthenticated("auth.token_expired", f"This token expired at {token.expires_at.isoformat(timespec='seconds')}.")
    if not token.user_is_active or not token.project_enabled:
        raise Unauthenticated("auth.disabled", "This user or project is disabled.")
    if token.last_used_at is None or now - token.last_used_at > _USE_NOTED_EVERY:
        Token.objects.filter(pk=token.pk).update(last_used_at=now)
    user = User(pk=token.user_id, username=token.user_name, is_superuser=token.user_is_superuser, is_staff=token.user_is_staff)
    return user, actor_for(user=user, project_id=token.project_id, role=token.role, address=address), token


def actor_for(*, user: User, project_id: uuid.UUID | None, role: str | None, address: str = "") -> Actor:
    """The Actor that services see. Raises Forbidden for one who is neither member nor operator."""
    if role is None and not user.is_superuser:
        raise Forbidden("auth.not_member", "You are no longer a member of this project.")
    return Actor(
        user_id=user.pk, user_name=user.get_username(), project_id=project_id,
        role=role or "admin", is_admin=user.is_superuser, request_id=context.request_id.get(), address=address,
    )


def revoke(*, actor: Actor, token_id: uuid.UUID) -> None:
    """End one of one's own tokens at once. Raises NotFound."""
    mine = Token.objects.filter(pk=token_id, revoked_at=None)
    if not actor.is_admin:
        mine = mine.filter(Q(user_id=actor.user_id))
    if not mine.update(revoked_at=clock.now()):
        raise NotFound("token.not_found", "There is no such token of yours.")


def digest_of(secret: str) -> str:
    """What is stored of a token: SHA-256 in hex. A token has 256 random bits, so it needs no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def project_for(user: User, given: str) -> Project:
    """The project that `given` (id or name) names, or the only one. Raises Forbidden (not a member), Invalid (which one?)."""
    projects = Project.objects.filter(enabled=True)
    if not user.is_superuser:
        projects = projects.filter(memberships__user=user)
    if given:
        try:
            project = projects.filter(pk=uuid.UUID(given)).first()
        except ValueError:
            project = projects.filter(name=given).first()
        if project is None:
            raise Forbidden("auth.not_member", "There is no such project, or you are not a member of it.")
        return project
    found = list(projects.order_by("created_at")[:2])
    if not found:
        raise Forbidden("auth.no_project", "You are not a member of any project.")
    if len(found) > 1 and not user.is_superuser:
        raise Invalid("auth.project_needed", "You have several projects: name one.", field="project")
    return found[0]
