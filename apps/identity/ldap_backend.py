"""Django's way to the LDAP directory; settings name it only where there is one."""

import logging
import uuid
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from apps.common.errors import Unavailable
from apps.identity import lockout
from apps.identity.builtin import DEFAULT_DOMAIN_ID
from apps.identity.directory import breaker, config
from apps.identity.models import Project, User

log = logging.getLogger(__name__)


class Ldap:
    """Users of the directory's domain, and nobody else: a directory that is away is a matter of its users only.

    Raises Unavailable `directory.unavailable`, which is neither a wrong password nor counted as one.
    """

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None,
        domain_id: uuid.UUID | None = None, **others: Any,
    ) -> User | None:
        wanted = _wanted(username, domain_id) if username and password else None
        if wanted is None:
            return None
        name, known, home = wanted
        # A directory does not care for capitals: who guesses could else go on under another spelling.
        counted = lockout.name_of(known, home.pk)
        elsewhere = counted != lockout.name_of(str(username), domain_id)
        if elsewhere:
            lockout.check(request, counted)
        found = _ask(request, name, str(password), home)
        if found is None and elsewhere:
            lockout.failed(request, counted)
        return found

    def get_user(self, user_id: Any) -> User | None:
        return User.objects.filter(pk=user_id, is_active=True, domain__enabled=True).first()


def _wanted(username: str, domain_id: uuid.UUID | None) -> tuple[str, str, Project] | None:
    """Name, the same as it is written here, and domain of a user whom the directory may know; None: it is none of its."""
    home = Project.objects.filter(name=settings.ENV.ldap_domain, is_domain=True, enabled=True).first()
    if home is None or not username.isprintable():
        return None
    name = username
    if domain_id is None and home.pk != DEFAULT_DOMAIN_ID:
        domain, _, name = username.partition("/")
        if domain != home.name or not name:
            return None
    elif (domain_id or DEFAULT_DOMAIN_ID) != home.pk:
        return None
    rows = User.objects.filter(domain=home).values_list("username", "source")
    known = rows.filter(username=name).first() or rows.filter(username__iexact=name, source="ldap").first()
    # Whoever has that name in the database is asked for the password that is there.
    return None if known and known[1] == "database" else (name, known[0] if known else name, home)


def _ask(request: HttpRequest | None, name: str, password: str, home: Project) -> User | None:
    """Raises Unavailable `directory.unavailable`."""
    breaker.check()
    try:
        ready = config.load()
        from apps.identity.services import directory_login

        found = directory_login.authenticate(ready, home.pk, request, name, password)
    except Unavailable as error:
        breaker.failed()
        log.warning("nobody of the directory can sign in: %s (%s)", error.message, error.code)
        raise breaker.unavailable() from None
    breaker.answered()
    return found
