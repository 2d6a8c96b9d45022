"""What hosts say of their networking: at their start, with every heartbeat, and after they have converged or when they ask."""

import ipaddress
import logging
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import transaction

from apps.common import bus, clock
from apps.common.sql import update_rows
from apps.hosts.services import deltas
from apps.network.models import HostNetwork
from apps.network.services import changes
from contracts import topics
from contracts.hosts.v1 import Heartbeat, Hello
from contracts.network.v2 import Told

log = logging.getLogger(__name__)
# A message may be under way so long before a host that is behind counts as one that has lost it. With a thousand hosts that
# start at once, more impatience would have each told everything again and again.
_GRACE_S = 10.0
_MENDED_KEPT = 20
_PROBLEMS_KEPT = 200
_LONGEST_TEXT = 500


@transaction.atomic
def take_hello(host_id: uuid.UUID, name: str, said: Hello) -> None:
    """A host's agent has started, or repeats that it has: how it is plugged in, and what it knows."""
    speaks = {topics.NETWORK_STATE, topics.NETWORK_CHANGE} <= set(said.speaks)
    tunnel, wires = _address(said.tunnel_address), sorted({wire[:64] for wire in said.physical_networks})
    row, is_new = HostNetwork.objects.select_for_update().get_or_create(pk=host_id, defaults={"host_name": name})
    moved = row.tunnel_address != tunnel
    plugged_otherwise = (row.host_name, row.speaks, row.physical_networks) != (name, speaks, wires)
    if not said.repeated and said.network_generation != row.generation and row.generation:
        row.full_due = True  # it begins with what it has, and what was sent may have gone with the agent before
    _compare(row, said.network_generation)
    if not (is_new or moved or plugged_otherwise or row.full_due):
        return
    row.host_name, row.speaks, row.physical_networks, row.tunnel_address = name, speaks, wires, tunnel
    row.full_due = row.full_due or moved or plugged_otherwise
    if is_new or plugged_otherwise:
        deltas.note([host_id])
    row.save(update_fields=["host_name", "speaks", "physical_networks", "tunnel_address", "full_due", "generation"])
    if moved and not is_new:
        changes.host(host_id)
    _hint(row.speaks and row.full_due)


@transaction.atomic
def take_beats(beats: Sequence[tuple[uuid.UUID, Heartbeat]]) -> None:
    """Many at once: one statement as long as nobody is behind."""
    said = {host_id: beat.network_generation for host_id, beat in beats}
    rows = HostNetwork.objects.filter(pk__in=said, speaks=True, full_due=False).values_list("pk", "generation")
    behind = [pk for pk, generation in rows if said[pk] != generation]
    if not behind:
        return
    due = []
    for row in HostNetwork.objects.select_for_update().filter(pk__in=behind, full_due=False).order_by("pk").defer("told"):
        if _compare(row, said[row.pk]):
            due.append(row)
    update_rows(due, ["generation", "full_due"])
    _hint(bool(due))


@transaction.atomic
def take_told(reports: Sequence[tuple[uuid.UUID, Told]]) -> None:
    """How far hosts are, what they could not do, what they have mended, and who asks for everything."""
    by_host: dict[uuid.UUID, list[Told]] = {}
    for host_id, told in reports:
        by_host.setdefault(host_id, []).append(told)
    rows = list(HostNetwork.objects.select_for_update().filter(pk__in=by_host).order_by("pk").defer("told", "lacking"))
    for row in rows:
        for told in by_host[row.pk]:
            _apply(row, told)
    update_rows(rows, ["generation", "applied", "applied_at", "behind_since", "took_ms", "problems", "mended", "full_due"])
    _hint(any(row.full_due and row.speaks for row in rows))


def _apply(row: HostNetwork, told: Told) -> None:
    now = clock.now()
    if told.generation > row.generation:
        _compare(row, told.generation)
    if told.generation >= row.applied and told.generation:
        problems = [_problem(problem.code, problem.message, problem.object) for problem in told.problems[:_PROBLEMS_KEPT]]
        if problems and problems != row.problems:
            first = f"{problems[0]['code']}: {problems[0]['message']}"
            log.warning("host %s has %d problem(s) with its networks, first: %s", row.host_name, len(problems), first)
        if told.generation > row.applied:
            row.behind_since = now  # it is at it; none of what is newer has it had time for since
        row.applied, row.applied_at, row.took_ms, row.problems = told.generation, now, told.took_ms, problems
        if row.applied == row.generation:
            row.behind_since = None
    if told.mended:
        log.warning("host %s has mended its networks: %s", row.host_name, "; ".join(told.mended)[:_LONGEST_TEXT])
        lines = [{"at": now.isoformat(), "what": _text(line)} for line in told.mended[-_MENDED_KEPT:]]
        row.mended = [*row.mended, *lines][-_MENDED_KEPT:]
    row.full_due = row.full_due or (told.asks and not _is_under_way(row, told.generation))


def _compare(row: HostNetwork, generation: int) -> bool:
    """Whether a host at this generation must be told everything; the row (locked) says so then."""
    now = clock.now()
    if generation > row.generation:
        # The database is older than what the host was told: it was restored. What comes next must be newer.
        log.warning("host %s is at network generation %d, told were %d", row.host_name, generation, row.generation)
        row.generation, row.applied, row.full_due = generation, 0, True
    elif generation < row.generation and (row.sent_at is None or row.sent_at < now - timedelta(seconds=_GRACE_S)):
        row.full_due = True
    return row.full_due


def _is_under_way(row: HostNetwork, generation: int) -> bool:
    """Whether the answer to a host that asks at this generation has been sent, and it may just not have it yet."""
    recently = clock.now() - timedelta(seconds=_GRACE_S)
    return generation < row.full_generation and row.full_at is not None and row.full_at > recently


def _hint(wanted: bool) -> None:
    if wanted:
        bus.send_after_commit([bus.Message(topics.CONDUCTOR, topics.TELL_HOSTS, ())])


def _problem(code: str, message: str, about: str) -> dict[str, Any]:
    return {"code": code[:64], "message": _text(message), "object": about[:64]}


def _text(said: str) -> str:
    return said[:_LONGEST_TEXT].replace("\0", "\ufffd")


def _address(said: str) -> str | None:
    """As the database gives it back; None for what is no address."""
    try:
        return str(ipaddress.ip_address(said)) if said else None
    except ValueError:
        log.warning("a host says that its tunnel address is %r", said[:64])
        return None
