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
from apps.hosts.services import deltas
from apps.hosts.states import MACHINE, HostState
from contracts.envelope import Envelope
from contracts.hosts import v1

# Load moves all the time; schedulers need no more than a rough idea of it.
_LOAD_STEP = 5
_MOST_LOAD = 1000
_MOST_TRAITS, _LONGEST_TRAIT = 1024, 255


@transaction.atomic
def hello(*, host_id: uuid.UUID, envelope: Envelope, said: v1.Hello) -> bool:
    """An agent has started. False if the message is older than what was heard before (a replay)."""
    host = Host.objects.select_for_update().filter(pk=host_id, last_issued__lt=envelope.issued_at).first()
    if host is None:
        return False
    before = _scheduled(host)
    host.state, host.last_issued, host.last_seen_at = HostState.UP.value, envelope.issued_at, clock.now()
    host.hypervisor, host.agent_version, host.speaks = said.hypervisor[:64], said.agent_version[:32], said.speaks
    host.traits = sorted({trait for trait in said.traits if len(trait) <= _LONGEST_TRAIT})[:_MOST_TRAITS]
    host.hypervisor_ok, host.hypervisor_error = True, ""
    host.save(update_fields=[
        "state", "last_issued", "last_seen_at", "hypervisor", "agent_version", "speaks", "traits", "hypervisor_ok", "hypervisor_error",
    ])
    if _scheduled(host) != before:
        deltas.note([host_id])
    return True


@transaction.atomic
def heartbeats(beats: Iterable[tuple[uuid.UUID, Envelope, v1.Heartbeat]]) -> int:
    """Many at once: two statements whatever their number, and one more if schedulers have to know. Older ones than were heard
    before are dropped. Returns taken."""
    newest = {host_id: (envelope.issued_at, beat) for host_id, envelope, beat in sorted(beats, key=lambda b: b[1].issued_at)}
    now = clock.now()
    taken, news = [], []
    for host in Host.objects.select_for_update().filter(pk__in=newest).order_by("pk"):
        issued_at, beat = newest[host.pk]
        if issued_at <= host.last_issued or host.state == HostState.ENROLLED:
            continue
        before = _scheduled(host)
        host.last_issued, host.last_seen_at, host.state = issued_at, now, HostState.UP.value
        host.hypervisor_ok, host.hypervisor_error = beat.hypervisor_ok, beat.hypervisor_error[:255]
        load = min(max(beat.load_percent, 0), _MOST_LOAD)
        if abs(load - host.load_percent) >= _LOAD_STEP:
            host.load_percent = load
        taken.append(host)
        if _scheduled(host) != before:
            news.append(host.pk)
    update_rows(taken, ["last_issued", "last_seen_at", "state", "hypervisor_ok", "hypervisor_error", "load_percent"])
    deltas.note(news)
    return len(taken)


def _scheduled(host: Host) -> tuple[object, ...]:
    """What schedulers know of it and its agent says."""
    return host.state, host.hypervisor_ok, host.hypervisor, host.load_percent


def mark_silent() -> list[uuid.UUID]:
    """Hosts that were silent for too long are down; returns their ids."""
    limit = clock.now() - timedelta(seconds=settings.ENV.host_silent_s)
    silent = Q(last_seen_at__lt=limit, state__in=sources(MACHINE, HostState.DOWN))
    with transaction.atomic():
        ids = list(Host.objects.select_for_update().filter(silent).order_by("pk").values_list("pk", flat=True))
        Host.objects.filter(pk__in=ids).update(state=HostState.DOWN.value)
        deltas.note(ids)
    return ids
