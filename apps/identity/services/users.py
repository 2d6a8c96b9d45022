"""Users: made, changed, deleted."""

import uuid
from collections.abc import Callable

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from apps.audit.services import record
from apps.common import clock
from apps.common.checks import check_name
from apps.common.context import Actor
from apps.common.errors import Conflict, Invalid
from apps.identity import builtin, policy
from apps.identity.models import User


def create_user(
    *, actor: Actor, username: str, password: str | None = None, email: str = "", description: str = "",
    domain_id: uuid.UUID | None = None,
) -> User:
    """A user of a domain (the actor's, else the default one); without a password it cannot sign in with one.

    Raises Forbidden, Invalid (name or password), Conflict.
    """
    domain_id = domain_id or actor.domain_id or builtin.DEFAULT_DOMAIN_ID
    policy.require(actor, "identity.user.create", domain_id=domain_id)
    check_name(username, field="username")
    user = User(username=username, email=email, description=description, domain_id=domain_id)
    if password is not None:
        _check("user.password", "password", lambda: validate_password(password, user))
    user.set_password(password)
    user.password_changed_at = clock.now()
    try:
        with transaction.atomic():
            user.save(force_insert=True)
            record.write(actor, "identity.user.create", "user", user.pk, name=username)
    except IntegrityError:
        raise Conflict("user.exists", f"There is a user named {username!r} already.", field="username") from None
    return user


def ensure_user(*, actor: Actor, username: str, password: str) -> tuple[User, bool]:
    """The user of that name in the default domain; made with that password if there was none. Returns user and whether made."""
    found = User.objects.filter(username=username, domain_id=builtin.DEFAULT_DOMAIN_ID).first()
    if found is not None:
        return found, False
    return create_user(actor=actor, username=username, password=password), True


def _check(code: str, field: str, validate: Callable[[], None]) -> None:
    try:
        validate()
    except ValidationError as error:
        raise Invalid(code, f"{field}: {' '.join(error.messages)}", field=field) from None
