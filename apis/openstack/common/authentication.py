"""Who sends a request: by `X-Auth-Token`, or by `Authorization: Bearer` with the same token."""

from dataclasses import dataclass

from django.http import HttpRequest

from apis.openstack.common.api import Api
from apps.common import rates
from apps.common.context import Actor, address_of
from apps.common.errors import Unauthenticated
from apps.identity.services import tokens
from apps.identity.standing import Bearer


@dataclass(frozen=True)
class Caller:
    """An authenticated sender and the token that was sent."""

    actor: Actor
    bearer: Bearer
    secret: str


def authenticate(api: Api, request: HttpRequest) -> Caller:
    """Raises Unauthenticated, Forbidden (an application credential whose rules do not allow this request), TooMany.

    Leaves the actor where limits and the audit trail find it.
    """
    secret = _secret(request)
    if not secret:
        raise Unauthenticated("auth.required", "Send a token as X-Auth-Token.")
    held = tokens.check(
        secret=secret, address=address_of(request), service=api.type, method=request.method or "",
        path=request.path_info.removeprefix(api.path),
    )
    request.cloudsite_actor = held.actor  # type: ignore[attr-defined]
    rates.check_project(held.actor.project_id)
    return Caller(held.actor, held.bearer, secret)


def _secret(request: HttpRequest) -> str:
    if sent := request.headers.get("X-Auth-Token", "").strip():
        return sent
    kind, _, bearer = request.headers.get("Authorization", "").partition(" ")
    return bearer.strip() if kind.lower() == "bearer" else ""
