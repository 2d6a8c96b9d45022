"""How Django finds a user by name and password: names are unique in a domain only."""

import uuid
from typing import Any

from axes.backends import AxesStandaloneBackend
from django.contrib.auth.hashers import make_password
from django.db.models import Exists, F, OuterRef, QuerySet
from django.http import HttpRequest

from apps.common.sql import SAMPLE, Compiled
from apps.identity.builtin import DEFAULT_DOMAIN_ID
from apps.identity.models import Credential, Project, User


class Lockout(AxesStandaloneBackend):
    """First of all: whoever guesses is refused before anything is looked at (`lockout`). Signs nobody in."""

    def authenticate(self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **others: Any) -> None:
        if request is not None:
            request.cloudsite_login = username or ""  # type: ignore[attr-defined]  # the audit trail looks here
            super().authenticate(request, username=username, password=password, **others)


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
    """The user of that name, in the default domain unless the name or `domain_id` says otherwise; as in `users`."""
    if "\x00" in username:
        return None  # nobody is named so, and PostgreSQL does not even take the question
    user = _named(username, domain_id or DEFAULT_DOMAIN_ID)
    if user is None and domain_id is None and "/" in username:
        domain, _, name = username.partition("/")
        found = Project.objects.filter(is_domain=True, name=domain).first()
        user = _named(name, found.pk) if found else None
    return user


def _named(username: str, domain_id: uuid.UUID) -> User | None:
    user = _BY_NAME.first(username, domain_id)
    if user is not None:
        facts: Any = user
        user.domain = Project(id=domain_id, name=facts.domain_name, is_domain=True, enabled=facts.domain_enabled)
    return user


def users() -> "QuerySet[User]":
    """With their domains, and whether they have a second factor: all that a sign-in asks, in one query."""
    return User.objects.select_related("domain").annotate(has_second_factor=Exists(_SECOND_FACTORS.filter(user=OuterRef("pk"))))


def has_second_factor(user: User) -> bool:
    """Whether this user has shown to have a TOTP seed."""
    known: bool | None = getattr(user, "has_second_factor", None)
    return known if known is not None else _SECOND_FACTORS.filter(user=user).exists()


_SECOND_FACTORS = Credential.objects.filter(type="totp", verified=True)
_SAMPLE_NAME = "a name that nobody has"
_BY_NAME: Compiled[User] = Compiled(
    lambda username, domain_id: User.objects.filter(username=username, domain_id=domain_id).annotate(
        domain_name=F("domain__name"), domain_enabled=F("domain__enabled"),
        has_second_factor=Exists(_SECOND_FACTORS.filter(user=OuterRef("pk"))),
    ),
    _SAMPLE_NAME, SAMPLE,
)
