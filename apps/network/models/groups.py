"""Security groups: what may reach a port, and what may leave it."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from apps.common.ids import new_id
from apps.network.models.ports import Port
from apps.network.states import Direction


class SecurityGroup(models.Model):
    """A named set of rules; what no rule of any of a port's groups allows is dropped. Answers always come back."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    project_id = models.UUIDField()
    name = models.CharField(max_length=64)
    description = models.CharField(max_length=255, blank=True)
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


class Rule(models.Model):
    """Allows. `protocol`: IP protocol number, null for any. `first`, `last`: ports, or ICMP type and code; null: any.

    The other side: `cidr`, or the members of `remote_group`, or anybody (neither). `fingerprint`: its content, so that a
    group has a rule once.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    group = models.ForeignKey(SecurityGroup, models.CASCADE, related_name="rules")
    direction = models.CharField(max_length=8, choices=[(d.value, d.value) for d in Direction])
    family = models.PositiveSmallIntegerField(choices=[(4, "IPv4"), (6, "IPv6")])
    protocol = models.PositiveSmallIntegerField(null=True, blank=True)
    first = models.PositiveIntegerField(null=True, blank=True)
    last = models.PositiveIntegerField(null=True, blank=True)
    cidr = models.CharField(max_length=43, blank=True)
    remote_group = models.ForeignKey(SecurityGroup, models.CASCADE, null=True, blank=True, related_name="named_by")
    description = models.CharField(max_length=255, blank=True)
    fingerprint = models.CharField(max_length=128, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["group", "fingerprint"], name="%(app_label)s_%(class)s_once"),
            models.CheckConstraint(
                condition=Q(cidr="") | Q(remote_group__isnull=True), name="%(app_label)s_%(class)s_one_other_side"
            ),
            models.CheckConstraint(
                condition=Q(protocol__in=[1, 58]) | Q(first__isnull=True, last__isnull=True) | Q(last__gte=F("first")),
                name="%(app_label)s_%(class)s_range",
            ),
        ]

    def __str__(self) -> str:
        return self.fingerprint


class PortGroup(models.Model):
    """A port's membership in a security group."""

    id = models.BigAutoField(primary_key=True)
    port = models.ForeignKey(Port, models.CASCADE, related_name="memberships")
    group = models.ForeignKey(SecurityGroup, models.PROTECT, related_name="memberships")

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["port", "group"], name="%(app_label)s_%(class)s_once")]

    def __str__(self) -> str:
        return f"{self.port_id} in {self.group_id}"
