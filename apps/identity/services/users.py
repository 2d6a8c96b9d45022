"""Users: made by operators."""

from collections.abc import Callable

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from apps.common.context import Actor
from apps.common.errors import Conflict, Invalid
from apps.identity.models import User
from apps.identity.roles import require_operator


def create_user(*, actor: Actor, username: str, password: str, email: str = "", operator: bool = False) -> User:
    """Raises Forbidden, Invalid (name or password), Conflict."""
    require_operator(actor)
    user = User(username=username, email=email, is_staff=operator, is_superuser=operator)
    _check("user.name", "username", lambda: User._meta.get_field("username").run_validators(username))
    _check("user.password", "password", lambda: validate_password(password, user))
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError:
        raise Conflict("user.exists", f"There is a user named {username!r} already.", field="username") from None
    return user


def _check(code: str, field: str, validate: Callable[[], None]) -> None:
    try:
        validate()
    except ValidationError as error:
        raise Invalid(code, f"{field}: {' '.join(error.messages)}", field=field) from None
