"""Operation, its events, client tokens, leases, refused reports."""

from typing import ClassVar

from django.db import models

from apps.common.ids import new_id
from apps.operations.states import OPEN, OpState

_OPEN = models.Q(state__in=[state.value for state in OPEN])


class Operation(models.Model):
    """One piece of work on one resource; this row is also the outbox entry of the message that its step waits for.

    `queue`, `task`, `message` are what the sweep sends again; `next_at` is the next moment at which it must look at the
    row: the time to resend or the deadline, whichever comes first; null once closed. `generation` is the resource's, raised by each
    operation, and fences late commands on the host.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    kind = models.CharField(max_length=48)
    resource_type = models.CharField(max_length=32)
    resource_id = models.UUIDField()
    project_id = models.UUIDField(null=True)
    user_id = models.UUIDField(null=True)
    user_name = models.CharField(max_length=150, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    state = models.CharField(max_length=16, choices=[(s.value, s.value) for s in OpState], default=OpState.QUEUED.value)
    step = models.CharField(max_length=32)
    attempt = models.PositiveSmallIntegerField(default=1)
    generation = models.PositiveIntegerField(default=0)
    host_id = models.UUIDField(null=True)
    host_name = models.CharField(max_length=63, blank=True)
    excluded_hosts = models.JSONField(default=list)
    queue = models.CharField(max_length=96, blank=True)
    task = models.CharField(max_length=64, blank=True)
    message = models.TextField(blank=True)
    resends = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(null=True)
    deadline = models.DateTimeField()
    error = models.JSONField(null=True)
    result = models.JSONField(null=True)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["resource_id"], condition=_OPEN, name="%(app_label)s_%(class)s_one_open"),
            models.CheckConstraint(
                condition=models.Q(state__in=[s.value for s in OpState]), name="%(app_label)s_%(class)s_known_state"
            ),
            models.CheckConstraint(
                condition=(_OPEN & models.Q(next_at__isnull=False)) | (~_OPEN & models.Q(next_at__isnull=True)),
                name="%(app_label)s_%(class)s_open_is_watched",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["next_at"], condition=_OPEN, name="operations_due"),
            models.Index(fields=["resource_id", "id"], name="operations_by_resource"),
            models.Index(fields=["project_id", "id"], name="operations_by_project"),
            models.Index(fields=["host_id"], condition=_OPEN, name="operations_open_by_host"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


class OperationEvent(models.Model):
    """One line of an operation's timeline; ids rise within an operation. `source`: api, scheduler, conductor, sweep, host."""

    id = models.BigAutoField(primary_key=True)
    operation = models.ForeignKey(Operation, models.CASCADE, related_name="events")
    at = models.DateTimeField()
    source = models.CharField(max_length=16)
    name = models.CharField(max_length=64)
    detail = models.TextField(blank=True)
    took_ms = models.FloatField(null=True)

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"{self.at:%H:%M:%S.%f} {self.name}"


class ClientToken(models.Model):
    """An idempotency key: the same token with the same request gets the same answer, with another one a conflict."""

    project_id = models.UUIDField()
    token = models.CharField(max_length=128)
    fingerprint = models.CharField(max_length=64)
    resource_ids = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project_id", "token"], name="%(app_label)s_%(class)s_once")
        ]

    def __str__(self) -> str:
        return self.token


class Lease(models.Model):
    """The right to run a periodic duty, held by one process at a time."""

    name = models.CharField(max_length=48, primary_key=True)
    holder = models.CharField(max_length=96)
    until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} held by {self.holder}"


class Rejection(models.Model):
    """A report that was refused: forged, replayed, or from a host that it does not concern."""

    at = models.DateTimeField(auto_now_add=True)
    code = models.CharField(max_length=48)
    host_name = models.CharField(max_length=63, blank=True)
    detail = models.TextField(blank=True)

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"{self.code} {self.host_name}"
