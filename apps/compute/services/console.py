"""Reading the console log: the host is asked, and the caller waits for the answer."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction

from apps.common.context import Actor
from apps.common.errors import InvalidState, Unavailable
from apps.common.ids import new_id
from apps.compute import names, selectors
from apps.identity import policy
from apps.operations import selectors as operations
from apps.operations.redaction import conceal
from apps.operations.services import commands, lifecycle
from apps.operations.states import OpState
from contracts import topics
from contracts.compute import v1

if TYPE_CHECKING:
    from apps.operations.models import Operation


def read(*, actor: Actor, instance_id: uuid.UUID, max_bytes: int = 65536) -> v1.ConsoleOutput:
    """The last bytes of the serial console's log. Raises NotFound, InvalidState (no host yet), Unavailable."""
    operation = _ask(actor, instance_id, max_bytes)
    answered = operations.wait(operation_id=operation.pk, seconds=settings.ENV.observe_timeout_s)
    if answered.state == OpState.SUCCEEDED and answered.result is not None:
        return v1.ConsoleOutput(**answered.result)
    if answered.error is not None:
        names = () if policy.everywhere(actor, "hosts.host.list") else (answered.host_name,)
        raise Unavailable(answered.error["code"], conceal(answered.error["message"], names))
    raise Unavailable("host.silent", "The host did not answer in time; the instance itself may be well.")


@transaction.atomic
def _ask(actor: Actor, instance_id: uuid.UUID, max_bytes: int) -> Operation:
    instance = selectors.instance(actor=actor, instance_id=instance_id, permission="compute.instance.console")
    if instance.host_id is None:
        raise InvalidState("instance.no_host", "This instance is on no host, so it has no console.", state=instance.state)
    # Its own resource: reading a console neither waits for nor blocks what is done to the instance.
    operation = lifecycle.prepare(
        actor=actor, kind=names.CONSOLE, resource_id=new_id(), project_id=instance.project_id,
        host_id=instance.host_id, host_name=instance.host_name,
    )
    commands.begin(
        operation, task=topics.COMPUTE_CONSOLE, body=v1.Console(instance_id=str(instance.pk), max_bytes=max_bytes)
    )
    return operation
