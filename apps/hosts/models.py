"""Hosts: a cell table; others refer to a host by its plain id."""

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
