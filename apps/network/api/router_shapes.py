"""Shapes of routers and floating IPs."""

from typing import Any

from django.db.models import prefetch_related_objects
from rest_framework import serializers

from apps.common.api import fields
from apps.common.api.inputs import Input
from apps.network.api.fields import Address
from apps.network.models import FloatingIP, Router


class UpdateRouter(Input):
    name = fields.Name(max_length=64, required=False)
    external_network_id = fields.Id(required=False, allow_null=True, help_text="The way out; null: none.")
    snat = fields.Flag(required=False, help_text="Guests without a floating IP leave under an address of their host.")
    admin_up = fields.Flag(required=False)


class CreateRouter(UpdateRouter):
    name = fields.Name(max_length=64)
    external_network_id = fields.Id(required=False, allow_null=True, help_text="The way out; default: the installation's; null: none.")


class Interface(Input):
    subnet_id = fields.Id()


class UpdateFloatingIp(Input):
    port_id = fields.Id(required=False, allow_null=True, help_text="What it stands for; null: nothing.")
    fixed_address = Address(required=False, help_text="Of that port; needed where it has several that fit.")
    description = fields.Line(max_length=255, required=False, allow_blank=True)


class CreateFloatingIp(UpdateFloatingIp):
    network_id = fields.Id(required=False, allow_null=True, help_text="An external one; default: that of the port's router, or the installation's.")
    address = Address(required=False, help_text="Exactly this one.")
    port_id = fields.Id(required=False, allow_null=True, help_text="What it stands for at once.")


class JoinedSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    network_id = serializers.UUIDField()
    cidr = serializers.CharField()
    gateway = serializers.IPAddressField(allow_null=True, help_text="The router's address there.")


class RouterSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    project_id = serializers.UUIDField()
    external_network_id = serializers.UUIDField(allow_null=True)
    snat = serializers.BooleanField()
    admin_up = serializers.BooleanField()
    is_default = serializers.BooleanField()
    subnets = JoinedSerializer(many=True)
    created_at = serializers.DateTimeField()


class FloatingIpSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    address = serializers.IPAddressField()
    network_id = serializers.UUIDField()
    project_id = serializers.UUIDField()
    port_id = serializers.UUIDField(allow_null=True, help_text="What it stands for.")
    fixed_address = serializers.IPAddressField(allow_null=True)
    router_id = serializers.UUIDField(allow_null=True, help_text="The one that leads there.")
    description = serializers.CharField()
    created_at = serializers.DateTimeField()


def router(row: Router) -> dict[str, Any]:
    prefetch_related_objects([row], "interfaces__subnet")  # of a page they are there already
    joined = sorted((each.subnet for each in row.interfaces.all()), key=lambda subnet: subnet.pk)
    return {
        "id": row.pk, "name": row.name, "project_id": row.project_id, "external_network_id": row.external_network_id,
        "snat": row.snat, "admin_up": row.admin_up, "is_default": row.is_default,
        "subnets": [
            {"id": each.pk, "network_id": each.network_id, "cidr": each.cidr, "gateway": each.gateway} for each in joined
        ],
        "created_at": row.created_at,
    }


def floating_ip(row: FloatingIP) -> dict[str, Any]:
    stands_for = row.fixed_ip
    return {
        "id": row.pk, "address": row.address, "network_id": row.network_id, "project_id": row.project_id,
        "port_id": None if stands_for is None else stands_for.port_id,
        "fixed_address": None if stands_for is None else stands_for.address, "router_id": row.router_id,
        "description": row.description, "created_at": row.created_at,
    }
