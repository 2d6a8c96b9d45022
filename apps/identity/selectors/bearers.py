"""Reads of tokens."""

from django.db.models import Q, QuerySet

from apps.common import clock
from apps.common.context import Actor
from apps.common.errors import NotFound
from apps.identity import policy, standing
from apps.identity.models import Token
from apps.identity.standing import Standing


def tokens(*, actor: Actor) -> "QuerySet[Token]":
    """One's own that still work. Raises Forbidden."""
    policy.require(actor, "identity.token.list", user_id=actor.user_id)
    living = Token.objects.filter(revoked_at=None, expires_at__gt=clock.now())
    return living.filter(Q(user_id=actor.user_id)).select_related("project")


def standing_of(*, actor: Actor) -> Standing:
    """The actor and the place that it works in, with their names and domains. Raises NotFound."""
    found = standing.of(actor.user_id, actor.project_id or actor.domain_id) if actor.user_id is not None else None
    if found is None:
        raise NotFound("user.not_found", "You are no user.", field="user_id")
    return found
