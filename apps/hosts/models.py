"""Hosts and what changed of them (cell tables; others refer to a host by its plain id), zones and aggregates (global)."""

from typing import ClassVar

from django.db import models

from apps.common.ids import new_id
from apps.hosts.states import HostState


class Host(models.Model):
    """A hypervisor with its agent. `last_issued` fences replayed heartbeats: the newest `issued_at` that was taken."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=63)
    zone = models.CharField(max_length=64, default="default")
    public_key = models.CharField(max_length=64, help_text="ed25519, hex")
    key_id = models.CharField(max_length=16)
    state = models.CharField(max_length=16, choices=[(s.value, s.value) for s in HostState], default=HostState.ENROLLED.value)
    enabled = models.BooleanField(default=True, help_text="Takes new instances.")
    disabled_reason = models.CharField(max_length=255, blank=True)
    hypervisor = models.CharField(max_length=64, blank=True)
    agent_version = models.CharField(max_length=32, blank=True)
    speaks = models.JSONField(default=list, blank=True)
    traits = models.JSONField(default=list, blank=True)
    hypervisor_ok = models.BooleanField(default=True)
    hypervisor_error = models.CharField(max_length=255, blank=True)
    load_percent = models.PositiveSmallIntegerField(default=0, help_text="Of all its processors, over the last minute.")
    last_seen_at = models.DateTimeField(null=True, blank=True)
    last_issued = models.FloatField(default=0.0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["name"], name="%(app_label)s_%(class)s_name_once"),
            models.UniqueConstraint(fields=["key_id"], name="%(app_label)s_%(class)s_key_once"),
            models.CheckConstraint(
                condition=models.Q(state__in=[s.value for s in HostState]), name="%(app_label)s_%(class)s_known_state"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Zone(models.Model):
    """Hosts that fail together (a room, a power line): instances ask for one by name. `Host.zone` names it."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=64)
    description = models.CharField(max_length=255, blank=True)
    enabled = models.BooleanField(default=True, help_text="Takes new instances.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["name"], name="%(app_label)s_%(class)s_name_once")]

    def __str__(self) -> str:
        return self.name


class Aggregate(models.Model):
    """Hosts that have something in common, said by `metadata` (text → text); a host may be in many.

    Flavors may ask for metadata. `project_ids`: if there are any, its hosts take instances of these projects only.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=255)
    metadata = models.JSONField(default=dict, blank=True)
    project_ids = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["name"], name="%(app_label)s_%(class)s_name_once")]

    def __str__(self) -> str:
        return self.name


class AggregateHost(models.Model):
    """A host is in an aggregate."""

    aggregate = models.ForeignKey(Aggregate, models.CASCADE, related_name="members")
    host_id = models.UUIDField(db_index=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["aggregate", "host_id"], name="%(app_label)s_%(class)s_once")]

    def __str__(self) -> str:
        return str(self.host_id)


class HostDelta(models.Model):
    """Something that schedulers know of a host changed (capacity, state, zone, traits …): they read it afresh. See `services.deltas`.

    `tick`: the transaction that changed it (PostgreSQL's number); 0 in SQLite, where ids come in the order of commits.
    """

    id = models.BigAutoField(primary_key=True)
    tick = models.BigIntegerField(db_index=True)
    host_id = models.UUIDField()
    claims_only = models.BooleanField(default=False, help_text="Nothing changed but what is free.")
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.host_id} at {self.tick}"


class DeltaFloor(models.Model):
    """One row: deltas up to this tick (in SQLite: this id) have been pruned; who has not read them must read everything."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    tick = models.BigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [models.CheckConstraint(condition=models.Q(pk=1), name="%(app_label)s_%(class)s_one_row")]

    def __str__(self) -> str:
        return str(self.tick)
