"""Where a host stands, and whether it takes new instances."""

import uuid

from django.db import transaction

from apps.audit.services import record
from apps.common.context import Actor
from apps.common.errors import NotFound
from apps.hosts.models import Host
from apps.hosts.services import deltas, zones
from apps.identity import policy


def set_enabled(*, actor: Actor, name: str, enabled: bool, reason: str = "") -> Host:
    """Enable or disable a host by name. What runs on it stays. Raises Forbidden, NotFound."""
    return update_named(actor=actor, name=name, enabled=enabled, reason=reason)


@transaction.atomic
def update_named(
    *, actor: Actor, name: str, zone: str | None = None, enabled: bool | None = None, reason: str | None = None
) -> Host:
    """`update` by name. Raises what that raises."""
    policy.require(actor, "hosts.host.update")
    host = Host.objects.select_for_update().filter(name=name).first()
    if host is None:
        raise NotFound("host.not_found", f"There is no host named {name}.", field="name")
    return _update(actor, host, zone, enabled, reason)


@transaction.atomic
def update(
    *, actor: Actor, host_id: uuid.UUID, zone: str | None = None, enabled: bool | None = None, reason: str | None = None
) -> Host:
    """None: as it is. What runs on the host stays, whatever zone it asked for. `reason`: why it is disabled.

    Raises Forbidden, NotFound, Invalid `host.zone`.
    """
    policy.require(actor, "hosts.host.update")
    host = Host.objects.select_for_update().filter(pk=host_id).first()
    if host is None:
        raise NotFound("host.not_found", f"There is no host {host_id}.", field="host_id")
    return _update(actor, host, zone, enabled, reason)


def _update(actor: Actor, host: Host, zone: str | None, enabled: bool | None, reason: str | None) -> Host:
    if zone is not None and zone != host.zone:
        zones.require(zone)
    wanted = {"zone": host.zone if zone is None else zone, "enabled": host.enabled if enabled is None else enabled}
    wanted["disabled_reason"] = "" if wanted["enabled"] else (host.disabled_reason if reason is None else reason[:255])
    changes = record.changed(host, **wanted)
    for name, (_, value) in changes.items():
        setattr(host, name, value)
    if changes:
        host.save(update_fields=list(changes))
        record.write(actor, "hosts.host.update", "host", host.pk, name=host.name, changes=changes)
        deltas.note([host.pk])
    return host
