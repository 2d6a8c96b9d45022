"""Trusts: one user lets another one act in a project with some of its roles. Rules as in Identity v3's OS-TRUST."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import transaction

from apps.audit.services import record
from apps.common import clock
from apps.common.context import Actor
from apps.common.errors import Forbidden, Invalid, NotFound
from apps.identity import policy, standing
from apps.identity.models import Role, Token, Trust, User
from apps.identity.selectors import delegated
from apps.identity.services import ceilings
from apps.identity.services.tokens import MOST_REDELEGATIONS


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A trust to be made. `roles`: ids or names. `remaining_uses`: how many tokens it is good for; None: any number.

    `redelegation_count`: how often it may be handed on; None: as often as it can. `redelegated_from`: the trust that is
    handed on, if the caller names it.
    """

    trustor_id: uuid.UUID
    trustee_id: uuid.UUID
    impersonation: bool
    project_id: uuid.UUID | None = None
    roles: Sequence[str] = ()
    expires_at: datetime | None = None
    remaining_uses: int | None = None
    allow_redelegation: bool = False
    redelegation_count: int | None = None
    redelegated_from: uuid.UUID | None = None


def create(*, actor: Actor, wanted: Wanted) -> Trust:
    """Trusts are given by the trustor alone; who came by a trust that may be handed on hands it on.

    Raises Forbidden, NotFound (trustee, role), Invalid.
    """
    policy.require(actor, "identity.trust.create", user_id=wanted.trustor_id)
    token = ceilings.came_by(actor)
    if token is not None and token.application_credential_id is not None:
        raise Forbidden("auth.bound", "An application credential gives no trusts.")
    _check(wanted)
    if not User.objects.filter(pk=wanted.trustee_id).exists():
        raise NotFound("user.not_found", f"There is no user {wanted.trustee_id}.", field="trustee_id")
    parent = token.trust if token is not None else None
    if wanted.redelegated_from is not None and (parent is None or parent.pk != wanted.redelegated_from):
        raise Forbidden("trust.redelegation", "To hand on a trust, come with a token by that very trust.")
    wanted = _within(wanted, parent) if parent is not None else replace(wanted, redelegation_count=_count(wanted, MOST_REDELEGATIONS))
    roles = _roles(wanted, parent)
    with transaction.atomic():
        made = Trust.objects.create(
            trustor_id=wanted.trustor_id, trustee_id=wanted.trustee_id, project_id=wanted.project_id,
            impersonation=wanted.impersonation, expires_at=wanted.expires_at, remaining_uses=wanted.remaining_uses,
            allow_redelegation=wanted.allow_redelegation, redelegation_count=wanted.redelegation_count or 0, redelegated_from=parent,
        )
        made.roles.set(Role.objects.filter(pk__in=roles))
        changes = {"trustee_id": wanted.trustee_id, "impersonation": wanted.impersonation, "expires_at": wanted.expires_at}
        record.write(actor, "identity.trust.create", "trust", made.pk, project_id=wanted.project_id, changes=changes)
    return made


def delete(*, actor: Actor, trust_id: uuid.UUID) -> None:
    """End a trust and all that were made out of it; their tokens are void at once. Raises NotFound, Forbidden."""
    permission = "identity.trust.delete"
    found = delegated.trust(actor=actor, trust_id=trust_id, permission=permission)
    policy.require(actor, permission, user_id=found.trustor_id)
    now = clock.now()
    with transaction.atomic():
        ending = [found.pk]
        while ending:
            Trust.objects.filter(pk__in=ending, deleted_at=None).update(deleted_at=now)
            Token.objects.filter(trust_id__in=ending, revoked_at=None).update(revoked_at=now)
            ending = list(Trust.objects.filter(redelegated_from_id__in=ending, deleted_at=None).values_list("pk", flat=True))
        record.write(actor, permission, "trust", found.pk, project_id=found.project_id)


def _check(wanted: Wanted) -> None:
    if wanted.expires_at is not None and wanted.expires_at <= clock.now():
        raise Invalid("trust.expiry", "expires_at: expected a time to come.", field="expires_at")
    if wanted.remaining_uses is not None and wanted.remaining_uses < 1:
        raise Invalid("trust.uses", "remaining_uses: expected a whole number from 1 on.", field="remaining_uses")
    if wanted.remaining_uses is not None and wanted.allow_redelegation:
        raise Invalid("trust.uses", "remaining_uses: a trust that may be handed on has no limit of uses.", field="remaining_uses")
    if wanted.redelegation_count is not None and wanted.redelegation_count < 0:
        raise Invalid("trust.redelegation_count", "redelegation_count: expected a whole number from 0 on.", field="redelegation_count")
    if wanted.project_id is not None and not wanted.roles:
        raise Forbidden("trust.roles", "At least one role should be specified.", field="roles")
    if wanted.project_id is None and wanted.roles:
        raise Invalid("trust.project", "project_id: expected the project in which the roles are given.", field="project_id")


def _count(wanted: Wanted, most: int) -> int:
    """How often it may be handed on. Raises Forbidden."""
    if not wanted.allow_redelegation:
        return 0
    count = most if wanted.redelegation_count is None else wanted.redelegation_count
    if count > most:
        text = f"redelegation_count: it may be handed on {most} times at most."
        raise Forbidden("trust.redelegation_count", text, field="redelegation_count")
    return count


def _within(wanted: Wanted, parent: Trust) -> Wanted:
    """What is handed on is at most what was given. Raises Forbidden."""
    if not parent.allow_redelegation or parent.redelegation_count < 1:
        raise Forbidden("trust.redelegation", "The trust that you came by may not be handed on.")
    if wanted.impersonation and not parent.impersonation:
        raise Forbidden("trust.impersonation", "The trust that you came by is without impersonation, so this one must be, too.")
    if wanted.project_id != parent.project_id:
        raise Forbidden("trust.project", "The trust that you came by is for another project.", field="project_id")
    ends = wanted.expires_at or parent.expires_at
    if parent.expires_at is not None and ends is not None and ends > parent.expires_at:
        raise Forbidden("trust.expiry", "expires_at: it cannot outlive the trust that you came by.", field="expires_at")
    return replace(wanted, expires_at=ends, redelegation_count=_count(wanted, parent.redelegation_count - 1))


def _roles(wanted: Wanted, parent: Trust | None) -> list[uuid.UUID]:
    """Raises NotFound (a role that the trustor does not have there), Forbidden (more than was given)."""
    if wanted.project_id is None:
        return []
    if parent is not None:
        at = policy.version()
        held = policy.closure(parent.roles.values_list("pk", flat=True), at)
    else:
        found = standing.of(wanted.trustor_id, wanted.project_id)
        if found is None or found.place_id is None or found.place_is_domain or not found.enabled:
            raise NotFound("project.not_found", f"There is no project {wanted.project_id} of yours.", field="project_id")
        at, held = found.version, policy.closure(standing.split(found.roles)[0], found.version)
    roles, strange = ceilings.roles_named(wanted.roles, held, at)
    if strange and parent is not None:
        raise Forbidden("trust.roles", f"The trust that you came by does not give the role {strange[0][:80]}.", field="roles")
    if strange:
        raise NotFound("role.not_found", f"You have no role {strange[0][:80]} in this project.", field="roles")
    return roles
