"""Shapes of capacity."""

import math
from typing import Any

from rest_framework import serializers

from apps.common.api import fields
from apps.common.api.inputs import Input
from apps.hosts.api.serializers import HostSerializer
from apps.placement.models import Allocation, Inventory, ResourceProvider
from apps.placement.selectors import Named

_LARGEST = 2**48


class Ratio(serializers.FloatField):
    """A JSON number that is one."""

    default_error_messages = {"type": "expected a number"}

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float) or not math.isfinite(data):
            self.fail("type")
        return float(data)


class UpdateInventory(Input):
    """What is left out stays as it is. The total is the host's own to say."""

    allocation_ratio = Ratio(
        min_value=0.001, max_value=64, required=False, help_text="How many times over it may be promised; 1 promises what is there."
    )
    reserved = fields.Whole(min_value=0, max_value=_LARGEST, required=False, help_text="Kept back, in the unit of the class.")
    min_unit = fields.Whole(min_value=1, max_value=_LARGEST, required=False, help_text="The least that one consumer can have.")
    max_unit = fields.Whole(min_value=1, max_value=_LARGEST, required=False, help_text="The most that one consumer can have.")
    step_size = fields.Whole(min_value=1, max_value=_LARGEST, required=False, help_text="One consumer has multiples of it.")
    generation = fields.Whole(
        min_value=0, max_value=2**31 - 1, required=False, help_text="The provider's, as it was read: refused if it has changed since."
    )


class SetTraits(Input):
    """Replaces those that operators have set; what the host reports stays."""

    traits = serializers.ListField(child=fields.Line(max_length=255), max_length=1000)
    generation = fields.Whole(
        min_value=0, max_value=2**31 - 1, required=False, help_text="The provider's, as it was read: refused if it has changed since."
    )


class CreateCustom(Input):
    name = fields.Line(max_length=255, help_text="CUSTOM_ and then A-Z, 0-9 and _.")


class InventorySerializer(serializers.Serializer[Any]):
    resource_class = serializers.CharField()
    total = serializers.IntegerField()
    reserved = serializers.IntegerField()
    min_unit = serializers.IntegerField()
    max_unit = serializers.IntegerField()
    step_size = serializers.IntegerField()
    allocation_ratio = serializers.FloatField()
    capacity = serializers.IntegerField(help_text="(total - reserved) * allocation_ratio")
    used = serializers.IntegerField()
    reported = serializers.BooleanField(help_text="Its host says the total.")


class HostWithInventoriesSerializer(HostSerializer):
    inventories = InventorySerializer(many=True, help_text="Empty until its agent has said hello.")


class ResourceProviderSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField(help_text="A host's provider bears the host's id.")
    name = serializers.CharField()
    parent_id = serializers.UUIDField(allow_null=True)
    root_id = serializers.UUIDField(help_text="Of the tree that it is in; its own where it is the root.")
    generation = serializers.IntegerField(help_text="Rises with every change of what it has, is, or has given.")
    inventories = InventorySerializer(many=True)
    traits = serializers.ListField(child=serializers.CharField())
    reported_traits = serializers.ListField(child=serializers.CharField(), help_text="Those of them that its host says.")
    aggregate_ids = serializers.ListField(child=serializers.UUIDField())


class NamedSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    standard = serializers.BooleanField(help_text="Of OpenStack's own list; the others were made here.")


class AllocationSerializer(serializers.Serializer[Any]):
    consumer_id = serializers.UUIDField(help_text="Of an instance, or of whatever a client of the Placement API says.")
    consumer_generation = serializers.IntegerField()
    type = serializers.CharField(help_text="What the consumer is.")
    project_id = serializers.CharField(help_text="Opaque: also other clouds' projects come here.")
    user_id = serializers.CharField()
    managed = serializers.BooleanField(help_text="Of an instance of this cloud: it follows the instance's life.")
    resource_class = serializers.CharField()
    amount = serializers.IntegerField()


def inventory(row: Inventory) -> dict[str, Any]:
    return {
        "resource_class": row.resource_class, "total": row.total, "reserved": row.reserved, "min_unit": row.min_unit,
        "max_unit": row.max_unit, "step_size": row.step_size, "allocation_ratio": row.allocation_ratio, "capacity": row.capacity,
        "used": row.used, "reported": row.reported,
    }


def provider(row: ResourceProvider) -> dict[str, Any]:
    traits = sorted(row.traits.all(), key=lambda each: each.name)
    return {
        "id": row.pk, "name": row.name, "parent_id": row.parent_id, "root_id": row.root_id, "generation": row.generation,
        "inventories": [inventory(each) for each in sorted(row.inventories.all(), key=lambda each: each.resource_class)],
        "traits": [each.name for each in traits], "reported_traits": [each.name for each in traits if each.reported],
        "aggregate_ids": sorted(each.aggregate_id for each in row.aggregates.all()),
    }


def allocation(row: Allocation) -> dict[str, Any]:
    consumer = row.consumer
    return {
        "consumer_id": consumer.pk, "consumer_generation": consumer.generation, "type": consumer.type, "project_id": consumer.project_id,
        "user_id": consumer.user_id, "managed": consumer.managed, "resource_class": row.resource_class, "amount": row.amount,
    }


def named(each: Named) -> dict[str, Any]:
    return {"name": each.name, "standard": each.standard}
