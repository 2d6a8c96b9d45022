"""Flavors and key pairs (global), instances (a cell table: they carry their flavor's and image's facts), unknown domains."""

from typing import ClassVar

from django.db import models

from apps.common.ids import new_id
from apps.compute.states import InstanceState


class Flavor(models.Model):
    """A size. `memory_mb` in MiB, `disk_gb` in GiB (0: the image's own size).

    What its hosts must be like: `required_traits`, `forbidden_traits`, and `host_metadata` (text → text) that one of their
    aggregates each has.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=64)
    vcpus = models.PositiveIntegerField()
    memory_mb = models.PositiveIntegerField()
    disk_gb = models.PositiveIntegerField()
    required_traits = models.JSONField(default=list, blank=True)
    forbidden_traits = models.JSONField(default=list, blank=True)
    host_metadata = models.JSONField(default=dict, blank=True)
    enabled = models.BooleanField(default=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["name"], name="%(app_label)s_%(class)s_name_once"),
            models.CheckConstraint(condition=models.Q(vcpus__gt=0, memory_mb__gt=0), name="%(app_label)s_%(class)s_something"),
        ]

    def __str__(self) -> str:
        return self.name


class KeyPair(models.Model):
    """A public SSH key of a user. `fingerprint` as `ssh-keygen -l` shows it."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user_id = models.UUIDField()
    name = models.CharField(max_length=64)
    public_key = models.TextField()
    fingerprint = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user_id", "name"], name="%(app_label)s_%(class)s_name_once")
        ]

    def __str__(self) -> str:
        return self.name


class Instance(models.Model):
    """A virtual machine. `wanted_gone`: deletion was asked for and goes on when its host is back.

    `addresses`: what its ports have, embedded so that lists join nothing: `[{"address", "family", "mac", "network_id",
    "port_id"}]`. `wanted_cards`: what it is to be built with, `[{"network_id" or "port_id", "address", "groups"}]`; none: one
    card in `network_id`, which is the first one's network. `cards_in_doubt`: ports that a silent host may or may not have
    plugged in; they are taken out when it is heard again. `needs`: what its host must be like, from flavor, image and request
    when it was created: `{"required_traits", "forbidden_traits", "host_metadata", "image", "hosts", "avoided_hosts"}`, none of
    them if empty. `server_group_id`: that it is a member of.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    project_id = models.UUIDField()
    user_id = models.UUIDField(null=True)
    name = models.CharField(max_length=255)
    state = models.CharField(max_length=16, choices=[(s.value, s.value) for s in InstanceState], default=InstanceState.BUILD.value)
    power_state = models.CharField(max_length=16, blank=True)
    wanted_gone = models.BooleanField(default=False)
    generation = models.PositiveIntegerField(default=0)
    host_id = models.UUIDField(null=True)
    host_name = models.CharField(max_length=63, blank=True)
    zone = models.CharField(max_length=64, blank=True)
    flavor_id = models.UUIDField()
    flavor_name = models.CharField(max_length=64)
    vcpus = models.PositiveIntegerField()
    memory_mb = models.PositiveIntegerField()
    disk_gb = models.PositiveIntegerField()
    image_id = models.UUIDField()
    image_name = models.CharField(max_length=255)
    network_id = models.UUIDField()
    key_name = models.CharField(max_length=64, blank=True)
    public_key = models.TextField(blank=True)
    user_data = models.TextField(blank=True)
    metadata = models.JSONField(default=dict)
    needs = models.JSONField(default=dict, blank=True)
    server_group_id = models.UUIDField(null=True)
    wanted_cards = models.JSONField(default=list, blank=True)
    cards_in_doubt = models.JSONField(default=list, blank=True)
    addresses = models.JSONField(default=list)
    error = models.JSONField(null=True)
    created_at = models.DateTimeField()
    launched_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(state__in=[s.value for s in InstanceState]), name="%(app_label)s_%(class)s_known_state"
            ),
            models.CheckConstraint(
                condition=~models.Q(state=InstanceState.ACTIVE.value) | models.Q(host_id__isnull=False),
                name="%(app_label)s_%(class)s_active_has_host",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["project_id", "-id"], condition=~models.Q(state=InstanceState.DELETED.value), name="compute_living"
            ),
            models.Index(fields=["host_id"], condition=~models.Q(state=InstanceState.DELETED.value), name="compute_by_host"),
        ]

    def __str__(self) -> str:
        return self.name


class UnknownDomain(models.Model):
    """What a host had at its last observation and should not have: a machine of no living instance, or of one elsewhere."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    host_id = models.UUIDField()
    host_name = models.CharField(max_length=63)
    instance_id = models.UUIDField()
    power_state = models.CharField(max_length=16)
    residue = models.JSONField(default=list)
    generation = models.PositiveIntegerField(default=0, help_text="The last one that the host has worked on.")
    seen_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["host_id", "instance_id"], name="%(app_label)s_%(class)s_once")
        ]

    def __str__(self) -> str:
        return f"{self.instance_id} on {self.host_name}"
