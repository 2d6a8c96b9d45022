"""Reconciliation: what a host says it has, against what the database says it should have."""

import logging
import uuid
from datetime import UTC, datetime

from django.db import transaction

from apps.common.context import SYSTEM
from apps.compute.models import Instance
from apps.compute.services import delete, interfaces, strays
from apps.compute.services.reports import STATE_OF_POWER, settle
from apps.compute.states import InstanceState
from apps.operations import selectors as operations
from apps.operations.services import lifecycle
from contracts.compute.v1 import Domain, PowerState
from contracts.hosts.v1 import Observation

log = logging.getLogger(__name__)


def compare(*, host_id: str, observation: Observation) -> None:
    """Called with every full observation. Instances with an open operation are left to it."""
    seen = _by_instance(host_id, observation)
    rows = list(Instance.objects.filter(host_id=host_id).exclude(state=InstanceState.DELETED))
    busy = operations.open_kinds([instance.pk for instance in rows])
    taken_at = datetime.fromtimestamp(observation.started_at, UTC)
    for instance in rows:
        domain = seen.get(instance.pk) or Domain(instance_id=str(instance.pk), power_state=PowerState.ABSENT)
        if instance.pk not in busy and (instance.cards_in_doubt or _differs(instance, domain)):
            _mend(instance.pk, domain, taken_at)
    expected = {instance.pk for instance in rows}
    strays.remember(
        host_id=uuid.UUID(host_id), domains={key: domain for key, domain in seen.items() if key not in expected}, taken_at=taken_at
    )


def _by_instance(host_id: str, observation: Observation) -> dict[uuid.UUID, Domain]:
    seen = {}
    for domain in observation.domains:
        try:
            seen[uuid.UUID(domain.instance_id)] = domain
        except ValueError:  # what a host says is not to be trusted with more than itself
            log.warning("host %s lists a machine with the impossible id %r", host_id, domain.instance_id[:80])
    return seen


def _differs(instance: Instance, domain: Domain) -> bool:
    if instance.state == InstanceState.ERROR:
        return True
    return STATE_OF_POWER.get(domain.power_state) != instance.state


@transaction.atomic
def _mend(instance_id: uuid.UUID, domain: Domain, taken_at: datetime) -> None:
    """One instance, now under lock: whatever happened since the observation was made wins over it."""
    if lifecycle.lock_open(instance_id) is not None:
        return
    instance = Instance.objects.select_for_update().get(pk=instance_id)
    if operations.open_kinds([instance_id]):  # begun while we waited for the locks
        return
    if instance.state == InstanceState.DELETED or instance.host_id is None or _changed_since(instance_id, taken_at):
        return
    if instance.wanted_gone:
        delete.start(SYSTEM, instance)
    elif instance.state == InstanceState.ERROR and instance.launched_at is None:
        # Also when nothing is there: the build command may still wait in the host's queue, and only a command of a higher
        # generation fences it. The claims are freed by the answer.
        delete.purge(instance)
    elif _differs(instance, domain) and not (instance.state == InstanceState.ERROR and domain.power_state is PowerState.ABSENT):
        log.info("instance %s is %s on its host, was %s here", instance.pk, domain.power_state, instance.state)
        settle([instance.pk], domain.power_state)
    elif instance.cards_in_doubt:
        interfaces.settle_doubt(instance)


def _changed_since(instance_id: uuid.UUID, moment: datetime) -> bool:
    last = operations.of_resource(instance_id).first()
    return last is not None and last.finished_at is not None and last.finished_at >= moment
