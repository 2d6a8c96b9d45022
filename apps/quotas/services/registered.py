"""Limits row by row, as OpenStack's Identity API has them: of any service and resource, also of such as we do not know."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from apps.audit.services import record
from apps.common.context import SYSTEM, Actor
from apps.common.errors import Conflict, Invalid, InvalidState, NotFound
from apps.identity import policy
from apps.identity import selectors as identity
from apps.quotas import selectors
from apps.quotas.models import Limit, RegisteredLimit
from apps.quotas.resources import MOST, UNLIMITED
from apps.quotas.services import ledger

_DESCRIPTION = 4096


@dataclass(frozen=True, kw_only=True)
class NewRegistered:
    """A default limit. `region_id`: empty for all regions."""

    service_id: uuid.UUID
    resource_name: str
    default_limit: int
    region_id: str = ""
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class NewLimit:
    """A limit of a project or a domain, for what is registered under service, region and name."""

    service_id: uuid.UUID
    resource_name: str
    resource_limit: int
    region_id: str = ""
    project_id: uuid.UUID | None = None
    domain_id: uuid.UUID | None = None
    description: str = ""


def register(*, actor: Actor, rows: Sequence[NewRegistered]) -> list[RegisteredLimit]:
    """All of them or none. Raises Forbidden, Invalid, Conflict `registered_limit.exists`."""
    policy.require(actor, "quotas.default.set")
    for row in rows:
        _check(row.default_limit, "default_limit")
        _check_text(row.description)
        _known(row.service_id, row.region_id)
    made = [RegisteredLimit(**vars(row)) for row in rows]
    try:
        with transaction.atomic():
            RegisteredLimit.objects.bulk_create(made)
            for each in made:
                _record(actor, "registered_limit", each, {"default_limit": each.default_limit})
    except IntegrityError:
        raise Conflict("registered_limit.exists", "This resource of this service and region is registered already.") from None
    return made


def change_registered(*, actor: Actor, registered_id: uuid.UUID, **changes: Any) -> RegisteredLimit:
    """`changes`: service_id, region_id, resource_name (while no limits refer to it), default_limit, description.

    Raises Forbidden, NotFound, Invalid, InvalidState `registered_limit.in_use`, Conflict `registered_limit.exists`.
    """
    policy.require(actor, "quotas.default.set")
    _check(changes.get("default_limit", 0), "default_limit")
    _check_text(changes.get("description", ""))
    _known(changes.get("service_id"), changes.get("region_id", ""))
    try:
        with transaction.atomic():
            row = _registered(registered_id)
            key = {name: value for name, value in changes.items() if name not in ("default_limit", "description")}
            if any(getattr(row, name) != value for name, value in key.items()) and row.limits.exists():
                raise _in_use()
            told = {name: [getattr(row, name), value] for name, value in changes.items() if getattr(row, name) != value}
            for name, value in changes.items():
                setattr(row, name, value)
            row.save(update_fields=list(changes))
            if told:
                _record(actor, "registered_limit", row, told)
    except IntegrityError:
        raise Conflict("registered_limit.exists", "This resource of this service and region is registered already.") from None
    return row


@transaction.atomic
def unregister(*, actor: Actor, registered_id: uuid.UUID) -> None:
    """Ours then have their built-in default again. Raises Forbidden, NotFound, InvalidState `registered_limit.in_use`."""
    policy.require(actor, "quotas.default.set")
    row = _registered(registered_id)
    try:
        RegisteredLimit.objects.filter(pk=row.pk).delete()
    except ProtectedError:
        raise _in_use() from None
    _record(actor, "registered_limit", row, {"default_limit": [row.default_limit, None]})


def create_limits(*, actor: Actor, rows: Sequence[NewLimit]) -> list[Limit]:
    """All of them or none.

    Raises Forbidden, NotFound (project, domain), Invalid, InvalidState `limit.unregistered` if nobody has registered the
    resource, Conflict `limit.exists`.
    """
    made = []
    try:
        with transaction.atomic():
            if any(row.domain_id is not None for row in rows):
                ledger.wait_for_reservations()
            for row in rows:
                made.append(_create(actor, row))
    except IntegrityError:
        raise Conflict("limit.exists", "The project or domain has a limit for this resource already.") from None
    return made


@transaction.atomic
def change_limit(*, actor: Actor, limit_id: uuid.UUID, **changes: Any) -> Limit:
    """`changes`: resource_limit, description. Raises Forbidden, NotFound, Invalid."""
    row = _limit(actor, limit_id)
    _check(changes.get("resource_limit", 0), "resource_limit")
    _check_text(changes.get("description", ""))
    told = {name: [getattr(row, name), value] for name, value in changes.items() if getattr(row, name) != value}
    for name, value in changes.items():
        setattr(row, name, value)
    row.save(update_fields=list(changes))
    if told:
        _record(actor, "limit", row, told)
    return row


@transaction.atomic
def delete_limit(*, actor: Actor, limit_id: uuid.UUID) -> None:
    """Raises Forbidden, NotFound."""
    row = _limit(actor, limit_id)
    Limit.objects.filter(pk=row.pk).delete()
    _record(actor, "limit", row, {"resource_limit": [row.resource_limit, None]})


def _create(actor: Actor, row: NewLimit) -> Limit:
    _check(row.resource_limit, "resource_limit")
    _check_text(row.description)
    if (row.project_id is None) == (row.domain_id is None):
        raise Invalid("limit.owner", "Expected either a project or a domain.", field="project_id")
    _may_set(actor, project_id=row.project_id, domain_id=row.domain_id)
    registered = RegisteredLimit.objects.filter(
        service_id=row.service_id, region_id=row.region_id, resource_name=row.resource_name
    ).first()
    if registered is None:
        raise InvalidState(
            "limit.unregistered", f"Nobody has registered a default limit for {row.resource_name} of this service and region."
        )
    made = Limit.objects.create(
        registered=registered, project_id=row.project_id, domain_id=row.domain_id, resource_limit=row.resource_limit,
        description=row.description,
    )
    _record(actor, "limit", made, {"resource_limit": row.resource_limit})
    return made


def _may_set(actor: Actor, *, project_id: uuid.UUID | None, domain_id: uuid.UUID | None) -> None:
    owner = identity.place(actor=actor, place_id=project_id or domain_id or uuid.UUID(int=0))
    if owner.is_domain != (domain_id is not None):
        raise NotFound("limit.owner", f"There is no such {'domain' if domain_id else 'project'}: {owner.pk}.")
    if owner.is_domain:
        policy.require(actor, "quotas.default.set")
    else:
        policy.require(actor, "quotas.limit.set", domain_id=owner.domain_id)


def _limit(actor: Actor, limit_id: uuid.UUID) -> Limit:
    """Locked, and the actor may set it."""
    row = selectors.limits(actor=actor).select_for_update(of=("self",)).filter(pk=limit_id).first()
    if row is None:
        raise NotFound("limit.not_found", f"There is no limit {limit_id}.")
    _may_set(actor, project_id=row.project_id, domain_id=row.domain_id)
    return row


def _registered(registered_id: uuid.UUID) -> RegisteredLimit:
    row = RegisteredLimit.objects.select_for_update().filter(pk=registered_id).first()
    if row is None:
        raise NotFound("registered_limit.not_found", f"There is no registered limit {registered_id}.")
    return row


def _known(service_id: uuid.UUID | None, region_id: str) -> None:
    """Raises Invalid for a service or region that there is not."""
    if service_id is not None and not identity.services(actor=SYSTEM).filter(pk=service_id).exists():
        raise Invalid("service.not_found", f"There is no service {service_id}.", field="service_id")
    if region_id and not identity.regions(actor=SYSTEM).filter(pk=region_id).exists():
        raise Invalid("region.not_found", f"There is no region {region_id[:255]}.", field="region_id")


def _check_text(description: str) -> None:
    if len(description) > _DESCRIPTION:
        raise Invalid("text.invalid", f"description: expected at most {_DESCRIPTION} characters.", field="description")


def _in_use() -> InvalidState:
    return InvalidState("registered_limit.in_use", "Projects or domains have limits that refer to this one; delete those first.")


def _check(limit: int, field: str) -> None:
    if not UNLIMITED <= limit <= MOST:
        raise Invalid("quota.limit", f"{field}: expected -1 (unlimited) to {MOST}, got {limit}.", field=field)


def _record(actor: Actor, kind: str, row: RegisteredLimit | Limit, changes: dict[str, Any]) -> None:
    of_project = row.project_id if isinstance(row, Limit) else None
    registered = row.registered if isinstance(row, Limit) else row
    action = "quotas.limit.set" if of_project is not None else "quotas.default.set"
    record.write(actor, action, kind, row.pk, project_id=of_project, name=registered.resource_name, changes=changes)
