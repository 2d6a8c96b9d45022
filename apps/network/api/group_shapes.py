"""Shapes of security groups and their rules."""

from typing import Any

from rest_framework import serializers

from apps.common.api import fields
from apps.common.api.inputs import Input
from apps.network.api.fields import Cidr
from apps.network.models import Rule, SecurityGroup
from apps.network.services.rules import PROTOCOLS
from apps.network.states import Direction

# The first name of a number is the usual one.
_NAMES = {number: name for name, number in reversed(PROTOCOLS.items())}
_DIRECTIONS = [direction.value for direction in Direction]


class CreateSecurityGroup(Input):
    name = fields.Name(max_length=64)
    description = fields.Line(max_length=255, required=False, allow_blank=True)


class UpdateSecurityGroup(Input):
    name = fields.Name(max_length=64, required=False)
    description = fields.Line(max_length=255, required=False, allow_blank=True)


class CreateSecurityGroupRule(Input):
    """Allows something more. Without `cidr` and `remote_group_id`: from, or to, anybody."""

    security_group_id = fields.Id()
    direction = fields.Choice(choices=_DIRECTIONS, help_text="As the guest sees it.")
    family = fields.Whole(min_value=4, max_value=6, required=False, help_text="4 or 6; default: 4.")
    protocol = fields.Line(
        max_length=16, required=False, allow_null=True, allow_blank=True, help_text="tcp, udp, icmp, icmpv6 …, a number as text, or any."
    )
    first = fields.Whole(required=False, allow_null=True, help_text="The lowest port, or the ICMP type; default: any.")
    last = fields.Whole(required=False, allow_null=True, help_text="The highest port (default: `first`), or the ICMP code.")
    cidr = Cidr(required=False, allow_blank=True, help_text="The other side.")
    remote_group_id = fields.Id(required=False, allow_null=True, help_text="The other side: all members of this group.")
    description = fields.Line(max_length=255, required=False, allow_blank=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return {"group_id" if name == "security_group_id" else name: value for name, value in attrs.items()}


class SecurityGroupRuleSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    security_group_id = serializers.UUIDField()
    direction = serializers.ChoiceField(choices=_DIRECTIONS)
    family = serializers.IntegerField()
    protocol = serializers.CharField(allow_null=True, help_text="A name, or a number as text; null: any.")
    first = serializers.IntegerField(allow_null=True)
    last = serializers.IntegerField(allow_null=True)
    cidr = serializers.CharField(help_text="Empty: anybody, or the group.")
    remote_group_id = serializers.UUIDField(allow_null=True)
    description = serializers.CharField()
    created_at = serializers.DateTimeField()


class SecurityGroupSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    project_id = serializers.UUIDField()
    description = serializers.CharField()
    is_default = serializers.BooleanField()
    rules = SecurityGroupRuleSerializer(many=True)
    created_at = serializers.DateTimeField()


def rule(row: Rule) -> dict[str, Any]:
    return {
        "id": row.pk, "security_group_id": row.group_id, "direction": row.direction, "family": row.family,
        "protocol": None if row.protocol is None else _NAMES.get(row.protocol, str(row.protocol)), "first": row.first,
        "last": row.last, "cidr": row.cidr, "remote_group_id": row.remote_group_id, "description": row.description,
        "created_at": row.created_at,
    }


def group(row: SecurityGroup) -> dict[str, Any]:
    return {
        "id": row.pk, "name": row.name, "project_id": row.project_id, "description": row.description,
        "is_default": row.is_default, "rules": [rule(each) for each in sorted(row.rules.all(), key=lambda each: each.pk)],
        "created_at": row.created_at,
    }


def ports_text(rule: dict[str, Any]) -> str:
    """A rule's protocol with its ports, or its ICMP type and code, as people write it: `tcp 80-90`."""
    first, last = rule["first"], rule["last"]
    what = rule["protocol"] or "any"
    if first is None:
        return str(what)
    icmp = str(what).startswith("icmp")
    end = "" if last is None or (not icmp and last == first) else f"{'/' if icmp else '-'}{last}"
    return f"{what} {first}{end}"
