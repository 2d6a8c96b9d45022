"""Proofs of who one is, one function per method; `signin.issue` gives a token for them.

Whatever is wrong with name, password, domain, code or secret, the answer is the same, so that nobody learns which users
exist. `request` is Django's: the lockout counts by its address, and the audit trail takes the name from it.
"""

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.auth import authenticate
from django.db.models import Q

from apps.common import clock
from apps.common.context import Actor
from apps.common.errors import Forbidden, Unauthenticated
from apps.identity import backends, errors, hashing, lockout
from apps.identity.builtin import DEFAULT_DOMAIN_ID
from apps.identity.models import ApplicationCredential, User
from apps.identity.services import tokens, totp
from apps.identity.services.ceilings import BY_ACCESS_KEY

_NOBODY = uuid.UUID(int=0)


@dataclass(frozen=True, kw_only=True)
class Proof:
    """A user who has shown to be that user, by one method.

    `parent`: the first audit id of the token that it was shown by. `place_id`: what the proof is bound to (an application
    credential has its project). `not_after`: no token lives longer than what it came from. `counted`: under which name failures
    of it are counted; a sign-in that is complete forgets them.
    """

    user: User
    method: str
    parent: str = ""
    not_after: datetime | None = None
    application_credential_id: uuid.UUID | None = None
    place_id: uuid.UUID | None = None
    actor: Actor | None = None
    methods: tuple[str, ...] = field(default=())
    counted: str = ""


def by_password(
    *, password: str, user_id: uuid.UUID | None = None, username: str = "", domain_id: uuid.UUID | None = None, request: Any = None,
    even_expired: bool = False,
) -> Proof:
    """`even_expired`: for who is about to change it. Raises Unauthenticated `auth.failed`, `auth.locked`, `auth.password_expired`."""
    if user_id is not None:
        known = User.objects.filter(pk=user_id).values_list("username", "domain_id").first()
        # Nobody of an id is nobody of a name either, in a domain that is none.
        username, domain_id = known or (str(user_id), _NOBODY)
    elif domain_id is None and "/" in username and (found := backends.find(username)) is not None:
        username, domain_id = found.username, found.domain_id  # so that failures are counted under one name
    user = authenticate(request, username=username, password=password, domain_id=domain_id)
    # In the directory the name may have come to somebody else since.
    if not isinstance(user, User) or not user.domain.enabled or user_id not in (None, user.pk):
        raise lockout.refusal(request)
    if not even_expired and has_expired_password(user):
        raise errors.password_expired()
    return Proof(user=user, method="password", counted=lockout.name_of(user.username, user.domain_id))


def by_totp(
    *, passcode: str, user_id: uuid.UUID | None = None, username: str = "", domain_id: uuid.UUID | None = None, request: Any = None
) -> Proof:
    """A code counts once, and is enough only where the user's rules say so. Raises Unauthenticated."""
    if user_id is not None:
        user = backends.users().filter(pk=user_id).first()
        name = lockout.name_of(user.username, user.domain_id) if user else lockout.name_of(str(user_id), _NOBODY)
    else:
        user, name = backends.find(username, domain_id), lockout.name_of(username, domain_id)
    lockout.check(request, name)
    if user is None or not user.is_active or not user.domain.enabled or not totp.spend(user, passcode):
        lockout.failed(request, name)
        raise errors.failed()
    return Proof(user=user, method="totp", counted=name)


def by_token(*, secret: str) -> Proof:
    """A token for another scope out of one that is good. Raises Unauthenticated, Forbidden (bound to its project)."""
    held = tokens.check(secret=secret)
    if held.bearer.application_credential_id is not None or held.bearer.trust_id is not None:
        raise Forbidden("auth.bound", "A token of an application credential or trust makes no other tokens.")
    row = tokens.token_row(held.bearer.id)
    if BY_ACCESS_KEY in row.methods:
        raise Forbidden("auth.bound", "A token by an access key makes no other tokens.")
    return Proof(
        user=row.user, method="token", parent=row.audit_ids[-1], not_after=row.expires_at, actor=held.actor,
        methods=tuple(row.methods),
    )


def by_application_credential(
    *, secret: str, credential_id: uuid.UUID | None = None, name: str = "", user_id: uuid.UUID | None = None, username: str = "",
    domain_id: uuid.UUID | None = None, request: Any = None,
) -> Proof:
    """By id, or by name and user: the token works in the credential's project. Raises Unauthenticated."""
    rows = ApplicationCredential.objects.select_related("user__domain")
    if credential_id is not None:
        row = rows.filter(pk=credential_id).first()
    else:
        domain_id = domain_id or DEFAULT_DOMAIN_ID
        of_user = Q(user_id=user_id) if user_id is not None else Q(user__username=username, user__domain_id=domain_id)
        row = rows.filter(of_user, name=name).first()
    # Counted apart from the user's own password: a program that has the wrong secret must not lock out its owner.
    counted = lockout.name_of(f"application credential {row.pk if row else credential_id or f'{user_id or username} {name}'}")
    lockout.check(request, counted)
    known = row is not None and hashing.matches(secret, row.secret)
    if row is None or not known or not row.user.is_active or not row.user.domain.enabled:
        lockout.failed(request, counted)
        raise errors.failed()
    now = clock.now()
    if row.expires_at is not None and row.expires_at <= now:
        raise Unauthenticated("auth.credential_expired", "This application credential has expired.")
    if tokens.is_worth_noting(row.last_used_at, now):
        ApplicationCredential.objects.filter(pk=row.pk).update(last_used_at=now)
    return Proof(
        user=row.user, method="application_credential", application_credential_id=row.pk, place_id=row.project_id,
        not_after=row.expires_at, counted=counted,
    )


def has_expired_password(user: User) -> bool:
    """Whether it must be changed before the next sign-in."""
    ends = user.password_expires_at
    return ends is not None and ends <= clock.now() and not user.options.get("ignore_password_expiry")
