"""Setting limits of projects and domains, and the defaults, by the names of resources."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction

from apps.audit.services import record
from apps.common.context import Actor
from apps.common.errors import Conflict, Invalid
from apps.common.sql import update_rows
from apps.identity import builtin, policy
from apps.identity import selectors as identity
from apps.quotas import selectors
from apps.quotas.models import Limit, RegisteredLimit
from apps.quotas.resources import MOST, RESOURCES, UNLIMITED
from apps.quotas.services import ledger

if TYPE_CHECKING:
    from apps.identity.models import Project

# Resource → limit; None: none of its own any more.
Wanted = Mapping[str, int | None]


@transaction.atomic
def set_limits(*, actor: Actor, owner_id: uuid.UUID, limits: Wanted) -> Project:
    """Set limits of a project, or of all projects of a domain together. What is used already stays, even if it is more.

    Returns the project or domain. Raises NotFound, Forbidden, Invalid.
    """
    owner = identity.place(actor=actor, place_id=owner_id)
    if owner.is_domain:
        policy.require(actor, "quotas.default.set")
        target = {"domain_id": owner.pk}
        ledger.wait_for_reservations()
    else:
        policy.require(actor, "quotas.limit.set", domain_id=owner.domain_id)
        target = {"project_id": owner.pk}
    _check(limits)
    changes = {}
    for name, wanted in limits.items():
        before = _replace(name, wanted, target)
        if before != wanted:
            changes[name] = [before, wanted]
    if changes:
        kind = "domain" if owner.is_domain else "project"
        record.write(
            actor, "quotas.default.set" if owner.is_domain else "quotas.limit.set", kind, owner.pk,
            project_id=None if owner.is_domain else owner.pk, name=owner.name, changes=changes,
        )
    return owner


@transaction.atomic
def set_defaults(*, actor: Actor, limits: Wanted) -> None:
    """Set what a project may have that has no limit of its own; None: what is built in. Raises Forbidden, Invalid."""
    policy.require(actor, "quotas.default.set")
    _check(limits)
    rows = _registered(limits)
    values = {name: RESOURCES[name].default if wanted is None else wanted for name, wanted in limits.items()}
    changes = {name: [rows[name].default_limit, value] for name, value in values.items() if rows[name].default_limit != value}
    for name, (_, value) in changes.items():
        rows[name].default_limit = value
    update_rows([rows[name] for name in changes], ["default_limit"])
    if changes:
        record.write(actor, "quotas.default.set", "limit", "default", changes=changes)


def _replace(name: str, wanted: int | None, target: Mapping[str, uuid.UUID]) -> int | None:
    """Make `wanted` the limit of a project or domain; what it was. Raises Conflict if somebody else makes one right now."""
    rows = list(
        Limit.objects.select_for_update(of=("self",)).filter(registered__in=selectors.registered_of([name]), **target)
        .order_by("registered__region_id")
    )
    if wanted is None:
        Limit.objects.filter(pk__in=[row.pk for row in rows]).delete()
    elif rows:
        Limit.objects.filter(pk=rows[-1].pk).update(resource_limit=wanted)
    else:
        try:
            with transaction.atomic():
                Limit.objects.create(registered=_registered([name])[name], resource_limit=wanted, **target)
        except IntegrityError:
            raise Conflict("limit.exists", f"Somebody else sets the limit of {name} at this moment; look again.") from None
    return rows[-1].resource_limit if rows else None


def _registered(names: Iterable[str]) -> dict[str, RegisteredLimit]:
    """The rows that the defaults of these resources come from, locked; made with the built-in default where there are none."""
    for _ in range(2):
        rows = selectors.registered_of(names).select_for_update().order_by("region_id", "pk")
        found = {row.resource_name: row for row in rows}
        missing = [RESOURCES[name] for name in names if name not in found]
        if not missing:
            break
        made = [
            RegisteredLimit(
                service_id=builtin.SERVICE_IDS[each.service], resource_name=each.name, default_limit=each.default, description=each.text
            )
            for each in missing
        ]
        RegisteredLimit.objects.bulk_create(made, ignore_conflicts=True)
    return found


def _check(limits: Wanted) -> None:
    for name, limit in limits.items():
        if name not in RESOURCES:
            raise Invalid("quota.resource", f"{name} is not counted; expected one of {', '.join(RESOURCES)}.", field=name)
        if limit is not None and not UNLIMITED <= limit <= MOST:
            raise Invalid("quota.limit", f"{name}: expected -1 (unlimited) to {MOST}, got {limit}.", field=name)
