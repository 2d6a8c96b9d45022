"""Shapes of networks and ports."""

import ipaddress
from typing import Any

from rest_framework import serializers

from apps.common.api import fields
from apps.common.api.inputs import Input
from apps.network.models import Network, Port


class _Address(fields.Text):
    """An IPv4 address."""

    default_error_messages = {"address": "expected an IPv4 address"}

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        try:
            return str(ipaddress.IPv4Address(text))
        except ValueError:
            self.fail("address")


class CreateNetwork(Input):
    name = fields.Name(max_length=64)
    cidr = fields.Line(max_length=18, default="", allow_blank=True, help_text="Default: the operator's; 10.64.0.0/20 unless set.")
    dns = serializers.ListField(child=_Address(max_length=15), max_length=8, required=False)
    is_default = fields.Flag(default=False)


class SubnetSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    cidr = serializers.CharField()
    gateway = serializers.IPAddressField()
    pool_start = serializers.IPAddressField()
    pool_end = serializers.IPAddressField()
    dns = serializers.ListField(child=serializers.IPAddressField())


class NetworkSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    project_id = serializers.UUIDField()
    kind = serializers.CharField()
    mtu = serializers.IntegerField()
    is_default = serializers.BooleanField()
    subnets = SubnetSerializer(many=True)
    created_at = serializers.DateTimeField()


class PortSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    network_id = serializers.UUIDField()
    device_id = serializers.UUIDField(help_text="The instance.")
    mac = serializers.CharField()
    addresses = serializers.ListField(child=serializers.IPAddressField())


def network(row: Network) -> dict[str, Any]:
    subnets = [
        {
            "id": subnet.pk, "cidr": subnet.cidr, "gateway": subnet.gateway, "pool_start": subnet.pool_start,
            "pool_end": subnet.pool_end, "dns": subnet.dns,
        }
        for subnet in row.subnets.all()
    ]
    return {
        "id": row.pk, "name": row.name, "project_id": row.project_id, "kind": row.kind, "mtu": row.mtu,
        "is_default": row.is_default, "subnets": subnets, "created_at": row.created_at,
    }


def port(row: Port) -> dict[str, Any]:
    return {
        "id": row.pk, "network_id": row.network_id, "device_id": row.device_id, "mac": row.mac,
        "addresses": [fixed.address for fixed in row.fixed_ips.all()],
    }
