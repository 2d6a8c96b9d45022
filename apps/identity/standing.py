"""The one query behind every request: is this token (or access key) good, and which roles does its user have where it works?

Written in SQL: the ORM cannot say the union of four ways to a role, and PostgreSQL keeps the plan of a prepared statement,
which costs more to make than the query to run. It looks at rows as they are now, so whatever is taken away is gone at once.
"""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any

import orjson
from django.db import connection

from apps.common.sql import as_uuid, one_row
from apps.identity.access_rules import Rule

# Ids of roles of user {u} for project or domain {p} (p…) and on the system (s…), own and by groups, comma-separated.
_ROLES = """(SELECT {join} FROM (
 SELECT 'p' AS k, a.role_id FROM identity_projectancestor c JOIN identity_assignment a
   ON a.user_id = {u} AND a.project_id = c.ancestor_id AND a.inherited = (c.depth > 0) WHERE c.project_id = {p}
 UNION ALL SELECT 's', a.role_id FROM identity_assignment a WHERE a.user_id = {u} AND a.system
 UNION ALL SELECT 'p', a.role_id FROM identity_groupmember m JOIN identity_projectancestor c ON c.project_id = {p}
   JOIN identity_assignment a ON a.group_id = m.group_id AND a.project_id = c.ancestor_id AND a.inherited = (c.depth > 0)
   WHERE m.user_id = {u}
 UNION ALL SELECT 's', a.role_id FROM identity_groupmember m JOIN identity_assignment a ON a.group_id = m.group_id AND a.system
   WHERE m.user_id = {u}) r)"""
_USER = "u.id, u.username, u.is_active, u.domain_id, ud.name, ud.enabled"
_PLACE = "p.id, p.name, p.is_domain, p.enabled, pd.id, pd.name, pd.enabled"
_VERSION = "(SELECT version FROM identity_policyversion WHERE id = 1)"
_TOKEN = (
    "t.id, t.system, t.trust_id, t.application_credential_id, t.name, t.prefix, t.created_at, t.expires_at, t.revoked_at, "
    "t.last_used_at"
)
_CREDENTIAL = """ac.permissions, ac.unrestricted, ac.expires_at,
 (SELECT {join_plain} FROM identity_applicationcredential_roles x WHERE x.applicationcredential_id = ac.id),
 (SELECT {join_rules} FROM identity_applicationcredential_access_rules y JOIN identity_accessrule ar ON ar.id = y.accessrule_id
  WHERE y.applicationcredential_id = ac.id)"""
# An access key is for ever, and has no prefix.
_KEY = "ec.id, FALSE, ec.trust_id, ec.application_credential_id, ec.name, '', ec.created_at, NULL, NULL, ec.last_used_at"
_FROM_PLACE = "LEFT JOIN identity_project p ON p.id = {place} LEFT JOIN identity_project pd ON pd.id = p.domain_id"
_BY_DIGEST = f"""SELECT {_USER}, {_PLACE}, {_ROLES}, {_VERSION}, {_TOKEN}, {_CREDENTIAL}
FROM identity_token t JOIN identity_user u ON u.id = t.user_id JOIN identity_project ud ON ud.id = u.domain_id
{_FROM_PLACE} LEFT JOIN identity_applicationcredential ac ON ac.id = t.application_credential_id
WHERE t.digest = %s"""
# What a token shows of itself, beside what decides.
_SHOWN = "u.password_expires_at, t.methods, t.audit_ids, ac.name"
_SHOWN_BY_DIGEST = _BY_DIGEST.replace("\nFROM identity_token", f", {_SHOWN}\nFROM identity_token", 1)
_BY_ACCESS = f"""SELECT {_USER}, {_PLACE}, {_ROLES}, {_VERSION}, {_KEY}, {_CREDENTIAL}, ec.blob
FROM identity_credential ec JOIN identity_user u ON u.id = ec.user_id JOIN identity_project ud ON ud.id = u.domain_id
{_FROM_PLACE} LEFT JOIN identity_applicationcredential ac ON ac.id = ec.application_credential_id
WHERE ec.access = %s AND ec.type = 'ec2'"""
_BY_USER = f"""SELECT {_USER}, {_PLACE}, {_ROLES}, {_VERSION}
FROM identity_user u JOIN identity_project ud ON ud.id = u.domain_id {_FROM_PLACE} WHERE u.id = %s"""
_JOINS_POSTGRES = {
    "join": "string_agg(k || role_id::text, ',')",
    "join_plain": "string_agg(x.role_id::text, ',')",
    "join_rules": "string_agg(ar.service || ' ' || ar.method || ' ' || ar.path, chr(10))",
}
_JOINS_SQLITE = {
    "join": "group_concat(k || role_id)", "join_plain": "group_concat(x.role_id)",
    "join_rules": "group_concat(ar.service || ' ' || ar.method || ' ' || ar.path, char(10))",
}
_NEVER = datetime.max.replace(tzinfo=UTC)
_NO_IDS: frozenset[uuid.UUID] = frozenset()


