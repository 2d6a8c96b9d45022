"""A browser's way in, step by step, and what its session may do. The session itself is kept by the pages."""

import uuid
from collections.abc import Collection
from typing import Any, Literal

from django.db import transaction

from apps.audit.services import record
from apps.common.context import Actor
from apps.common.errors import Unauthenticated
from apps.identity import backends, errors, selectors
from apps.identity.models import User
from apps.identity.services import factors, proofs, tokens, totp, users

OPENED = "identity.session.open"


def password_step(*, username: str, password: str, request: Any) -> User:
    """Whose password this is; nobody is signed in by it. `username`: also `domain/name`. Raises Unauthenticated."""
    return proofs.by_password(username=username, password=password, request=request, even_expired=True).user


def missing(user: User, methods: Collection[str]) -> Literal["", "code", "new password"]:
    """What it takes besides these methods. Raises Unauthenticated if it takes what a browser cannot give."""
    try:
        factors.require(user, methods)
    except Unauthenticated:
        if "totp" in methods or not backends.has_second_factor(user):
            raise
        return "code"
    return "new password" if proofs.has_expired_password(user) else ""


def code_step(*, user_id: str, code: str, request: Any) -> User:
    """The user, whose password was right before. Raises Unauthenticated."""
    user = _living(user_id)
    totp.prove(user=user, code=code, request=request)
    return user


def new_password_step(*, user_id: str, new: str, request: Any) -> User:
    """The user, with a new password in the place of one that has expired. Raises Invalid, Forbidden."""
    users.replace_expired(user_id=_living(user_id).pk, new=new, request=request)
    return _living(user_id)


def entered(*, user: User, address: str = "") -> None:
    """Write down that somebody came in."""
    actor = tokens.actor_for(user_id=user.pk, place_id=None, address=address)
    with transaction.atomic():
        record.write(actor, OPENED, "user", user.pk, name=user.username)


def actor_of(*, user: User, chosen: str | None, address: str = "") -> Actor:
    """The actor of a signed-in browser in the project that was chosen there, else in its default or first one, else in none."""
    wanted = (uuid.UUID(chosen) if chosen else None, user.default_project_id)
    place = next((each for each in wanted if each is not None and tokens.may_work_in(user.pk, each)), None)
    if place is None:
        # An operator may enter all projects, but is in none by chance.
        place = selectors.projects_reached(user.pk).order_by("created_at").values_list("pk", flat=True).first()
    return tokens.actor_for(user_id=user.pk, place_id=place, address=address)


def _living(user_id: str) -> User:
    user = backends.users().filter(pk=uuid.UUID(user_id), is_active=True, domain__enabled=True).first()
    if user is None:
        raise errors.failed()
    return user
