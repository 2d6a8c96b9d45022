"""Networks, the pools that their segments come from, subnets and their free addresses."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from apps.common.ids import new_id
from apps.network.states import Ipv6Mode, NetworkKind


class PhysicalNetwork(models.Model):
    """A wire that hosts are plugged into, by the name that agents' configurations give it. Made by operators."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=64)
    mtu = models.PositiveIntegerField(default=1500)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["name"], name="%(app_label)s_%(class)s_name_once")]

    def __str__(self) -> str:
        return self.name


class SegmentPool(models.Model):
    """VLAN ids of a physical network, or VNIs, that new networks may take: `first` to `last`, both included.

    Tenants' networks take from the pool with the lowest `position` that has one left; `for_tenants` is false for those that
    only operators name. Whoever takes from a pool holds its row locked.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    kind = models.CharField(max_length=16, choices=[(k.value, k.value) for k in (NetworkKind.VLAN, NetworkKind.VXLAN)])
    physical_network = models.ForeignKey(PhysicalNetwork, models.PROTECT, null=True, blank=True, related_name="pools")
    first = models.PositiveIntegerField()
    last = models.PositiveIntegerField()
    position = models.PositiveIntegerField(default=100)
    for_tenants = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(first__gte=1, last__gte=F("first")), name="%(app_label)s_%(class)s_range"),
            models.CheckConstraint(
                condition=Q(kind="vlan", physical_network__isnull=False) | Q(kind="vxlan", physical_network__isnull=True),
                name="%(app_label)s_%(class)s_wire",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.first}-{self.last}"


class Network(models.Model):
    """A layer-2 domain. `project_id` is null for the operator's own (external and other shared ones).

    `segment`: VLAN id or VNI. `router`: the one router that joins all of its attached subnets; set and cleared together
    with RouterInterface rows, under this row's lock. `external`: routers have their way out there, floating addresses come
    from its subnets. `shared`: every project may plug ports in.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    project_id = models.UUIDField(null=True, blank=True)
    name = models.CharField(max_length=64)
    kind = models.CharField(max_length=16, choices=[(k.value, k.value) for k in NetworkKind], default=NetworkKind.VXLAN.value)
    physical_network = models.ForeignKey(PhysicalNetwork, models.PROTECT, null=True, blank=True, related_name="networks")
    segment = models.PositiveIntegerField(null=True, blank=True)
    mtu = models.PositiveIntegerField(default=1450)
    shared = models.BooleanField(default=False)
    external = models.BooleanField(default=False)
    is_default = models.BooleanField(default=False, help_text="The project's first choice; of external ones: every router's.")
    port_security = models.BooleanField(default=True, help_text="What new ports get.")
    dns_domain = models.CharField(max_length=128, blank=True)
    router = models.ForeignKey("network.Router", models.PROTECT, null=True, blank=True, related_name="networks")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project_id", "name"], name="%(app_label)s_%(class)s_name_once"),
            models.UniqueConstraint(
                fields=["name"], condition=Q(project_id__isnull=True), name="%(app_label)s_%(class)s_operators_name_once"
            ),
            models.UniqueConstraint(
                fields=["project_id"], condition=Q(is_default=True), name="%(app_label)s_%(class)s_one_default"
            ),
            models.UniqueConstraint(
                fields=["external"], condition=Q(is_default=True, external=True), name="%(app_label)s_%(class)s_one_way_out"
            ),
            models.UniqueConstraint(fields=["segment"], condition=Q(kind="vxlan"), name="%(app_label)s_%(class)s_vni_once"),
            models.UniqueConstraint(
                fields=["physical_network", "segment"], condition=Q(kind="vlan"), name="%(app_label)s_%(class)s_vlan_once"
            ),
            models.UniqueConstraint(
                fields=["physical_network"], condition=Q(kind="flat"), name="%(app_label)s_%(class)s_flat_once"
            ),
            models.CheckConstraint(
                condition=Q(kind="vxlan", physical_network__isnull=True, segment__isnull=False)
                | Q(kind="vlan", physical_network__isnull=False, segment__isnull=False)
                | Q(kind="flat", physical_network__isnull=False, segment__isnull=True)
                | Q(kind="host", physical_network__isnull=True, segment__isnull=True, external=True),
                name="%(app_label)s_%(class)s_segment_of_kind",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Subnet(models.Model):
    """An address range of a network. `pools`: [[first, last], …], what addresses are given from; never the gateway.

    `routes`: [{"destination": cidr, "nexthop": address}, …], told to guests. `dns`: what guests ask; empty: their host.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    network = models.ForeignKey(Network, models.CASCADE, related_name="subnets")
    project_id = models.UUIDField(null=True, blank=True)
    name = models.CharField(max_length=64, blank=True)
    family = models.PositiveSmallIntegerField(choices=[(4, "IPv4"), (6, "IPv6")], default=4)
    cidr = models.CharField(max_length=43)
    gateway = models.GenericIPAddressField(null=True, blank=True)
    pools = models.JSONField(default=list)
    dns = models.JSONField(default=list, blank=True)
    routes = models.JSONField(default=list, blank=True)
    dhcp = models.BooleanField(default=True)
    ipv6_mode = models.CharField(max_length=16, choices=[(m.value, m.value) for m in Ipv6Mode], blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["network", "cidr"], name="%(app_label)s_%(class)s_cidr_once"),
            models.CheckConstraint(
                condition=Q(family=4, ipv6_mode="") | Q(family=6) & ~Q(ipv6_mode=""), name="%(app_label)s_%(class)s_mode_of_family"
            ),
        ]

    def __str__(self) -> str:
        return self.cidr


class AddressSpan(models.Model):
    """Free addresses of a subnet: offsets from its first address, `first` to `last`, both included.

    Spans of a subnet never overlap, and no address is both in a span and in a FixedIP. Claiming shortens, splits or deletes
    spans; freeing inserts one, which `rests_until` keeps from being taken again too soon. Among those that may be taken the
    one with the oldest `rests_until` is next, and a span that was shortened goes to the end of that row. Several spans at
    the start let several claims run side by side.
    """

    id = models.BigAutoField(primary_key=True)
    subnet = models.ForeignKey(Subnet, models.CASCADE, related_name="spans")
    first = models.BigIntegerField()
    last = models.BigIntegerField()
    rests_until = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["subnet", "first"], name="%(app_label)s_%(class)s_first_once"),
            models.UniqueConstraint(fields=["subnet", "last"], name="%(app_label)s_%(class)s_last_once"),
            models.CheckConstraint(condition=Q(first__gte=0, last__gte=F("first")), name="%(app_label)s_%(class)s_range"),
        ]
        indexes: ClassVar = [models.Index(fields=["subnet", "rests_until", "id"], name="network_spans_to_take")]

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"
