"""Whether a host takes new instances."""

from django.db import transaction

from apps.audit.services import record
from apps.common.context import Actor
from apps.common.errors import NotFound
from apps.hosts.models import Host
from apps.identity import policy


@transaction.atomic
def set_enabled(*, actor: Actor, name: str, enabled: bool, reason: str = "") -> Host:
    """Enable or disable a host by name. What runs on it stays. Raises Forbidden, NotFound."""
    policy.require(actor, "hosts.host.update")
    host = Host.objects.select_for_update().filter(name=name).first()
    if host is None:
        raise NotFound("host.not_found", f"There is no host named {name}.", field="name")
    changes = record.changed(host, enabled=enabled, disabled_reason="" if enabled else reason[:255])
    if changes:
        host.enabled, host.disabled_reason = enabled, "" if enabled else reason[:255]
        host.save(update_fields=list(changes))
        record.write(actor, "hosts.host.update", "host", host.pk, name=name, changes=changes)
    return host
