"""What hosts are told about networks: how far each is, and what is still to be told."""

from typing import ClassVar

from django.db import models

from apps.common import clock
from apps.network.states import HOST_LATE_S, ChangeKind


class HostNetwork(models.Model):
    """The networking of one host, as it said in its hello, and how far it is.

    `generation` is raised, under this row's lock, with everything that is sent to the host; `applied` is the one that it
    reported last. `told`: ids of the `routers`, `networks`, security `groups` that it knows as of that generation, and of the
    groups that rules of these `named`. `full_due`: the next thing it is sent is its whole state; `full_at`: when that was last
    so, `full_generation`: with which generation. `behind_since`: since when it has brought about nothing of what it was told,
    null if it has all. `problems`: what it could not do, `mended`: the drift that it put right lately, both in its words.
    `lacking`: what it could not be given, such as an address on an external network, in the form of `problems`.
    """

    host_id = models.UUIDField(primary_key=True)
    host_name = models.CharField(max_length=63)
    tunnel_address = models.GenericIPAddressField(null=True, blank=True)
    physical_networks = models.JSONField(default=list, blank=True)
    speaks = models.BooleanField(default=False, help_text="Its agent understands network commands.")
    generation = models.BigIntegerField(default=0)
    applied = models.BigIntegerField(default=0)
    applied_at = models.DateTimeField(null=True, blank=True)
    took_ms = models.FloatField(null=True, blank=True)
    told = models.JSONField(default=dict, blank=True)
    full_due = models.BooleanField(default=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    behind_since = models.DateTimeField(null=True, blank=True)
    full_at = models.DateTimeField(null=True, blank=True)
    full_generation = models.BigIntegerField(default=0)
    problems = models.JSONField(default=list, blank=True)
    mended = models.JSONField(default=list, blank=True)
    lacking = models.JSONField(default=list, blank=True)

    class Meta:
        verbose_name = "host networking"
        verbose_name_plural = "host networking"
        indexes: ClassVar = [
            models.Index(fields=["full_at"], condition=models.Q(full_due=True), name="network_hosts_due"),
            models.Index(fields=["full_at"], name="network_hosts_by_full_at"),
        ]

    def __str__(self) -> str:
        return self.host_name

    @property
    def is_up_to_date(self) -> bool:
        """Whether it has brought about the newest that it was told, and is due nothing more."""
        return self.applied == self.generation and not self.full_due

    @property
    def is_late(self) -> bool:
        """Whether it has been behind for too long to be just at it."""
        return self.behind_since is not None and self.behind_since < clock.after(-HOST_LATE_S)


class Change(models.Model):
    """Something that hosts are still to be told of: written in the transaction that changed it, deleted by who tells.

    `ref`: the id of the port, group, floating IP, host, router or network. `domain`: a port's network, or the router that
    leads, or led, to a floating IP. `host_id`: where the port is, or was. `groups`: ids of security groups that a port has left.
    """

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(max_length=16, choices=[(k.value, k.value) for k in ChangeKind])
    ref = models.UUIDField()
    domain = models.UUIDField(null=True)
    host_id = models.UUIDField(null=True)
    groups = models.JSONField(default=list)
    at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"{self.kind} {self.ref}"
