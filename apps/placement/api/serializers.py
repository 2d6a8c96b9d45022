"""Shapes of capacity."""

from typing import Any

from rest_framework import serializers

from apps.hosts.api.serializers import HostSerializer
from apps.placement.models import Inventory, ResourceProvider


class InventorySerializer(serializers.Serializer[Any]):
    resource_class = serializers.CharField()
    total = serializers.IntegerField()
    reserved = serializers.IntegerField()
    allocation_ratio = serializers.FloatField()
    capacity = serializers.IntegerField(help_text="(total - reserved) * allocation_ratio")
    used = serializers.IntegerField()


class HostWithInventoriesSerializer(HostSerializer):
    inventories = InventorySerializer(many=True, help_text="Empty until its agent has said hello.")


class ResourceProviderSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField(help_text="A host's provider bears the host's id.")
    name = serializers.CharField()
    generation = serializers.IntegerField()
    inventories = InventorySerializer(many=True)


def inventory(row: Inventory) -> dict[str, Any]:
    return {
        "resource_class": row.resource_class, "total": row.total, "reserved": row.reserved,
        "allocation_ratio": row.allocation_ratio, "capacity": row.capacity, "used": row.used,
    }


def provider(row: ResourceProvider) -> dict[str, Any]:
    return {
        "id": row.pk, "name": row.name, "generation": row.generation,
        "inventories": [inventory(each) for each in row.inventories.all()],
    }
