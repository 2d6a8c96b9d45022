"""Shapes of ports."""

from collections.abc import Callable
from typing import Any

from rest_framework import serializers

from apps.common.api import fields
from apps.common.api.inputs import Input
from apps.common.context import Actor
from apps.identity import policy
from apps.network.api.fields import Address, Cidr
from apps.network.models import Port
from apps.network.plug_inputs import MOST_FIXED, MOST_PAIRS
from apps.network.services.groups import MOST_GROUPS


class WantedFixed(Input):
    """One address: exactly this one, any of a subnet, or exactly this one of that subnet."""

    subnet_id = fields.Id(required=False)
    address = Address(required=False)


class WantedPair(Input):
    """What a port may use beside its own addresses."""

    cidr = Cidr(help_text="An address or a range.")
    mac = fields.Line(max_length=17, required=False, allow_blank=True, help_text="Default: the port's own.")


class UpdatePort(Input):
    name = fields.Line(max_length=64, required=False, allow_blank=True)
    mac = fields.Line(max_length=17, required=False, help_text="Only of a port that nothing has.")
    fixed = serializers.ListField(
        child=WantedFixed(), max_length=MOST_FIXED, required=False,
        help_text="All its addresses; only of a port that nothing has. Those that it has already stay.",
    )
    security_groups = serializers.ListField(child=fields.Id(), max_length=MOST_GROUPS, required=False, help_text="All its groups.")
    pairs = serializers.ListField(child=WantedPair(), max_length=MOST_PAIRS, required=False)
    port_security = fields.Flag(required=False, help_text="Without it nothing is filtered, and no security group holds.")
    admin_up = fields.Flag(required=False)
    dns_name = fields.Line(max_length=63, required=False, allow_blank=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return {"group_ids" if name == "security_groups" else name: value for name, value in attrs.items()}


class CreatePort(UpdatePort):
    network_id = fields.Id()
    mac = fields.Line(max_length=17, required=False, help_text="Default: a new one.")
    fixed = serializers.ListField(
        child=WantedFixed(), max_length=MOST_FIXED, required=False, help_text="Default: one address of each family that the network has."
    )
    security_groups = serializers.ListField(
        child=fields.Id(), max_length=MOST_GROUPS, required=False, help_text="Default: the project's default group."
    )


class FixedSerializer(serializers.Serializer[Any]):
    subnet_id = serializers.UUIDField()
    address = serializers.IPAddressField()


class PairSerializer(serializers.Serializer[Any]):
    cidr = serializers.CharField()
    mac = serializers.CharField()


class PortSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    network_id = serializers.UUIDField()
    project_id = serializers.UUIDField(allow_null=True)
    name = serializers.CharField()
    mac = serializers.CharField()
    addresses = serializers.ListField(child=serializers.IPAddressField())
    fixed = FixedSerializer(many=True)
    device_kind = serializers.CharField(help_text="What has it; empty: nothing.")
    device_id = serializers.UUIDField(allow_null=True, help_text="The instance.")
    host_id = serializers.UUIDField(allow_null=True, required=False, help_text="Where it is. For operators only.")
    security_groups = serializers.ListField(child=serializers.UUIDField())
    pairs = PairSerializer(many=True)
    port_security = serializers.BooleanField()
    admin_up = serializers.BooleanField()
    dns_name = serializers.CharField()
    created_at = serializers.DateTimeField()


def port(actor: Actor, row: Port) -> dict[str, Any]:
    return port_for(actor)(row)


def port_for(actor: Actor) -> Callable[[Port], dict[str, Any]]:
    """How ports are shown to this actor: hosts are the operators' business."""
    sees = policy.everywhere(actor, "network.port.list")

    def render(row: Port) -> dict[str, Any]:
        fixed = sorted(row.fixed_ips.all(), key=lambda each: each.pk)
        return {
            "id": row.pk, "network_id": row.network_id, "project_id": row.project_id, "name": row.name, "mac": row.mac,
            "addresses": [each.address for each in fixed],
            "fixed": [{"subnet_id": each.subnet_id, "address": each.address} for each in fixed],
            "device_kind": row.device_kind, "device_id": row.device_id, **({"host_id": row.host_id} if sees else {}),
            "security_groups": sorted(each.group_id for each in row.memberships.all()), "pairs": row.pairs,
            "port_security": row.port_security, "admin_up": row.admin_up, "dns_name": row.dns_name, "created_at": row.created_at,
        }

    return render
