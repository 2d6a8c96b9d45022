"""Resource providers, their inventories, and who has claimed what of them: global tables."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q


class ResourceProvider(models.Model):
    """Something that has inventory; a host's provider bears the host's id."""

    id = models.UUIDField(primary_key=True)
    name = models.CharField(max_length=200)
    generation = models.PositiveIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["name"], name="%(app_label)s_%(class)s_name_once")]

    def __str__(self) -> str:
        return self.name


class Inventory(models.Model):
    """How much of one resource class a provider has, and how much is claimed.

    `capacity` = (total - reserved) * allocation_ratio is what claims may reach. `ceiling` is `capacity`, or what was claimed
    already when an operator shrank it: the database refuses any `used` beyond it, whatever the code does.
    """

    provider = models.ForeignKey(ResourceProvider, models.CASCADE, related_name="inventories")
    resource_class = models.CharField(max_length=64)
    total = models.PositiveBigIntegerField()
    reserved = models.PositiveBigIntegerField(default=0)
    allocation_ratio = models.FloatField(default=1.0)
    capacity = models.PositiveBigIntegerField()
    ceiling = models.PositiveBigIntegerField()
    used = models.PositiveBigIntegerField(default=0)

    class Meta:
        verbose_name_plural = "inventories"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["provider", "resource_class"], name="%(app_label)s_%(class)s_once"),
            models.CheckConstraint(condition=Q(used__lte=F("ceiling")), name="%(app_label)s_%(class)s_not_overcommitted"),
            models.CheckConstraint(condition=Q(allocation_ratio__gt=0), name="%(app_label)s_%(class)s_ratio"),
        ]

    def __str__(self) -> str:
        return f"{self.resource_class} of {self.provider}"


class Allocation(models.Model):
    """What one consumer (an instance) has claimed of one inventory."""

    id = models.BigAutoField(primary_key=True)
    consumer_id = models.UUIDField()
    provider = models.ForeignKey(ResourceProvider, models.PROTECT, related_name="allocations")
    resource_class = models.CharField(max_length=64)
    amount = models.PositiveBigIntegerField()
    project_id = models.UUIDField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["consumer_id", "provider", "resource_class"], name="%(app_label)s_%(class)s_once"
            ),
            models.CheckConstraint(condition=Q(amount__gt=0), name="%(app_label)s_%(class)s_something"),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.resource_class} for {self.consumer_id}"
