"""Telling hosts what changed in networks: each the difference to what it was told before, or its whole state.

Any number of tellers may run at once: the conductor, woken by `changes`, and the ticker for what was overlooked. What a host is told is read
after its row is locked, so a later generation never carries older news. A message that is lost is noticed by the host's next
heartbeat (`heard`), and one that overtakes another by the host itself; both end with the whole state.
"""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from django.db import transaction
from django.db.models import Q

from apps.audit.services import record
from apps.common import bus, clock, keys
from apps.common.context import Actor
from apps.common.errors import InvalidState, NotFound
from apps.common.sql import snapshot, update_rows
from apps.hosts import selectors as hosts
from apps.identity import policy
from apps.network.models import Change, HostNetwork
from apps.network.payloads import objects
from apps.network.services import changes, gateways
from apps.network.services.affected import Affected, affected
from apps.network.services.messages import Composer, Parts
from apps.network.services.views import Difference, Touched, View, current, difference
from contracts import topics
from contracts.envelope import Envelope, Kind

# Changes that are told together, and hosts that are told everything in one transaction.
_CHANGES_AT_ONCE = 2000
_WHOLE_AT_ONCE = 40
# A host is told everything at most this often, however often it asks; and now and then although it does not, a few at a time.
_WHOLE_EVERY_S = 1.0
_AFRESH_S = 3600.0
_AFRESH_AT_ONCE = 2
# The conductor has not told a change of that age: longer than it waits for more to tell at once (apps.network.tasks).
_OVERLOOKED_S = 3.0
# Whoever gets a message later than this asks anew.
_DEADLINE_S = 600.0


@dataclass(frozen=True)
class _News:
    """What one host is sent once it is committed; several bodies are parts of one."""

    host_id: uuid.UUID
    host_name: str
    task: str
    generation: int
    bodies: tuple[msgspec.Raw, ...]


def tell(most: int = _CHANGES_AT_ONCE) -> int:
    """Tell hosts all that is noted, and whoever is due its whole state; how many messages that made."""
    told = 0
    while True:
        news, more = _round(most)
        told += len(news)
        if not more:
            return told


def tell_overlooked() -> int:
    """For the ticker: what nobody has told although it is time, since a hint was lost or a teller has died; as `tell`."""
    late = clock.now() - timedelta(seconds=_OVERLOOKED_S)
    if Change.objects.filter(at__lt=late).exists() or _due(hosts.down())[0]:
        return tell()
    return 0


def tell_again(*, actor: Actor, host_id: uuid.UUID) -> HostNetwork:
    """Have a host told its whole state. Raises Forbidden, NotFound, InvalidState."""
    policy.require(actor, "network.host.tell")
    with transaction.atomic():
        row = HostNetwork.objects.select_for_update().filter(pk=host_id).first()
        if row is None:
            raise NotFound("host.not_found", f"Host {host_id} has not said anything about its networking.", field="host_id")
        if not row.speaks:
            raise InvalidState("host.speaks_no_networks", f"The agent of {row.host_name} is too old to be told of networks.")
        record.write(actor, "network.host.tell", "host", row.pk, name=row.host_name, changes={})
        changes.host(row.pk)
    return row


def _round(most: int) -> tuple[list[_News], bool]:
    """One transaction. Returns what was sent, and whether there may be more to do."""
    down = hosts.down()
    due, more = _due(down)
    found, noted = Affected(), 0
    wanted: list[Change] = []
    if Change.objects.exists():
        with snapshot():
            pending = list(Change.objects.all())
            wanted, noted = pending[:most], len(pending)
            found = affected(wanted, pending)
    elif not due:
        return [], False
    with transaction.atomic():
        taken = _take(wanted) if wanted else []
        if wanted and not taken:
            found = Affected()  # another teller is at it
        if not taken and not due:
            return [], False
        news = _tell(_lock(found, due, down), found)
        if taken:
            Change.objects.filter(pk__in=taken)._raw_delete(Change.objects.db)
        transaction.on_commit(lambda: _send(news))
    return news, more or noted > most or bool(found.whole)


def _due(down: Collection[uuid.UUID]) -> tuple[set[uuid.UUID], bool]:
    """Hosts to be told everything, by need or since they have not been for long; and whether there are more in need."""
    now = clock.now()
    rows = HostNetwork.objects.filter(speaks=True).exclude(pk__in=down).order_by("full_at").values_list("pk", flat=True)
    rested = Q(full_at__isnull=True) | Q(full_at__lt=now - timedelta(seconds=_WHOLE_EVERY_S))
    need = set(rows.filter(rested, full_due=True)[:_WHOLE_AT_ONCE])
    afresh = () if need else rows.filter(full_at__lt=_long_ago(now))[:_AFRESH_AT_ONCE]
    return need | set(afresh), len(need) == _WHOLE_AT_ONCE


def _long_ago(now: datetime) -> datetime:
    return now - timedelta(seconds=_AFRESH_S)


