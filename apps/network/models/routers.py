"""Routers, their interfaces, and floating IPs."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from apps.common.ids import new_id
from apps.network.models.networks import Network, Subnet
from apps.network.models.ports import FixedIP, Port


class Router(models.Model):
    """Joins subnets of one project; distributed, so every host routes for its own guests.

    `external_network`: the way out; `snat`: guests without a floating IP leave under an address of their host there.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    project_id = models.UUIDField()
    name = models.CharField(max_length=64)
    external_network = models.ForeignKey(Network, models.PROTECT, null=True, blank=True, related_name="routers_out")
    snat = models.BooleanField(default=True)
    admin_up = models.BooleanField(default=True)
    is_default = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project_id", "name"], name="%(app_label)s_%(class)s_name_once"),
            models.UniqueConstraint(
                fields=["project_id"], condition=Q(is_default=True), name="%(app_label)s_%(class)s_one_default"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class RouterInterface(models.Model):
    """A subnet that a router serves with the subnet's gateway address; a subnet has one router at most.

    All subnets of a network that are attached at all are attached to the same router (`Network.router`).
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    router = models.ForeignKey(Router, models.CASCADE, related_name="interfaces")
    subnet = models.OneToOneField(Subnet, models.PROTECT, related_name="interface")
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.router_id} in {self.subnet_id}"


class FloatingIP(models.Model):
    """An address of an external network that stands for a fixed one while `fixed_ip` is set: one to one.

    `port` holds its address (device kind `floating_ip`). `router`: the one that leads to `fixed_ip`, null without.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    project_id = models.UUIDField()
    network = models.ForeignKey(Network, models.PROTECT, related_name="floating_ips")
    port = models.OneToOneField(Port, models.PROTECT, related_name="floating_ip")
    address = models.GenericIPAddressField()
    fixed_ip = models.ForeignKey(FixedIP, models.PROTECT, null=True, blank=True, related_name="floating_ips")
    router = models.ForeignKey(Router, models.PROTECT, null=True, blank=True, related_name="floating_ips")
    description = models.CharField(max_length=255, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = "floating IP"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["network", "address"], name="%(app_label)s_%(class)s_address_once"),
            models.UniqueConstraint(fields=["fixed_ip"], name="%(app_label)s_%(class)s_one_to_one"),
            models.CheckConstraint(
                condition=Q(fixed_ip__isnull=True, router__isnull=True) | Q(fixed_ip__isnull=False, router__isnull=False),
                name="%(app_label)s_%(class)s_router_leads_there",
            ),
        ]

    def __str__(self) -> str:
        return str(self.address)
