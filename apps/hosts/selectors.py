"""Reads of hosts."""

import threading
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import QuerySet

from apps.common.errors import NotFound
from apps.hosts.models import Host
from apps.hosts.states import HostState
from contracts.envelope import PublicKey


@dataclass(frozen=True)
class HostKey:
    """Whose key it is."""

    host_id: uuid.UUID
    name: str
    key: PublicKey


class _Keys:
    """Public keys by key id, kept in the process; a key that was renewed is void after `_TTL_S` at the latest."""

    _TTL_S = 5.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, HostKey] = {}
        self._read_at = 0.0

    def get(self, key_id: str) -> HostKey | None:
        with self._lock:
            if time.monotonic() - self._read_at > self._TTL_S:
                rows = Host.objects.values_list("key_id", "pk", "name", "public_key")
                self._known = {kid: HostKey(pk, name, self._reuse(kid, public)) for kid, pk, name, public in rows}
                self._read_at = time.monotonic()
            return self._known.get(key_id) or self._one(key_id)

    def _reuse(self, key_id: str, public: str) -> PublicKey:
        old = self._known.get(key_id)
        return old.key if old is not None else PublicKey.from_hex(public)

    def _one(self, key_id: str) -> HostKey | None:
        row = Host.objects.filter(key_id=key_id).values_list("pk", "name", "public_key").first()
        if row is None:
            return None
        self._known[key_id] = found = HostKey(row[0], row[1], PublicKey.from_hex(row[2]))
        return found


_keys = _Keys()


def key(key_id: str) -> HostKey | None:
    """The host that has this key; None for nobody we know."""
    return _keys.get(key_id)


def hosts() -> "QuerySet[Host]":
    """All hosts, by name."""
    return Host.objects.order_by("name")


def by_name(name: str) -> Host:
    """Raises NotFound."""
    host = Host.objects.filter(name=name).first()
    if host is None:
        raise NotFound("host.not_found", f"There is no host named {name}.", field="name")
    return host


def by_id(host_id: uuid.UUID) -> Host:
    """Raises NotFound."""
    host = Host.objects.filter(pk=host_id).first()
    if host is None:
        raise NotFound("host.not_found", f"There is no host {host_id}.")
    return host


def names(ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Host names by id."""
    return dict(Host.objects.filter(pk__in=set(ids)).values_list("pk", "name"))


def down() -> set[uuid.UUID]:
    """Hosts that have fallen silent."""
    return set(Host.objects.filter(state=HostState.DOWN.value).values_list("pk", flat=True))


def scheduling_facts() -> list[tuple[uuid.UUID, str, str, bool, str]]:
    """(id, name, zone, enabled, state) of every host, in the order of ids: what the scheduler's table is made from.

    A host whose agent cannot reach its hypervisor counts as `hypervisor` instead of its state.
    """
    rows = Host.objects.order_by("pk").values_list("pk", "name", "zone", "enabled", "state", "hypervisor_ok")
    return [(pk, name, zone, enabled, state if ok else "hypervisor") for pk, name, zone, enabled, state, ok in rows]
