"""Shapes of what operators have: wires, pools of segments, hosts' networking."""

from typing import Any

from rest_framework import serializers

from apps.common.api import fields
from apps.common.api.inputs import Input
from apps.network.models import HostNetwork, PhysicalNetwork, SegmentPool
from apps.network.states import NetworkKind

KINDS = [NetworkKind.VLAN.value, NetworkKind.VXLAN.value]


class CreateWire(Input):
    name = fields.Name(max_length=64, help_text="As agents' configurations call it.")
    mtu = fields.Whole(required=False, help_text="Bytes; default: 1500.")


class CreatePool(Input):
    kind = fields.Choice(choices=KINDS)
    first = fields.Whole(help_text="The lowest VLAN id or VNI.")
    last = fields.Whole(help_text="The highest one.")
    physical_network = fields.Line(max_length=64, required=False, allow_blank=True, help_text="The wire's name; for VLAN ids.")
    position = fields.Whole(required=False, help_text="Tenants' networks take from the lowest first; default: 100.")
    for_tenants = fields.Flag(required=False, help_text="False: only for operators who name a segment; default: true.")


class WireSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    mtu = serializers.IntegerField()
    created_at = serializers.DateTimeField()


class PoolSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=KINDS)
    physical_network = serializers.CharField(allow_null=True)
    first = serializers.IntegerField()
    last = serializers.IntegerField()
    position = serializers.IntegerField()
    for_tenants = serializers.BooleanField()
    used = serializers.IntegerField(help_text="How many of them networks have.")
    created_at = serializers.DateTimeField()


class NetworkProblemSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    message = serializers.CharField()
    object = serializers.CharField(help_text="Id of what it could not bring about; may be empty.")


class MendedSerializer(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    what = serializers.CharField()


class HostNetworkSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField(help_text="The host's.")
    host_name = serializers.CharField()
    speaks = serializers.BooleanField(help_text="Its agent understands network commands.")
    tunnel_address = serializers.IPAddressField(allow_null=True)
    physical_networks = serializers.ListField(child=serializers.CharField(), help_text="Wires that it is plugged into.")
    generation = serializers.IntegerField(help_text="Of what it should have.")
    applied = serializers.IntegerField(help_text="Of what it said it has.")
    up_to_date = serializers.BooleanField()
    full_due = serializers.BooleanField(help_text="It is sent its whole state next.")
    sent_at = serializers.DateTimeField(allow_null=True)
    applied_at = serializers.DateTimeField(allow_null=True)
    took_ms = serializers.FloatField(allow_null=True)
    problems = NetworkProblemSerializer(many=True, help_text="What it could not bring about.")
    lacking = NetworkProblemSerializer(many=True, help_text="What it could not be given.")
    mended = MendedSerializer(many=True, help_text="Drift that it put right lately.")


def wire(row: PhysicalNetwork) -> dict[str, Any]:
    return {"id": row.pk, "name": row.name, "mtu": row.mtu, "created_at": row.created_at}


def pool(row: SegmentPool) -> dict[str, Any]:
    return {
        "id": row.pk, "kind": row.kind, "physical_network": row.physical_network.name if row.physical_network else None,
        "first": row.first, "last": row.last, "position": row.position, "for_tenants": row.for_tenants,
        "used": getattr(row, "used", 0), "created_at": row.created_at,
    }


def host(row: HostNetwork) -> dict[str, Any]:
    return {
        "id": row.pk, "host_name": row.host_name, "speaks": row.speaks, "tunnel_address": row.tunnel_address,
        "physical_networks": row.physical_networks, "generation": row.generation, "applied": row.applied,
        "up_to_date": row.is_up_to_date, "full_due": row.full_due, "sent_at": row.sent_at, "applied_at": row.applied_at,
        "took_ms": row.took_ms, "problems": row.problems, "lacking": row.lacking, "mended": row.mended,
    }
