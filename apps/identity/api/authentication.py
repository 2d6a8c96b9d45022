"""Who sends this request: a bearer token, or a browser session (with CSRF check)."""

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.request import Request

from apps.common.api.problems import CHALLENGE
from apps.common.context import Actor, address_of
from apps.common.errors import CloudError, Unauthenticated
from apps.identity.models import User
from apps.identity.services import browsing, tokens
from apps.identity.standing import Bearer

A = TypeVar("A", bound=BaseAuthentication)
Found = tuple[User, Actor] | None
PROJECT_IN_SESSION = "project_id"
# The native API's service type, for access rules of application credentials.
SERVICE = "cloudsite"


def _once(authenticate: Callable[[A, Request], Found]) -> Callable[[A, Request], Found]:
    """A refusal is final: without this the browsable page would ask again while it shows the refusal."""

    @wraps(authenticate)
    def checked(self: A, request: Request) -> Found:
        try:
            return authenticate(self, request)
        except CloudError:
            request._not_authenticated()  # type: ignore[attr-defined]
            raise

    return checked


class BearerToken(BaseAuthentication):
    """`Authorization: Bearer cs1_…`; `request.auth` becomes the Actor."""

    @_once
    def authenticate(self, request: Request) -> Found:
        kind, _, secret = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer":
            return None
        held = tokens.check(
            secret=secret.strip(), address=address_of(request), service=SERVICE, method=request.method or "", path=request.path
        )
        request._request.cloudsite_token = held.bearer  # type: ignore[attr-defined]
        return _user(held.actor), _known(request, held.actor)

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class Session(SessionAuthentication):
    """A signed-in browser, working in the project that was chosen in it, else in the user's default or first one."""

    @_once
    def authenticate(self, request: Request) -> Found:
        found = super().authenticate(request)
        if found is None:
            return None
        user = found[0]
        actor = browsing.actor_of(
            user=user, chosen=request._request.session.get(PROJECT_IN_SESSION), address=address_of(request)
        )
        return user, _known(request, actor)


def actor_of(request: Request) -> Actor:
    """The Actor of an authenticated request. Raises Unauthenticated."""
    if not isinstance(request.auth, Actor):
        raise Unauthenticated("auth.required", "Sign in first: send `Authorization: Bearer <token>`.")
    return request.auth


def token_of(request: Request) -> Bearer | None:
    """The token that this request came with; None for a browser session."""
    return getattr(request._request, "cloudsite_token", None)


def _known(request: Request, actor: Actor) -> Actor:
    """Tell the edges (limits, audit trail) who it is."""
    request._request.cloudsite_actor = actor  # type: ignore[attr-defined]
    return actor


def _user(actor: Actor) -> User:
    """What the framework calls the user; nothing of it is read from the database."""
    return User(pk=actor.user_id, username=actor.user_name)


__all__ = ["BearerToken", "Session", "actor_of", "token_of"]
