"""The directory as the settings describe it."""

import importlib.util
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from django.conf import settings

from apps.common.errors import InvalidState, Unavailable

# Type of groups → (the attribute that names members, the filter that finds groups).
GROUP_TYPES = {
    "groupOfNames": ("member", "(objectClass=groupOfNames)"),
    "groupOfUniqueNames": ("uniqueMember", "(objectClass=groupOfUniqueNames)"),
    "posixGroup": ("memberUid", "(objectClass=posixGroup)"),
    "activeDirectory": ("member", "(objectClass=group)"),
}
INSTALL = "set CLOUDSITE_LDAP_URL for scripts/bootstrap.sh, or: pip install -r requirements-ldap.txt (needs gcc, python3-dev, libldap-dev, libsasl2-dev)"


@dataclass(frozen=True, kw_only=True)
class Config:
    """Read from the settings by `load`. `timeout_s` is for one question."""

    urls: tuple[str, ...]
    start_tls: bool
    ca_file: Path | None
    bind_dn: str
    bind_password: str = field(repr=False)
    user_bases: tuple[str, ...]
    user_filter: str
    name_attribute: str
    email_attribute: str
    id_attribute: str
    enabled_attributes: tuple[str, ...]
    group_bases: tuple[str, ...]
    group_filter: str
    group_type: str
    member_attribute: str
    group_name_attribute: str
    domain: str
    timeout_s: float

    @property
    def by_uid(self) -> bool:
        """Whether groups name their members by uid, and not by DN."""
        return self.group_type == "posixGroup"

    @property
    def uses_tls(self) -> bool:
        """Whether a certificate is to be checked."""
        return self.start_tls or any(url.startswith("ldaps://") for url in self.urls)

    @property
    def in_clear(self) -> bool:
        """Whether passwords cross a network that others may listen to."""
        local = re.compile(r"ldap://(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?/?")
        return not self.start_tls and any(url.startswith("ldap://") and not local.fullmatch(url) for url in self.urls)


def is_configured() -> bool:
    """Whether there is a directory."""
    return bool(settings.ENV.ldap_url)


@cache
def is_installed() -> bool:
    """Whether the extra `ldap` is."""
    return all(importlib.util.find_spec(name) is not None for name in ("ldap", "django_auth_ldap"))


def load() -> Config:
    """Raises InvalidState `directory.not_configured`, Unavailable `directory.extra`."""
    env = settings.ENV
    if not is_configured():
        raise InvalidState("directory.not_configured", "There is no LDAP directory: CLOUDSITE_LDAP_URL is not set.")
    if not is_installed():
        raise Unavailable("directory.extra", "The Python packages for LDAP are not installed.", fix=INSTALL)
    member_attribute, group_filter = GROUP_TYPES[env.ldap_group_type]
    return Config(
        urls=tuple(env.ldap_url.split()), start_tls=env.ldap_start_tls,
        ca_file=env.ldap_ca_file if env.ldap_ca_file != Path() else None,
        bind_dn=env.ldap_bind_dn, bind_password=env.ldap_bind_password,
        user_bases=_bases(env.ldap_user_base), user_filter=env.ldap_user_filter, name_attribute=env.ldap_name_attribute,
        email_attribute=env.ldap_email_attribute, id_attribute=env.ldap_id_attribute,
        enabled_attributes=env.ldap_enabled_attributes, group_bases=_bases(env.ldap_group_base),
        group_filter=env.ldap_group_filter or group_filter, group_type=env.ldap_group_type, member_attribute=member_attribute,
        group_name_attribute=env.ldap_group_name_attribute, domain=env.ldap_domain, timeout_s=env.ldap_timeout_s,
    )


def _bases(text: str) -> tuple[str, ...]:
    """A semicolon that belongs to a name has a backslash before it."""
    return tuple(part.strip() for part in re.split(r"(?<!\\);", text) if part.strip())
