"""Zones: hosts that fail together, by name."""

import re
import uuid

from django.db import IntegrityError, transaction

from apps.audit.services import record
from apps.common.context import Actor
from apps.common.errors import Conflict, Invalid, InvalidState, NotFound
from apps.common.sql import hold
from apps.hosts.models import Host, Zone
from apps.hosts.services import deltas
from apps.identity import policy

# The one that hosts are in unless somebody says otherwise; it is always there.
DEFAULT = "default"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}")
# So many hosts are named by a refusal.
_NAMED = 5


def create(*, actor: Actor, name: str, description: str = "", enabled: bool = True) -> Zone:
    """Raises Forbidden, Invalid `zone.name`, Conflict `zone.exists`."""
    policy.require(actor, "hosts.zone.create")
    if not NAME.fullmatch(name):
        raise Invalid("zone.name", "name: expected 1 to 63 letters, digits, dots and dashes.", field="name")
    try:
        with transaction.atomic():
            zone = Zone.objects.create(name=name, description=description[:255], enabled=enabled)
            changes = {"description": description, "enabled": enabled}
            record.write(actor, "hosts.zone.create", "zone", zone.pk, name=name, changes=changes)
    except IntegrityError:
        raise Conflict("zone.exists", f"There is a zone named {name} already.", field="name") from None
    return zone


def ensure(*, actor: Actor, name: str) -> Zone:
    """The zone of this name, made if there is none. Raises what `create` raises."""
    return Zone.objects.filter(name=name).first() or create(actor=actor, name=name)


@transaction.atomic
def update(*, actor: Actor, zone_id: uuid.UUID, description: str | None = None, enabled: bool | None = None) -> Zone:
    """None: as it is. While a zone is not enabled its hosts take no new instances. Raises Forbidden, NotFound."""
    policy.require(actor, "hosts.zone.update")
    zone = _locked(zone_id)
    wanted = {"description": None if description is None else description[:255], "enabled": enabled}
    changes = record.changed(zone, **{name: value for name, value in wanted.items() if value is not None})
    for name, (_, value) in changes.items():
        setattr(zone, name, value)
    if changes:
        zone.save(update_fields=list(changes))
        record.write(actor, "hosts.zone.update", "zone", zone.pk, name=zone.name, changes=changes)
    if "enabled" in changes:
        deltas.note(Host.objects.filter(zone=zone.name).values_list("pk", flat=True))
    return zone


@transaction.atomic
def delete(*, actor: Actor, zone_id: uuid.UUID) -> None:
    """Raises Forbidden, NotFound, InvalidState `zone.in_use` naming the hosts in it, and `zone.default` for the one of `DEFAULT`."""
    policy.require(actor, "hosts.zone.delete")
    zone = _locked(zone_id)
    if zone.name == DEFAULT:
        raise InvalidState("zone.default", f"The zone {DEFAULT} stays: hosts are in it unless somebody says otherwise.")
    hosts = list(Host.objects.filter(zone=zone.name).order_by("name").values_list("name", flat=True))
    if hosts:
        message = f"The zone {zone.name} cannot be deleted: {said(hosts)} in it. Move them to another zone first."
        raise InvalidState("zone.in_use", message, hosts=hosts[:_NAMED], count=len(hosts))
    record.write(actor, "hosts.zone.delete", "zone", zone.pk, name=zone.name)
    zone.delete()


def require(name: str) -> None:
    """The zone is there, and stays until the caller's transaction ends. Raises Invalid `host.zone`, which lists those that there are."""
    if name == DEFAULT:
        Zone.objects.get_or_create(name=DEFAULT)
    if not hold(Zone, list(Zone.objects.filter(name=name).values_list("pk", flat=True))):
        known = list(Zone.objects.order_by("name").values_list("name", flat=True))
        message = f"zone: there is no zone {name[:64]!r}; known are {', '.join(known) or 'none'}."
        raise Invalid("host.zone", message, field="zone", known=known)


def said(hosts: list[str]) -> str:
    """`hv1 is`, `hv1, hv2 and 7 more are`: who is in the way."""
    more = f" and {len(hosts) - _NAMED} more" if len(hosts) > _NAMED else ""
    names = f"{', '.join(hosts[:_NAMED])}{more}"
    return f"the host {names} is" if len(hosts) == 1 else f"the hosts {names} are"


def _locked(zone_id: uuid.UUID) -> Zone:
    zone = Zone.objects.select_for_update().filter(pk=zone_id).first()
    if zone is None:
        raise NotFound("zone.not_found", f"There is no zone {zone_id}.", field="zone_id")
    return zone
