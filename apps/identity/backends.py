"""How Django finds a user by name and password: names are unique in a domain only."""

import uuid
from typing import Any

from django.contrib.auth.hashers import make_password
from django.http import HttpRequest

from apps.identity.builtin import DEFAULT_DOMAIN_ID
from apps.identity.models import Project, User


class Database:
    """`username` in `domain_id` (the default domain), or `domain/name` as people type it into the sign-in page."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None,
        domain_id: uuid.UUID | None = None, **others: Any,
    ) -> User | None:
        if username is None or password is None:
            return None
        user = find(username, domain_id)
        if user is None or user.source != "database":
            make_password(password)  # costs what a check costs, so that time does not tell which names exist
            return None
        return user if user.check_password(password) and user.is_active else None

    def get_user(self, user_id: Any) -> User | None:
        return User.objects.filter(pk=user_id, is_active=True, domain__enabled=True).first()


def find(username: str, domain_id: uuid.UUID | None = None) -> User | None:
    """The user of that name, in the default domain unless the name or `domain_id` says otherwise."""
    rows = User.objects.select_related("domain")
    user = rows.filter(username=username, domain_id=domain_id or DEFAULT_DOMAIN_ID).first()
    if user is None and domain_id is None and "/" in username:
        domain, _, name = username.partition("/")
        found = Project.objects.filter(is_domain=True, name=domain).first()
        user = rows.filter(username=name, domain=found).first() if found else None
    return user