def _take(wanted: Sequence[Change]) -> list[int]:
    """Those of the changes that no other teller has."""
    rows = Change.objects.select_for_update(skip_locked=True).filter(pk__in=[change.pk for change in wanted])
    return list(rows.order_by("pk").values_list("pk", flat=True))


def _tell(rows: Sequence[HostNetwork], found: Affected) -> list[_News]:
    """What these (locked) hosts are to be told."""
    if not rows:
        return []
    parts = Parts(found)
    parts.plugs = objects.plugs(port_ids=found.ports.keys())
    # Where its ports have gone to since the snapshot, too: they are that host's own now.
    gone_to = {plug.host_id for plug in parts.plugs.values()}
    heads = {row.pk for row in rows if row.full_due or row.pk in found.heads or str(row.pk) in gone_to}
    plugged = objects.plugged_on(heads) if heads else objects.Plugged()
    views = current(rows, {str(pk) for pk in heads}, plugged, found)
    touched = Touched.of(found)
    differences = {str(row.pk): difference(View.told_to(row), views[str(row.pk)], found, touched) for row in rows}
    parts.read(set(differences.values()))
    ways = gateways.ways_out(rows, {
        host_id: [parts.leads[router] for router in each.routers if router in parts.leads] for host_id, each in differences.items()
    })
    composer = Composer(parts, plugged.groups)
    news = _compose(rows, views, differences, composer, ways)
    if heads:
        gateways.free({str(pk): views[str(pk)] for pk in heads})
    return news


def _lock(found: Affected, due: Collection[uuid.UUID], down: Collection[uuid.UUID]) -> list[HostNetwork]:
    """The hosts to be told now, locked, in the order of their ids.

    Those who are down, or due to be told everything but not in this round, are told nothing: they will be told everything.
    """
    now = clock.now()
    rows = HostNetwork.objects.select_for_update().filter(pk__in={*found.hosts, *due}, speaks=True).order_by("pk")
    told, later = [], []
    for row in rows:
        # Another teller may have told it everything while we waited for the row.
        if row.pk in due and (row.full_due or (row.full_at is not None and row.full_at < _long_ago(now))):
            row.full_due = True
            told.append(row)
        elif row.pk in found.whole or row.pk in down:
            later.append(row.pk)
        elif not row.full_due and row.pk in found.hosts:
            told.append(row)
    if later:
        HostNetwork.objects.filter(pk__in=later).update(full_due=True, full_at=None)
    return told


def _compose(
    rows: Sequence[HostNetwork], views: dict[str, View], differences: dict[str, Difference], composer: Composer, ways: gateways.Ways
) -> list[_News]:
    """Bodies, with the generations that they bring the hosts to; the rows are written."""
    now = clock.now()
    news: list[_News] = []
    same: list[HostNetwork] = []
    more: list[HostNetwork] = []
    for row in rows:
        host_id, whole, base = str(row.pk), row.full_due, row.generation
        body = composer.compose(host_id, differences[host_id], ways.out.get(host_id))
        if not whole and composer.is_empty(body):
            continue
        row.generation += 1
        task = topics.NETWORK_STATE if whole else topics.NETWORK_CHANGE
        news.append(_News(row.pk, row.host_name, task, row.generation, _bodies(row.generation, None if whole else base, body)))
        knows_more = whole or views[host_id] != View.told_to(row)
        _note(row, views[host_id], differences[host_id], ways.lacking.get(host_id, []), now)
        (more if knows_more else same).append(row)
    update_rows(same, ["generation", "sent_at", "behind_since", "lacking"])
    update_rows(more, ["generation", "told", "full_due", "sent_at", "behind_since", "full_at", "full_generation", "lacking"])
    return news


def _bodies(generation: int, base: int | None, body: tuple[msgspec.Raw, msgspec.Raw]) -> tuple[msgspec.Raw, ...]:
    """A change from `base`, or the whole state without."""
    pieces = objects.in_parts(*body)
    return tuple(
        objects.raw(
            objects.State(generation, some, part, len(pieces)) if base is None
            else objects.Change(base, generation, some, gone, part, len(pieces))
        )
        for part, (some, gone) in enumerate(pieces)
    )


def _note(row: HostNetwork, view: View, each: Difference, lacking: list[dict[str, str]], now: datetime) -> None:
    if row.full_due or each.routers or each.gone_routers:
        row.lacking = lacking
    row.told, row.sent_at, row.behind_since = view.kept(), now, row.behind_since or now
    if row.full_due:
        row.full_due, row.full_at, row.full_generation = False, now, row.generation


def _send(news: Sequence[_News]) -> None:
    now, deadline = clock.now().timestamp(), clock.after(_DEADLINE_S).timestamp()
    sealer = keys.control()
    messages = []
    for each in news:
        for body in each.bodies:
            envelope = Envelope(
                topic=each.task, host=str(each.host_id), body=body, generation=each.generation, deadline=deadline,
                issued_at=now,
            )
            wire = sealer.seal(envelope, Kind.COMMAND)
            messages.append(bus.Message(topics.network_queue(each.host_name), each.task, (wire,)))
    bus.send(messages)
