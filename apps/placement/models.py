"""Resource providers, their inventories, and who has claimed what of them: global tables."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

# OpenStack's own width of names; MySQL's, once.
NAME = 255


class ResourceClass(models.Model):
    """A resource class that operators have made (`CUSTOM_…`); the standard ones are in `names`."""

    name = models.CharField(max_length=NAME, unique=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "resource classes"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(name__startswith="CUSTOM_"), name="%(app_label)s_%(class)s_custom")
        ]

    def __str__(self) -> str:
        return self.name


class Trait(models.Model):
    """A trait that operators have made (`CUSTOM_…`); the standard ones are in `names`."""

    name = models.CharField(max_length=NAME, unique=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(name__startswith="CUSTOM_"), name="%(app_label)s_%(class)s_custom")
        ]

    def __str__(self) -> str:
        return self.name


class ResourceProvider(models.Model):
    """Something that has inventory; a host's provider bears the host's id.

    `root_id`: of the tree that it is in; its own where it is the root. `generation` rises with every change of inventories,
    traits, aggregates and allocations: whoever writes says which one it has seen.
    """

    id = models.UUIDField(primary_key=True)
    name = models.CharField(max_length=200)
    generation = models.PositiveIntegerField(default=0)
    parent = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="children")
    root_id = models.UUIDField(db_index=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["name"], name="%(app_label)s_%(class)s_name_once"),
            models.CheckConstraint(
                condition=Q(parent__isnull=True, root_id=F("id")) | (Q(parent__isnull=False) & ~Q(root_id=F("id"))),
                name="%(app_label)s_%(class)s_root",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Inventory(models.Model):
    """How much of one resource class a provider has, and how much is claimed.

    `capacity` = (total - reserved) * allocation_ratio is what claims may reach. `ceiling` is `capacity`, or what was claimed
    already when an operator shrank it: the database refuses any `used` beyond it, whatever the code does. One allocation is
    `min_unit` to `max_unit`, in steps of `step_size`.
    """

    provider = models.ForeignKey(ResourceProvider, models.CASCADE, related_name="inventories")
    resource_class = models.CharField(max_length=NAME)
    total = models.PositiveBigIntegerField()
    reserved = models.PositiveBigIntegerField(default=0)
    min_unit = models.PositiveBigIntegerField(default=1)
    max_unit = models.PositiveBigIntegerField(default=2**31 - 1)
    step_size = models.PositiveBigIntegerField(default=1)
    allocation_ratio = models.FloatField(default=1.0)
    capacity = models.PositiveBigIntegerField()
    ceiling = models.PositiveBigIntegerField()
    used = models.PositiveBigIntegerField(default=0)
    reported = models.BooleanField(default=False, help_text="Its host says the total; the rest is the operator's.")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "inventories"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["provider", "resource_class"], name="%(app_label)s_%(class)s_once"),
            models.CheckConstraint(condition=Q(used__lte=F("ceiling")), name="%(app_label)s_%(class)s_not_overcommitted"),
            models.CheckConstraint(condition=Q(allocation_ratio__gt=0), name="%(app_label)s_%(class)s_ratio"),
            models.CheckConstraint(condition=Q(min_unit__gte=1, step_size__gte=1), name="%(app_label)s_%(class)s_units"),
        ]
        indexes: ClassVar = [models.Index(fields=["resource_class", "provider"], name="placement_by_class")]

    def __str__(self) -> str:
        return f"{self.resource_class} of {self.provider}"


class ProviderTrait(models.Model):
    """A provider has a trait. `reported`: its host says so, and takes it back; the others are the operator's."""

    provider = models.ForeignKey(ResourceProvider, models.CASCADE, related_name="traits")
    name = models.CharField(max_length=NAME)
    reported = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["provider", "name"], name="%(app_label)s_%(class)s_once")]
        indexes: ClassVar = [models.Index(fields=["name", "provider"], name="placement_by_trait")]

    def __str__(self) -> str:
        return self.name


class ProviderAggregate(models.Model):
    """A provider is in an aggregate: an id that it shares with others. Aggregates of hosts bear their own id here.

    `reported`: its host is in the aggregate of hosts with this id, for as long as it is.
    """

    provider = models.ForeignKey(ResourceProvider, models.CASCADE, related_name="aggregates")
    aggregate_id = models.UUIDField()
    reported = models.BooleanField(default=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["provider", "aggregate_id"], name="%(app_label)s_%(class)s_once")
        ]
        indexes: ClassVar = [models.Index(fields=["aggregate_id", "provider"], name="placement_by_aggregate")]

    def __str__(self) -> str:
        return str(self.aggregate_id)


class Consumer(models.Model):
    """Who holds allocations: an instance of ours, or whatever a client of the Placement API says.

    It is there as long as it holds something. `project_id` and `user_id` are opaque to us: other clouds' ids come here, too.
    `managed`: our scheduler has claimed for it; its claims follow an instance's life, and clients leave them alone.
    """

    id = models.UUIDField(primary_key=True)
    generation = models.PositiveIntegerField(default=1)
    project_id = models.CharField(max_length=NAME)
    user_id = models.CharField(max_length=NAME, blank=True)
    type = models.CharField(max_length=NAME, default="INSTANCE")
    managed = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["project_id", "user_id"], name="placement_by_project")]

    def __str__(self) -> str:
        return str(self.pk)


class Allocation(models.Model):
    """What one consumer has claimed of one inventory."""

    id = models.BigAutoField(primary_key=True)
    consumer = models.ForeignKey(Consumer, models.CASCADE, related_name="allocations")
    provider = models.ForeignKey(ResourceProvider, models.PROTECT, related_name="allocations")
    resource_class = models.CharField(max_length=NAME)
    amount = models.PositiveBigIntegerField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["consumer", "provider", "resource_class"], name="%(app_label)s_%(class)s_once"
            ),
            models.CheckConstraint(condition=Q(amount__gt=0), name="%(app_label)s_%(class)s_something"),
        ]

    def __str__(self) -> str:
        return f"{self.amount} {self.resource_class} for {self.consumer_id}"
