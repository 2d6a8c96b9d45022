"""Decisions (which hosts were looked at, why each was refused, which was chosen) and server groups."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from apps.common.ids import new_id
from apps.scheduler.states import GroupPolicy


class ServerGroup(models.Model):
    """Instances of one project that belong on one host, or apart. Whoever places a member holds this row locked.

    `max_per_host`: of members, with `anti-affinity`.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    project_id = models.UUIDField()
    user_id = models.UUIDField(null=True)
    name = models.CharField(max_length=255)
    policy = models.CharField(max_length=24, choices=[(p.value, p.value) for p in GroupPolicy])
    max_per_host = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(policy__in=[p.value for p in GroupPolicy]), name="%(app_label)s_%(class)s_known_policy"),
            models.CheckConstraint(condition=Q(max_per_host__gte=1), name="%(app_label)s_%(class)s_some_per_host"),
        ]
        indexes: ClassVar = [models.Index(fields=["project_id", "id"], name="scheduler_groups_by_project")]

    def __str__(self) -> str:
        return self.name


class GroupMember(models.Model):
    """An instance is in a server group, from its creation to its end; `host_id` while it has a host.

    `seat`: with `anti-affinity` a number from 1 to `max_per_host`, so that the database refuses one member too many on a
    host; else null. That all members of an `affinity` group are on one host is held by the lock of the group alone.
    """

    instance_id = models.UUIDField(primary_key=True)
    group = models.ForeignKey(ServerGroup, models.PROTECT, related_name="members")
    host_id = models.UUIDField(null=True)
    seat = models.PositiveIntegerField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["group", "host_id", "seat"], condition=Q(seat__gt=0), name="%(app_label)s_%(class)s_seat_once"
            )
        ]

    def __str__(self) -> str:
        return str(self.instance_id)


class Decision(models.Model):
    """One scheduling decision, as JSON throughout; `apps.scheduler.explain` says what the parts mean and words them.

    `steps`: filter by filter, how many hosts were left. `verdicts`: per host, or beyond 200 hosts per group of equal verdicts
    with a few names. `best`: the first few with their weights; it was chosen at random `among` so many of them. `alternates`:
    hosts that a retry may take without deciding anew. `nearest`: when nothing fits, the nearest misses. `summary`: for
    tenants, names no host.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    instance_id = models.UUIDField()
    operation_id = models.UUIDField(null=True)
    project_id = models.UUIDField(null=True)
    at = models.DateTimeField(auto_now_add=True)
    request = models.JSONField(default=dict)
    hosts = models.PositiveIntegerField(default=0, help_text="Looked at.")
    steps = models.TextField(default="[]")
    verdicts = models.TextField(default="{}")
    best = models.TextField(default="[]")
    among = models.PositiveSmallIntegerField(default=1)
    alternates = models.TextField(default="[]")
    nearest = models.TextField(default="[]")
    lost_races = models.JSONField(default=list)
    host_id = models.UUIDField(null=True)
    host_name = models.CharField(max_length=63, blank=True)
    summary = models.TextField(blank=True)
    took_ms = models.FloatField(default=0.0)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["instance_id", "id"], name="scheduler_by_instance"),
            models.Index(fields=["at"], name="scheduler_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.instance_id} → {self.host_name or 'no host'}"
