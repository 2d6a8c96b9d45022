"""Networks, subnets, ports and fixed addresses."""

from typing import ClassVar

from django.db import models

from apps.common.ids import new_id


class Network(models.Model):
    """A layer-2 domain of one project. `kind` is `flat`; VLAN and VXLAN will carry a segment id."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    project_id = models.UUIDField()
    name = models.CharField(max_length=64)
    kind = models.CharField(max_length=16, default="flat")
    segment = models.PositiveIntegerField(null=True, blank=True)
    mtu = models.PositiveIntegerField(default=1450)
    is_default = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project_id", "name"], name="%(app_label)s_%(class)s_name_once"),
            models.UniqueConstraint(
                fields=["project_id"], condition=models.Q(is_default=True), name="%(app_label)s_%(class)s_one_default"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Subnet(models.Model):
    """An IPv4 range of a network. Addresses are given from `pool_start` to `pool_end`, both included."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    network = models.ForeignKey(Network, models.CASCADE, related_name="subnets")
    cidr = models.CharField(max_length=43)
    gateway = models.GenericIPAddressField()
    pool_start = models.GenericIPAddressField()
    pool_end = models.GenericIPAddressField()
    dns = models.JSONField(default=list, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["network", "cidr"], name="%(app_label)s_%(class)s_cidr_once")
        ]

    def __str__(self) -> str:
        return self.cidr


class Port(models.Model):
    """One network card. `device_id` is the instance's public id; MACs are unique in the whole installation."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    network = models.ForeignKey(Network, models.PROTECT, related_name="ports")
    project_id = models.UUIDField()
    device_id = models.UUIDField(db_index=True)
    mac = models.CharField(max_length=17)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["mac"], name="%(app_label)s_%(class)s_mac_once")]

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
