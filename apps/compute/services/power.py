"""Start, stop, reboot."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.db import transaction

from apps.audit.services import record
from apps.common.context import Actor
from apps.common.errors import Invalid, InvalidState
from apps.compute import names, selectors
from apps.compute.states import POWER_FROM
from apps.identity import policy
from apps.operations.services import commands, lifecycle
from apps.operations.services.lifecycle import Note
from contracts import topics
from contracts.compute import v1

if TYPE_CHECKING:
    from apps.operations.models import Operation

PERMISSION = "compute.instance.power"


@transaction.atomic
def power(*, actor: Actor, instance_id: uuid.UUID, action: str) -> Operation:
    """`action`: start, stop, reboot_soft, reboot_hard. Raises NotFound, Forbidden, Invalid, InvalidState."""
    policy.require(actor, PERMISSION)
    if action not in POWER_FROM:
        raise Invalid("instance.action", f"action: expected one of {', '.join(POWER_FROM)}.", field="action")
    instance = selectors.instance(actor=actor, instance_id=instance_id, permission=PERMISSION, lock=True)
    if instance.state not in POWER_FROM[action]:
        allowed = [state.value for state in POWER_FROM[action]]
        raise InvalidState(
            "instance.state", f"{action} needs an instance that is {' or '.join(allowed)}; this one is {instance.state}.",
            state=instance.state, allowed=allowed,
        )
    if instance.host_id is None:
        raise InvalidState("instance.no_host", "This instance was never built on a host.", state=instance.state)
    instance.generation += 1
    instance.save(update_fields=["generation"])
    operation = lifecycle.prepare(
        actor=actor, kind=names.POWER[action], resource_id=instance.pk, project_id=instance.project_id,
        generation=instance.generation, host_id=instance.host_id, host_name=instance.host_name,
    )
    body = v1.Power(instance_id=str(instance.pk), action=v1.PowerAction(action))
    commands.begin(operation, task=topics.COMPUTE_POWER, body=body, notes=[Note(operation.pk, "api", "accepted")])
    record.write(
        actor, PERMISSION, "instance", instance.pk, project_id=instance.project_id, name=instance.name,
        changes={"action": action},
    )
    return operation
