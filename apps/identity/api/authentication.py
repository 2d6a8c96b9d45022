"""Who sends this request: a bearer token, or a browser session (with CSRF check)."""

from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.request import Request

from apps.common.context import Actor
from apps.common.errors import Unauthenticated
from apps.identity.models import Membership, User
from apps.identity.services import tokens


class BearerToken(BaseAuthentication):
    """`Authorization: Bearer cs1_…`; `request.auth` becomes the Actor."""

    def authenticate(self, request: Request) -> tuple[User, Actor] | None:
        kind, _, secret = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer":
            return None
        user, actor, token = tokens.authenticate_token(secret=secret.strip(), address=address_of(request))
        request._request.cloudsite_token = token  # type: ignore[attr-defined]
        return user, actor

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="cloudsite"'


class Session(SessionAuthentication):
    """A signed-in browser. The project is the one chosen in the session, else the user's first."""

    def authenticate(self, request: Request) -> tuple[User, Actor] | None:
        found = super().authenticate(request)
        if found is None:
            return None
        user = found[0]
        membership = Membership.objects.select_related("project").filter(user=user, project__enabled=True).order_by("pk").first()
        project = membership.project if membership else None
        actor = tokens.actor_for(user=user, project=project, role=membership.role if membership else None, address=address_of(request))
        return user, actor


def actor_of(request: Request) -> Actor:
    """The Actor of an authenticated request. Raises Unauthenticated."""
    if not isinstance(request.auth, Actor):
        raise Unauthenticated("auth.required", "Sign in first: send `Authorization: Bearer <token>`.")
    return request.auth


def address_of(request: Request) -> str:
    """The peer's address, as the web server saw it."""
    return str(request.META.get("REMOTE_ADDR", ""))



__all__ = ["BearerToken", "Session", "actor_of", "address_of"]
