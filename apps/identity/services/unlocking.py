"""Help for those who are locked out: after too many wrong passwords or codes, or without the phone."""

import uuid
from dataclasses import dataclass

from django.db import transaction

from apps.audit.services import record
from apps.common.context import Actor
from apps.identity import backends, lockout, selectors
from apps.identity.services import administrators, totp

PERMISSION = "identity.user.set_password"


@dataclass(frozen=True)
class Unlocked:
    """What there was to undo."""

    failures: int
    had_second_factor: bool


def unlock(*, actor: Actor, user_id: uuid.UUID, with_second_factor: bool = False) -> Unlocked:
    """Forget the failures of a user, and take away the second factor of who has lost the phone. Raises NotFound, Forbidden."""
    user = selectors.user(actor=actor, user_id=user_id, permission=PERMISSION)
    administrators.require_over_user(actor, PERMISSION, user)
    had = with_second_factor and backends.has_second_factor(user)
    if had:
        totp.remove_of(actor=actor, user_id=user.pk)
    with transaction.atomic():
        failures = lockout.unlock(name=lockout.name_of(user.username, user.domain_id))
        if failures:
            record.write(actor, PERMISSION, "user", user.pk, project_id=user.domain_id, name=user.username, changes={"failures": [failures, 0]})
    return Unlocked(failures, had)
