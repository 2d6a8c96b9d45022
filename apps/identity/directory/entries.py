"""What the entries of a directory mean: users, groups, and whether a user may sign in. Pure, no connection."""

import hashlib
import unicodedata
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import ldap.dn

from apps.common.checks import check_name
from apps.common.errors import Invalid
from apps.identity.directory.config import Config
from apps.identity.fields import EMAIL, GROUP_NAME, USER_NAME

# Lower-case names of attributes → their values as they came.
Attributes = Mapping[str, Sequence[bytes]]
DISABLED, LOCKED, EXPIRED, GONE = "disabled", "locked", "expired", "gone"
_LONGEST_KEY = 512
_WINDOWS_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_NEVER = 2**63 - 1


class Unfit(Exception):
    """An entry that cannot be a user or group here; the text names it and says why."""


@dataclass(frozen=True, slots=True)
class UserEntry:
    """A user. `key` stays when it is renamed; `state`: why the directory keeps it out, or nothing. `uid`, `gid`: by what
    posixGroup names it."""

    key: str
    dn: str
    name: str
    email: str
    state: str
    uid: str = ""
    gid: str = ""


@dataclass(frozen=True, slots=True)
class GroupEntry:
    """A group. `members`: canonical DNs of users and groups, or uids; `gid`: of whose primary group it is."""

    key: str
    dn: str
    name: str
    members: tuple[str, ...] = ()
    gid: str = ""


def user_attributes(config: Config) -> list[str]:
    """What to ask for. Some of them are operational: they come only when they are named."""
    states = [name.lstrip("!") for name in config.enabled_attributes]
    more = ["accountExpires"] if "useraccountcontrol" in map(str.lower, states) else []
    posix = ["uid", "gidNumber"] if config.by_uid else []
    return _once([config.name_attribute, config.email_attribute, config.id_attribute, *states, *more, *posix])


def group_attributes(config: Config, *, members: bool) -> list[str]:
    """What to ask for."""
    more = [config.member_attribute] if members else []
    return _once([config.group_name_attribute, config.id_attribute, *more, *(["gidNumber"] if config.by_uid else [])])


def user_entry(config: Config, dn: str, attributes: Attributes, now: datetime) -> UserEntry:
    """Raises Unfit."""
    name = _name(dn, attributes, config.name_attribute, USER_NAME)
    email = _first(attributes, config.email_attribute)
    return UserEntry(
        _key(config, dn, attributes), canonical(dn), name, email if len(email) <= EMAIL and email.isprintable() else "",
        state_of(config, dn, attributes, now), _first(attributes, "uid") if config.by_uid else "",
        _first(attributes, "gidNumber") if config.by_uid else "",
    )


def group_entry(config: Config, dn: str, attributes: Attributes) -> GroupEntry:
    """Raises Unfit."""
    name = _name(dn, attributes, config.group_name_attribute, GROUP_NAME)
    listed = [_text(value) for value in attributes.get(config.member_attribute.lower(), ())]
    members = listed if config.by_uid else [known for each in listed if (known := _dn(each))]
    return GroupEntry(_key(config, dn, attributes), canonical(dn), name, tuple(members), _first(attributes, "gidNumber"))


def state_of(config: Config, dn: str, attributes: Attributes, now: datetime) -> str:
    """Why the directory keeps this user out; empty if it does not. Raises Unfit (a value that means nothing)."""
    for name in config.enabled_attributes:
        found = _state(name, attributes, now)
        if found is None:
            raise Unfit(f"{dn}: {name} is {_first(attributes, name.lstrip('!'))!r}, which says nothing")
        if found:
            return found
    return ""


def _state(name: str, attributes: Attributes, now: datetime) -> str | None:
    value = _first(attributes, name.lstrip("!"))
    match name.lower():
        case _ if not value:
            return ""
        case "pwdaccountlockedtime":
            return LOCKED
        case "shadowexpire":  # a day since 1970; -1: never
            day = _number(value)
            return None if day is None else EXPIRED if 0 <= day <= (now - datetime(1970, 1, 1, tzinfo=UTC)).days else ""
        case "useraccountcontrol":
            flags = _number(value)
            return None if flags is None else DISABLED if flags & 2 else _expiry(_first(attributes, "accountExpires"), now)
        case "nsaccountlock":
            name = "!" + name
    truth = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(value.lower())
    return None if truth is None else DISABLED if truth == name.startswith("!") else ""


def _expiry(value: str, now: datetime) -> str | None:
    """Active Directory's: tenths of microseconds since 1601; 0 and the greatest number: never."""
    ticks = _number(value or "0")
    if ticks is None:
        return None
    return EXPIRED if 0 < ticks < _NEVER and _WINDOWS_EPOCH + timedelta(microseconds=min(ticks // 10, 10**17)) <= now else ""


def canonical(dn: str) -> str:
    """The same text for all ways to write a DN: case, blanks and escapes count for nothing. Raises Unfit."""
    known = _dn(dn)
    if known is None:
        raise Unfit(f"{dn!r} is no DN")
    return known


@lru_cache(maxsize=16_384)
def _dn(text: str) -> str | None:
    # Groups name the users that were just read.
    try:
        parts = ldap.dn.str2dn(text)
    except ldap.DECODING_ERROR:
        return None
    return ",".join(
        "+".join(sorted(f"{name.lower()}={ldap.dn.escape_dn_chars(_folded(value))}" for name, value, _ in part)) for part in parts
    )


def _folded(value: str) -> str:
    return " ".join(unicodedata.normalize("NFC", value).casefold().split())


def _key(config: Config, dn: str, attributes: Attributes) -> str:
    if config.id_attribute.lower() == "dn":
        known = canonical(dn)
        return known if len(known) <= _LONGEST_KEY else f"sha256={hashlib.sha256(known.encode()).hexdigest()}"
    values = attributes.get(config.id_attribute.lower(), ())
    if not values:
        raise Unfit(f"{dn} has no {config.id_attribute}: may the bind account read it? (CLOUDSITE_LDAP_ID_ATTRIBUTE)")
    if config.id_attribute.lower() == "objectguid" and len(values[0]) == 16:
        return str(uuid.UUID(bytes_le=values[0]))
    key = _text(values[0]).strip().lower()
    if not key or len(key) > _LONGEST_KEY or not key.isprintable():
        raise Unfit(f"{dn}: its {config.id_attribute} cannot be used as an id")
    return key


def _name(dn: str, attributes: Attributes, attribute: str, most: int) -> str:
    name = _first(attributes, attribute).strip()
    try:
        check_name(name, field=attribute, most=most)
    except Invalid as error:
        raise Unfit(f"{dn}: {error.message}" if name else f"{dn} has no {attribute}") from None
    return name


def _first(attributes: Attributes, name: str) -> str:
    values = attributes.get(name.lower(), ())
    return _text(values[0]) if values else ""


def _text(value: bytes) -> str:
    # What is no UTF-8 is shown as such, and never equal to another name.
    return value.decode(errors="backslashreplace")


def _number(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _once(names: Sequence[str]) -> list[str]:
    """`dn` is no attribute."""
    return list({name.lower(): name for name in names if name.lower() != "dn"}.values())
