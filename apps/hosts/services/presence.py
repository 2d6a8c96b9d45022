"""Hello, heartbeats and silence."""

import uuid
from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from apps.common import clock
from apps.common.sql import update_rows
from apps.common.states import sources
from apps.hosts.models import Host
from apps.hosts.states import MACHINE, HostState
from contracts.envelope import Envelope
from contracts.hosts import v1


@transaction.atomic
def hello(*, host_id: uuid.UUID, envelope: Envelope, said: v1.Hello) -> bool:
    """An agent has started. False if the message is older than what was heard before (a replay)."""
    return bool(
        Host.objects.filter(pk=host_id, last_issued__lt=envelope.issued_at).update(
            state=HostState.UP.value, last_issued=envelope.issued_at, last_seen_at=clock.now(),
            hypervisor=said.hypervisor[:64], agent_version=said.agent_version[:32], speaks=said.speaks,
            traits=said.traits, hypervisor_ok=True, hypervisor_error="",
        )
    )


@transaction.atomic
def heartbeats(beats: Iterable[tuple[uuid.UUID, Envelope, v1.Heartbeat]]) -> int:
    """Many at once: two statements whatever their number. Older ones than were heard before are dropped. Returns taken."""
    newest = {host_id: (envelope.issued_at, beat) for host_id, envelope, beat in sorted(beats, key=lambda b: b[1].issued_at)}
    now = clock.now()
    taken = []
    for host in Host.objects.select_for_update().filter(pk__in=newest).order_by("pk"):
        issued_at, beat = newest[host.pk]
        if issued_at <= host.last_issued or host.state == HostState.ENROLLED:
            continue
        host.last_issued, host.last_seen_at, host.state = issued_at, now, HostState.UP.value
        host.hypervisor_ok, host.hypervisor_error = beat.hypervisor_ok, beat.hypervisor_error[:255]
        taken.append(host)
    update_rows(taken, ["last_issued", "last_seen_at", "state", "hypervisor_ok", "hypervisor_error"])
    return len(taken)


def mark_silent() -> list[uuid.UUID]:
    """Hosts that were silent for too long are down; returns their ids."""
    limit = clock.now() - timedelta(seconds=settings.ENV.host_silent_s)
    silent = Q(last_seen_at__lt=limit, state__in=sources(MACHINE, HostState.DOWN))
    with transaction.atomic():
        ids = list(Host.objects.select_for_update().filter(silent).order_by("pk").values_list("pk", flat=True))
        Host.objects.filter(pk__in=ids).update(state=HostState.DOWN.value)
    return ids
