"""What every way out of an instance's life has in common: claims are freed, the record says why."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from apps.common import clock, states
from apps.common.errors import CloudError
from apps.compute import names
from apps.compute.models import Instance
from apps.compute.states import MACHINE, InstanceState
from apps.network.services import plugs
from apps.operations.redaction import shown_on_resource
from apps.operations.services import lifecycle
from apps.operations.services.lifecycle import Note
from apps.placement.services import claims
from apps.quotas.services import reservations
from apps.scheduler.services import groups

if TYPE_CHECKING:
    from apps.operations.models import Operation


def free(instance_ids: Sequence[uuid.UUID]) -> None:
    """Give back ports, capacity and places in server groups. Only when it is certain that no host has anything of these instances."""
    groups.unseat(instance_ids)
    claims.release(instance_ids)
    plugs.release(instance_ids)


def build_failed(operation: Operation, instance: Instance, error: CloudError, *, on_host: bool = False) -> None:
    """The build is over: ERROR with the reason. `on_host`: something may be there still, so claims stay until it is not."""
    if not on_host:
        free([instance.pk])
    changes: dict[str, Any] = {} if on_host else {"host_id": None, "host_name": "", "addresses": []}
    shown = shown_on_resource(error, operation.host_name)
    states.move(Instance.objects.filter(pk=instance.pk), MACHINE, InstanceState.ERROR, error=shown, **changes)
    lifecycle.fail(operation, error)
    lifecycle.write([Note(operation.pk, "conductor", "failed", error.message)])


def fail_without_operation(instance: Instance, error: CloudError) -> None:
    """A locked instance whose work was lost: ERROR; its claims are freed if no host can have anything of it."""
    changes: dict[str, Any] = {} if instance.host_id is not None else {"addresses": []}
    if instance.host_id is None:
        free([instance.pk])
    states.move(Instance.objects.filter(pk=instance.pk), MACHINE, InstanceState.ERROR, error=error.as_dict(), **changes)


def gone(instance_ids: Sequence[uuid.UUID]) -> None:
    """These instances are deleted: nothing of them is left anywhere. Those that were before are passed over."""
    rows = Instance.objects.filter(pk__in=list(instance_ids))
    leaving = rows.filter(state__in=states.sources(MACHINE, InstanceState.DELETED)).select_for_update().order_by("pk")
    freed: dict[uuid.UUID, Counter[str]] = {}
    members = []
    for pk, project_id, group_id, *sizes in leaving.values_list("pk", "project_id", "server_group_id", *names.SIZES):
        freed.setdefault(project_id, Counter()).update(instances=1, **dict(zip(names.SIZES, sizes, strict=True)))
        if group_id is not None:
            members.append(pk)
            freed[project_id].update(server_group_members=1)
    with reservations.gathered():
        groups.leave(members)
        free(instance_ids)
        reservations.release_many(freed)
        states.move(
            rows, MACHINE, InstanceState.DELETED, deleted_at=clock.now(), power_state="", host_id=None, addresses=[],
            user_data="", public_key="", error=None, wanted_gone=False,
        )
