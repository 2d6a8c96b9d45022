"""The body of `POST /auth/tokens`: methods that prove who one is, and the scope that the token is to have.

What is malformed is refused as such (400). Names and ids that lead nowhere are handed on as the id of nobody, so that an
unknown domain takes the same way, and the same time, as a wrong password.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from apis.openstack.common.schema import UNSET, Struct, UnsetType, as_uuid, missing
from apps.common.errors import Invalid, NotFound, Unauthenticated
from apps.identity import selectors
from apps.identity.services import signin
from apps.identity.services.signin import Proof, Scope

_NOBODY = uuid.UUID(int=0)
_SCOPES = ("project", "domain", "system", "unscoped", "OS-TRUST:trust")


class Named(Struct):
    """A domain, by either."""

    id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET


class Place(Named):
    """A user or a project: a name needs the domain."""

    domain: Named | UnsetType = UNSET


class User(Place):
    password: str | UnsetType = UNSET
    passcode: str | UnsetType = UNSET


class WithUser(Struct):
    """`password`, `totp`."""

    user: User


class WithToken(Struct):
    id: str


class WithCredential(Named):
    """An application credential: an id, or a name and its user."""

    user: Place | UnsetType = UNSET
    secret: str | UnsetType = UNSET


class Identity(Struct):
    methods: list[str]
    password: WithUser | UnsetType = UNSET
    totp: WithUser | UnsetType = UNSET
    token: WithToken | UnsetType = UNSET
    application_credential: WithCredential | UnsetType = UNSET


class System(Struct):
    all: bool | UnsetType = UNSET


class Wanted(Struct, rename={"trust": "OS-TRUST:trust"}):
    """The scope: one of these. Old clients say `{"unscoped": {}}` for `"unscoped"`."""

    project: Place | UnsetType = UNSET
    domain: Named | UnsetType = UNSET
    system: System | UnsetType = UNSET
    trust: WithToken | UnsetType = UNSET
    unscoped: Any = UNSET


class Auth(Struct):
    """What is under `auth`."""

    identity: Identity
    scope: Wanted | str | None = None


@dataclass(frozen=True)
class Who:
    """The user as services take it: an id, or a name in a domain."""

    user_id: uuid.UUID | None = None
    username: str = ""
    domain_id: uuid.UUID | None = None

    def named(self) -> dict[str, Any]:
        return {"user_id": self.user_id, "username": self.username, "domain_id": self.domain_id}


def scope_of(auth: Auth) -> Scope:
    """Raises Invalid (malformed), Unauthenticated (an application credential has its own)."""
    wanted = auth.scope
    if wanted is None:
        return Scope(default=True)
    if "application_credential" in auth.identity.methods:
        raise Unauthenticated("auth.scope_bound", "An application credential works in its own project; ask for no scope.")
    if isinstance(wanted, str):
        if wanted != "unscoped":
            raise Invalid("auth.scope", 'scope: expected an object, or "unscoped".', field="scope")
        return Scope()
    asked = [name for name in ("project", "domain", "system", "unscoped", "trust") if getattr(wanted, name) is not UNSET]
    if len(asked) != 1:
        raise missing(" or ".join(_SCOPES), "scope")
    return _SCOPE[asked[0]](wanted)


def proofs_of(auth: Auth, request: HttpRequest) -> list[Proof]:
    """What each method proves. Raises Invalid (malformed), Unauthenticated (not proved, or no such method)."""
    methods = list(dict.fromkeys(auth.identity.methods))
    if not methods:
        raise missing("methods", "identity")
    for method in methods:
        if method in _PROOF and getattr(auth.identity, method) is UNSET:
            raise missing(method, "identity")
    if not set(methods) <= set(_PROOF):
        text = "Attempted to authenticate with an unsupported method."
        raise Unauthenticated("auth.method_unknown", text, methods=list(_PROOF))
    return [_PROOF[method](getattr(auth.identity, method), request) for method in methods]


def _by_password(given: WithUser, request: HttpRequest) -> Proof:
    password = given.user.password if isinstance(given.user.password, str) else ""
    return signin.by_password(**_who(given.user).named(), password=password, request=request)


def _by_totp(given: WithUser, request: HttpRequest) -> Proof:
    passcode = given.user.passcode if isinstance(given.user.passcode, str) else ""
    return signin.by_totp(**_who(given.user).named(), passcode=passcode, request=request)


def _by_token(given: WithToken, request: HttpRequest) -> Proof:
    return signin.by_token(secret=given.id)


def _by_credential(given: WithCredential, request: HttpRequest) -> Proof:
    secret = given.secret if isinstance(given.secret, str) else ""
    if isinstance(given.id, str):
        return signin.by_application_credential(credential_id=as_uuid(given.id) or _NOBODY, secret=secret, request=request)
    if not isinstance(given.name, str):
        raise missing("name or ID", "application credential")
    if not isinstance(given.user, Place):
        raise missing("user", "application credential")
    return signin.by_application_credential(name=given.name, **_who(given.user).named(), secret=secret, request=request)


def _who(given: Place) -> Who:
    if isinstance(given.id, str):
        return Who(user_id=as_uuid(given.id) or _NOBODY)
    if not isinstance(given.name, str):
        raise missing("id or name", "user")
    return Who(username=given.name, domain_id=_domain(given, "user"))


def _domain(given: Place, of: str) -> uuid.UUID:
    if not isinstance(given.domain, Named):
        raise missing("domain", of)
    return _domain_id(given.domain)


def _domain_id(given: Named) -> uuid.UUID:
    if isinstance(given.id, str):
        return as_uuid(given.id) or _NOBODY
    if not isinstance(given.name, str):
        raise missing("id or name", "domain")
    try:
        return selectors.domain_named(given.name).pk
    except NotFound:
        return _NOBODY


def _project(wanted: Wanted) -> Scope:
    given = wanted.project
    assert isinstance(given, Place)
    if isinstance(given.id, str):
        return Scope(project_id=as_uuid(given.id) or _NOBODY)
    if not isinstance(given.name, str):
        raise missing("id or name", "project")
    domain_id = _domain(given, "project")
    try:
        return Scope(project_id=selectors.project_named(given.name, domain_id).pk)
    except NotFound:
        return Scope(project_id=_NOBODY)


def _domain_scope(wanted: Wanted) -> Scope:
    assert isinstance(wanted.domain, Named)
    return Scope(domain_id=_domain_id(wanted.domain))


def _system(wanted: Wanted) -> Scope:
    assert isinstance(wanted.system, System)
    if wanted.system.all is not True:
        raise missing("all", "system")
    return Scope(system=True)


def _trust(wanted: Wanted) -> Scope:
    assert isinstance(wanted.trust, WithToken)
    return Scope(trust_id=as_uuid(wanted.trust.id) or _NOBODY)


_PROOF: dict[str, Callable[[Any, HttpRequest], Proof]] = {
    "password": _by_password, "token": _by_token, "totp": _by_totp, "application_credential": _by_credential,
}
_SCOPE: dict[str, Callable[[Wanted], Scope]] = {
    "project": _project, "domain": _domain_scope, "system": _system, "trust": _trust, "unscoped": lambda _: Scope(),
}
