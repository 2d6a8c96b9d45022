"""Signing in with a password of the directory: django-auth-ldap finds the user, tries the password and asks for groups.

Imported when somebody of the directory signs in, and only where the extra `ldap` is installed.
"""

import logging
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

import ldap
from django_auth_ldap import config as library
from django_auth_ldap.backend import LDAPBackend, ldap_error

from apps.common import clock
from apps.identity.directory import connection, entries
from apps.identity.directory.config import Config
from apps.identity.models import User
from apps.identity.services import directory_signin

log = logging.getLogger(__name__)
E = TypeVar("E")
_TYPES = {
    "groupOfNames": library.NestedGroupOfNamesType, "groupOfUniqueNames": library.NestedGroupOfUniqueNamesType,
    "posixGroup": library.PosixGroupType, "activeDirectory": library.NestedActiveDirectoryGroupType,
}
# Said to the account that reads the directory. All else is about what was asked.
_OF_BINDING = (
    ldap.INVALID_CREDENTIALS, ldap.INAPPROPRIATE_AUTH, ldap.UNWILLING_TO_PERFORM, ldap.INVALID_DN_SYNTAX,
    ldap.STRONG_AUTH_REQUIRED, ldap.CONFIDENTIALITY_REQUIRED,
)


def authenticate(config: Config, domain_id: uuid.UUID, request: Any, username: str, password: str) -> User | None:
    """The user of that name, if this is its password and it may sign in. Raises Unavailable: the directory does not answer."""
    try:
        user: User | None = Login(config, domain_id).authenticate(request, username=username, password=password)
    except _Failed as failure:
        step = "bind" if isinstance(failure.error, _OF_BINDING) else "search"
        raise connection.told(failure.error, config, step, "; ".join(config.user_bases)) from None
    if user is not None:
        # It holds the connection, which is needed no more.
        user.__dict__.pop("ldap_user", None)
    return user


class Bases(library.LDAPSearchUnion):
    """Several searches as one. The library's own takes a base that cannot be searched for one where nobody is."""

    def execute(self, connection: Any, filterargs: Any = (), escape: bool = True) -> Any:
        found = [each for search in self.searches for each in search.execute(connection, filterargs, escape)]
        return list(dict(found).items())

    def search_with_additional_term_string(self, filterstr: str) -> "Bases":
        # The whole is formatted once more, and a DN may have a percent sign.
        found: Bases = super().search_with_additional_term_string(filterstr.replace("%", "%%"))
        return found


class Login(LDAPBackend):
    """One attempt. The rows are written by our service, never by the library."""

    def __init__(self, config: Config, domain_id: uuid.UUID) -> None:
        self._config, self._domain_id = config, domain_id
        self.settings = library.LDAPSettings("CLOUDSITE_DIRECTORY_", _settings(config))

    def get_or_build_user(self, username: str, ldap_user: Any) -> tuple[User, bool]:
        """Called when the password was right; False: there is nothing left to be saved."""
        entry = _read(entries.user_entry, self._config, ldap_user.dn, _plain(ldap_user.attrs), clock.now())
        user = None
        if entry is not None:
            user = directory_signin.take_in(domain_id=self._domain_id, entry=entry, groups=self._groups(ldap_user))
        if user is None:
            raise ldap_user.AuthenticationFailed("the password is right, but this user may not sign in")
        return user, False

    def _groups(self, ldap_user: Any) -> list[entries.GroupEntry]:
        if not self._config.group_bases:
            return []
        try:
            found = self.settings.GROUP_TYPE.user_groups(ldap_user, self.settings.GROUP_SEARCH)
        except ldap.LDAPError as error:
            raise connection.told(error, self._config, "search", "; ".join(self._config.group_bases)) from None
        read = [_read(entries.group_entry, self._config, dn, _plain(attributes)) for dn, attributes in found]
        return [entry for entry in read if entry is not None]


class _Failed(Exception):
    def __init__(self, error: ldap.LDAPError) -> None:
        self.error = error


def _on_error(sender: type, context: str, exception: ldap.LDAPError, **_: Any) -> None:
    """The library takes every error for a wrong password, unless a listener of its signal raises."""
    if not issubclass(sender, Login):
        return
    if context == "authenticate" and not isinstance(exception, connection.AWAY):
        log.info("the directory refuses a user: %s", type(exception).__name__)
        return
    raise _Failed(exception)


ldap_error.connect(_on_error, dispatch_uid=__name__)


def _settings(config: Config) -> dict[str, Any]:
    named = f"({config.name_attribute}=%(user)s)"  # filled in, and escaped, by the library
    found = {
        "SERVER_URI": lambda request: connection.reachable(config),
        "CONNECTION_OPTIONS": connection.options(config), "START_TLS": config.start_tls,
        "BIND_DN": config.bind_dn, "BIND_PASSWORD": config.bind_password, "ALWAYS_UPDATE_USER": False,
        "USER_SEARCH": _search(config.user_bases, config.user_filter, entries.user_attributes(config), named),
    }
    if config.group_bases:
        wanted = entries.group_attributes(config, members=False)
        found["GROUP_SEARCH"] = _search(config.group_bases, config.group_filter, wanted)
        found["GROUP_TYPE"] = _TYPES[config.group_type](name_attr=config.group_name_attribute)
    return found


def _search(bases: tuple[str, ...], query: str, wanted: list[str], named: str = "") -> Bases:
    query = query.replace("%", "%%")
    filled = f"(&{query}{named})" if named else query
    return Bases(*(library.LDAPSearch(base, ldap.SCOPE_SUBTREE, filled, wanted) for base in bases))


def _plain(attributes: Any) -> entries.Attributes:
    """The library turns all it can into text; what it cannot are bytes."""
    return {
        name.lower(): [value if isinstance(value, bytes) else str(value).encode() for value in values]
        for name, values in attributes.items()
    }


def _read(parse: Callable[..., E], *args: Any) -> E | None:
    try:
        return parse(*args)
    except entries.Unfit as error:
        log.warning("%s; it is left out", error)
        return None
