"""The second factor: codes of six digits that an app on a phone works out of a seed and the time (TOTP, RFC 6238)."""

import base64
import binascii
import hmac
import secrets
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import segno
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from django.db import transaction
from django.db.models import Q

from apps.audit.services import record
from apps.common import clock, vault
from apps.common.context import Actor
from apps.common.errors import Conflict, Invalid, NotFound, Unauthenticated
from apps.identity import backends, errors, lockout, policy, selectors
from apps.identity.models import Credential, User
from apps.identity.services import administrators

if TYPE_CHECKING:
    from django.http import HttpRequest

DIGITS, STEP_S = 6, 30
TYPE = "totp"
# Clocks differ, and typing takes time.
_STEPS_AROUND = (0, -1, 1)
_SEED_BYTES = 20
_ISSUER = "Cloudsite"
_UNCONFIRMED_KEPT = timedelta(days=1)


@dataclass(frozen=True)
class Enrolment:
    """What the app needs to know, shown once. `seed` is Base32; `uri` is `otpauth://…`; `image` is its QR code as a data URI."""

    seed: str
    uri: str
    image: str


def is_on(*, actor: Actor) -> bool:
    """Whether the actor's user has a second factor. Raises Forbidden."""
    return backends.has_second_factor(_me(actor))


def enrol(*, actor: Actor) -> Enrolment:
    """A new seed; it counts once `confirm` has seen a code of it. Raises Forbidden, Conflict `totp.exists`."""
    user = _me(actor)
    seed = base64.b32encode(secrets.token_bytes(_SEED_BYTES)).decode()
    with transaction.atomic():
        # Two at once would leave two seeds of which the user saw one.
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        if backends.has_second_factor(user):
            raise Conflict("totp.exists", "You have a second factor: remove it first to set up another one.")
        Credential.objects.filter(user=user, type=TYPE, verified=False).delete()
        Credential.objects.create(user=user, type=TYPE, blob=vault.seal(seed), verified=False)
    return _enrolment(user, seed)


def waiting(*, actor: Actor) -> Enrolment | None:
    """The seed that waits for its first code, once more; None if there is none. Raises Forbidden."""
    user = _me(actor)
    row = Credential.objects.filter(user=user, type=TYPE, verified=False).order_by("-created_at").first()
    return _enrolment(user, vault.open(row.blob)) if row is not None else None


def confirm(*, actor: Actor, code: str) -> None:
    """From now on sign-ins need a code. Raises Forbidden, NotFound `totp.not_found`, Invalid `totp.code`."""
    user = _me(actor)
    row = Credential.objects.filter(user=user, type=TYPE, verified=False).order_by("-created_at").first()
    if row is None:
        raise NotFound("totp.not_found", "There is no second factor that waits for its first code.")
    with transaction.atomic():
        if not _spend(row, code, verified=True):
            raise Invalid("totp.code", "This is not the code of this moment: is the clock of the phone right?", field="code")
        record.write(actor, "identity.totp.manage", "user", user.pk, name=user.username, changes={"second_factor": [False, True]})


def remove(*, actor: Actor, code: str, request: "HttpRequest | None" = None) -> None:
    """Take away one's own second factor, with a code of it. Raises Forbidden, NotFound, Unauthenticated."""
    user = _me(actor)
    if not backends.has_second_factor(user):
        raise NotFound("totp.not_found", "You have no second factor.")
    prove(user=user, code=code, request=request)
    _take_away(actor, "identity.totp.manage", user)


def remove_of(*, actor: Actor, user_id: uuid.UUID) -> None:
    """Take away another user's second factor, whose phone was lost. Raises Forbidden, NotFound."""
    permission = "identity.user.set_password"
    user = selectors.user(actor=actor, user_id=user_id, permission=permission)
    administrators.require_over_user(actor, permission, user)
    if not Credential.objects.filter(user=user, type=TYPE).exists():
        raise NotFound("totp.not_found", "This user has no second factor.")
    _take_away(actor, permission, user)


def prove(*, user: User, code: str, request: Any = None) -> None:
    """Spend a code of the user's. Raises Unauthenticated `auth.second_factor`, `auth.locked`."""
    name = lockout.name_of(user.username, user.domain_id)
    lockout.check(request, name)
    if not spend(user, code):
        lockout.failed(request, name)
        text = "This code is wrong, or was used already, or its time is over."
        raise errors.second_factor([["password", "totp"]], text)


def spend(user: User, code: str) -> bool:
    """Whether this is a code of the user's that was not used yet; from now on it is."""
    return any(_spend(row, code) for row in Credential.objects.filter(user=user, type=TYPE, verified=True))


def check_seed(seed: str) -> str:
    """A seed that somebody brings along, as it is kept. Raises Invalid `credential.blob`."""
    found = seed.replace(" ", "").upper()
    try:
        raw = base64.b32decode(found + "=" * (-len(found) % 8))
    except (binascii.Error, ValueError):
        raw = b""
    if not 10 <= len(raw) <= 128:
        raise Invalid("credential.blob", "blob: expected the seed of a TOTP in Base32, of 16 characters or more.", field="blob")
    return found


def prune() -> int:
    """Delete seeds that were never confirmed; how many."""
    old = clock.now() - _UNCONFIRMED_KEPT
    return Credential.objects.filter(type=TYPE, verified=False, created_at__lt=old).delete()[0]


def _me(actor: Actor) -> User:
    policy.require(actor, "identity.totp.manage", user_id=actor.user_id)
    found = backends.users().filter(Q(pk=actor.user_id)).first()
    if found is None:
        raise Unauthenticated("auth.required", "This is for users, and the system itself is none.")
    return found


def _enrolment(user: User, seed: str) -> Enrolment:
    uri = _totp(seed).get_provisioning_uri(user.username, _ISSUER)
    return Enrolment(seed, uri, segno.make(uri, micro=False).svg_data_uri(scale=5, border=2, light="white"))


def _take_away(actor: Actor, action: str, user: User) -> None:
    with transaction.atomic():
        Credential.objects.filter(user=user, type=TYPE).delete()
        record.write(actor, action, "user", user.pk, name=user.username, changes={"second_factor": [True, False]})


def _spend(row: Credential, code: str, **changes: Any) -> bool:
    """Each step counts once, and never one before the last: the update decides among several who bring the same code."""
    given = code.replace(" ", "")
    if len(given) != DIGITS or not given.isascii() or not given.isdecimal():
        return False
    totp, now = _totp(vault.open(row.blob)), int(clock.now().timestamp()) // STEP_S
    for step in (now + around for around in _STEPS_AROUND):
        if hmac.compare_digest(totp.generate(step * STEP_S), given.encode()):
            rows = Credential.objects.filter(pk=row.pk, last_step__lt=step, **{name: not value for name, value in changes.items()})
            return bool(rows.update(last_step=step, last_used_at=clock.now(), **changes))
    return False


def _totp(seed: str) -> TOTP:
    raw = base64.b32decode(seed + "=" * (-len(seed) % 8))
    return TOTP(raw, DIGITS, SHA1(), STEP_S, enforce_key_length=False)  # noqa: S303  (what all apps understand)
