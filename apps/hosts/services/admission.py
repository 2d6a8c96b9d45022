"""Whether a host takes new instances."""

from apps.common.context import Actor
from apps.common.errors import NotFound
from apps.hosts.models import Host
from apps.identity import policy


def set_enabled(*, actor: Actor, name: str, enabled: bool, reason: str = "") -> Host:
    """Enable or disable a host by name. What runs on it stays. Raises Forbidden, NotFound."""
    policy.require(actor, "hosts.host.update")
    if not Host.objects.filter(name=name).update(enabled=enabled, disabled_reason="" if enabled else reason[:255]):
        raise NotFound("host.not_found", f"There is no host named {name}.", field="name")
    return Host.objects.get(name=name)
