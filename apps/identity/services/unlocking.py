"""Help for those who are locked out: after too many wrong passwords or codes, or without the phone."""

from dataclasses import dataclass

from django.db import transaction

from apps.audit.services import record
from apps.common.context import Actor
from apps.common.errors import NotFound
from apps.identity import backends, lockout, policy
from apps.identity.services import administrators, totp

PERMISSION = "identity.user.set_password"


@dataclass(frozen=True)
class Unlocked:
    """What there was to undo."""

    failures: int
    had_second_factor: bool


def unlock(*, actor: Actor, username: str, with_second_factor: bool = False) -> Unlocked:
    """Forget the failures of a user (`domain/name` outside of the default domain). Raises NotFound, Forbidden."""
    user = backends.find(username)
    if user is None or not policy.allows(actor, PERMISSION, domain_id=user.domain_id):
        policy.require(actor, PERMISSION)
        raise NotFound("user.not_found", f"There is no user named {username!r} of yours.", field="username")
    administrators.require_over_user(actor, PERMISSION, user)
    had = with_second_factor and backends.has_second_factor(user)
    if had:
        totp.remove_of(actor=actor, user_id=user.pk)
    with transaction.atomic():
        failures = lockout.unlock(name=lockout.name_of(user.username, user.domain_id))
        if failures:
            record.write(actor, PERMISSION, "user", user.pk, project_id=user.domain_id, name=user.username, changes={"failures": [failures, 0]})
    return Unlocked(failures, had)
