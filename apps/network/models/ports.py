"""Ports and their addresses."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from apps.common.ids import new_id
from apps.network.models.networks import Network, Subnet
from apps.network.states import DeviceKind


class Port(models.Model):
    """One plug in a network. `device_id`: the public id of what holds it, as `device_kind` says; `host_id`: where it is.

    `pairs`: [{"cidr": …, "mac": … or ""}, …], addresses beyond its own that the port may use. Without `port_security`
    nothing is filtered and no security group holds. MACs are unique in the whole installation.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    network = models.ForeignKey(Network, models.PROTECT, related_name="ports")
    project_id = models.UUIDField(null=True, blank=True)
    name = models.CharField(max_length=64, blank=True)
    mac = models.CharField(max_length=17)
    device_kind = models.CharField(
        max_length=16, choices=[(k.value, k.value) for k in DeviceKind], blank=True, default=DeviceKind.INSTANCE.value
    )
    device_id = models.UUIDField(null=True, blank=True, db_index=True)
    host_id = models.UUIDField(null=True, blank=True)
    dns_name = models.CharField(max_length=63, blank=True)
    admin_up = models.BooleanField(default=True)
    port_security = models.BooleanField(default=True)
    pairs = models.JSONField(default=list, blank=True)
    keep = models.BooleanField(default=False, help_text="Made by itself, so it outlives the instance that it is attached to.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["mac"], name="%(app_label)s_%(class)s_mac_once"),
            models.UniqueConstraint(
                fields=["network", "device_id"], condition=Q(device_kind="host_gateway"),
                name="%(app_label)s_%(class)s_one_gateway_per_host",
            ),
            models.CheckConstraint(
                condition=Q(device_kind="", device_id__isnull=True) | ~Q(device_kind="") & Q(device_id__isnull=False),
                name="%(app_label)s_%(class)s_device_has_kind",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["host_id"], condition=Q(host_id__isnull=False), name="network_ports_by_host"),
            models.Index(fields=["project_id", "id"], name="network_ports_by_project"),
        ]

    def __str__(self) -> str:
        return self.mac


class FixedIP(models.Model):
    """An address of a port; the constraint refuses its second use in the subnet."""

    id = models.BigAutoField(primary_key=True)
    subnet = models.ForeignKey(Subnet, models.PROTECT, related_name="fixed_ips")
    port = models.ForeignKey(Port, models.CASCADE, related_name="fixed_ips")
    address = models.GenericIPAddressField()

    class Meta:
        verbose_name = "fixed IP"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["subnet", "address"], name="%(app_label)s_%(class)s_address_once")
        ]

    def __str__(self) -> str:
        return str(self.address)
