"""Reads of tokens."""

from django.db.models import Q, QuerySet

from apps.common import clock
from apps.common.context import Actor
from apps.identity.models import Token


def tokens(*, actor: Actor) -> "QuerySet[Token]":
    """One's own that still work."""
    living = Token.objects.filter(revoked_at=None, expires_at__gt=clock.now())
    return living.filter(Q(user_id=actor.user_id)).select_related("project")