@dataclass(frozen=True, slots=True)
class Standing:
    """A user and the project or domain that it works in (`place_…` None: in none), with its roles as they are now.

    `roles`: as the database put them together; `split` takes them apart. `version`: of the definitions of roles.
    """

    user_id: uuid.UUID
    user_name: str
    user_active: bool
    user_domain_id: uuid.UUID
    user_domain_name: str
    user_domain_enabled: bool
    place_id: uuid.UUID | None
    place_name: str | None
    place_is_domain: bool
    place_enabled: bool
    place_domain_id: uuid.UUID | None
    place_domain_name: str | None
    place_domain_enabled: bool
    roles: str
    version: int

    @property
    def enabled(self) -> bool:
        """User, place, and the domains of both."""
        return self.user_active and self.user_domain_enabled and (
            self.place_id is None or (self.place_enabled and (self.place_is_domain or self.place_domain_enabled))
        )


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token or access key with all that decides whether it is good. `credential_…`: of the application credential that it
    came from; `access_rules`: empty for none."""

    standing: Standing
    id: uuid.UUID
    system: bool
    trust_id: uuid.UUID | None
    application_credential_id: uuid.UUID | None
    name: str
    prefix: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None
    credential_permissions: tuple[str, ...] | None
    credential_unrestricted: bool
    credential_expires_at: datetime | None
    credential_roles: frozenset[uuid.UUID]
    access_rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """A token with what else Identity v3 shows of it."""

    bearer: Bearer
    password_expires_at: datetime | None
    methods: list[str]
    audit_ids: list[str]
    credential_name: str | None


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Whose access key it is. `blob`: the sealed secret."""

    bearer: Bearer
    blob: str


def by_digest(digest: str) -> Bearer | None:
    """The token of this SHA-256; None if there is none."""
    row = one_row(_statement("digest"), (digest,))
    return None if row is None else _bearer(row)


def shown_by_digest(digest: str) -> Shown | None:
    """The same with all that is shown of it."""
    row = one_row(_statement("shown"), (digest,))
    if row is None:
        return None
    expires, methods, audit_ids, credential_name = row[30:34]
    return Shown(_bearer(row), _when(expires), list(_patterns(methods) or ()), list(_patterns(audit_ids) or ()), credential_name)


def by_access(access: str) -> KeyHolder | None:
    """The access key with this public id; None if there is none."""
    row = one_row(_statement("access"), (access,))
    return None if row is None else KeyHolder(_bearer(row), row[30])


def of(user_id: uuid.UUID, place_id: uuid.UUID | None) -> Standing | None:
    """How a user stands in a project or domain (None: in none); None if there is no such user."""
    row = one_row(_statement("user"), (_key(place_id), _key(user_id)))
    return None if row is None else _standing(row)


@lru_cache(maxsize=4096)
def split(roles: str) -> tuple[frozenset[uuid.UUID], frozenset[uuid.UUID]]:
    """(ids of roles in the place, ids of roles on the system)."""
    here: set[uuid.UUID] = set()
    everywhere: set[uuid.UUID] = set()
    for text in roles.split(",") if roles else ():
        (everywhere if text[0] == "s" else here).add(uuid.UUID(text[1:]))
    return frozenset(here), frozenset(everywhere)


def _standing(row: Any) -> Standing:
    return Standing(
        as_uuid(row[0]), row[1], bool(row[2]), as_uuid(row[3]), row[4], bool(row[5]), _maybe(row[6]), row[7], bool(row[8]),
        bool(row[9]), _maybe(row[10]), row[11], bool(row[12]), row[13] or "", row[14] or 0,
    )


def _bearer(row: Any) -> Bearer:
    key, system, trust, credential, name, prefix, made, expires, revoked, used, allowed, free, ends, roles, rules = row[15:30]
    if credential is None:
        limits: tuple[Any, ...] = (None, False, None, _NO_IDS, ())
    else:
        limits = (_patterns(allowed), bool(free), _when(ends), _ids(roles or ""), _rules(rules or ""))
    return Bearer(
        _standing(row), as_uuid(key), bool(system), _maybe(trust), _maybe(credential), name, prefix, _moment(made),
        _NEVER if expires is None else _moment(expires), _when(revoked), _when(used), *limits,
    )


@cache
def _postgres() -> bool:
    return connection.vendor == "postgresql"


@cache
def _statement(by: str) -> str:
    """The SQL text for the database that there is."""
    postgres = _postgres()
    of_token = {"u": "t.user_id", "p": "t.project_id", "place": "t.project_id"}
    template, columns = {
        "digest": (_BY_DIGEST, of_token), "shown": (_SHOWN_BY_DIGEST, of_token),
        "access": (_BY_ACCESS, {"u": "ec.user_id", "p": "ec.project_id", "place": "ec.project_id"}),
        "user": (_BY_USER, {"u": "u.id", "p": "p.id", "place": "CAST(%s AS uuid)" if postgres else "%s"}),
    }[by]
    return template.format(**columns, **(_JOINS_POSTGRES if postgres else _JOINS_SQLITE))


def _key(value: uuid.UUID | None) -> Any:
    return value if value is None or _postgres() else value.hex


def _maybe(value: Any) -> uuid.UUID | None:
    return None if value is None else as_uuid(value)


def _moment(value: Any) -> datetime:
    """SQLite keeps times in UTC and does not say so."""
    found = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _when(value: Any) -> datetime | None:
    return None if value is None else _moment(value)


def _patterns(value: Any) -> tuple[str, ...] | None:
    if isinstance(value, str):
        value = orjson.loads(value)
    return None if value is None else tuple(value)


@lru_cache(maxsize=1024)
def _ids(texts: str) -> frozenset[uuid.UUID]:
    return frozenset(uuid.UUID(text) for text in texts.split(",") if text)


@lru_cache(maxsize=1024)
def _rules(lines: str) -> tuple[Rule, ...]:
    return tuple(Rule(*line.split(" ", 2)) for line in lines.split("\n") if line)
