"""Shapes of hosts, zones and aggregates."""

from typing import Any

from rest_framework import serializers

from apps.common.api import fields
from apps.common.api.inputs import Input
from apps.hosts.models import Aggregate, Host, Zone
from apps.hosts.states import HostState

ACTIONS = ("enable", "disable")
STATES = [state.value for state in HostState]


class HostAction(Input):
    action = fields.Choice(choices=ACTIONS)
    reason = fields.Line(max_length=255, default="", allow_blank=True, help_text="Why it is disabled.")


class UpdateHost(Input):
    """What is left out stays as it is."""

    zone = fields.Line(max_length=64, required=False, help_text="The name of a zone that is there. What runs on the host stays.")
    enabled = fields.Flag(required=False, help_text="Takes new instances.")
    reason = fields.Line(max_length=255, required=False, allow_blank=True, help_text="Why it is disabled.")


class CreateZone(Input):
    name = fields.Name(max_length=63)
    description = fields.Line(max_length=255, default="", allow_blank=True)
    enabled = fields.Flag(default=True, help_text="Its hosts take new instances.")


class UpdateZone(Input):
    description = fields.Line(max_length=255, required=False, allow_blank=True)
    enabled = fields.Flag(required=False, help_text="Its hosts take new instances.")


class CreateAggregate(Input):
    name = fields.Name()
    metadata = fields.TextMap(required=False, help_text="What its hosts have in common; flavors may ask for it.")
    project_ids = serializers.ListField(
        child=fields.Id(), max_length=1000, required=False, help_text="If there are any, its hosts are for these projects only."
    )


class UpdateAggregate(CreateAggregate):
    """What is left out stays as it is; what is given replaces all of it."""

    name = fields.Name(required=False)


class ZoneSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    description = serializers.CharField()
    enabled = serializers.BooleanField(help_text="Its hosts take new instances.")
    created_at = serializers.DateTimeField()


class AggregateSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField(help_text="Placement's provider aggregate bears the same.")
    name = serializers.CharField()
    metadata = serializers.DictField(child=serializers.CharField())
    project_ids = serializers.ListField(child=serializers.UUIDField())
    host_ids = serializers.ListField(child=serializers.UUIDField())
    created_at = serializers.DateTimeField()


class HostSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    zone = serializers.CharField()
    state = serializers.ChoiceField(choices=STATES)
    enabled = serializers.BooleanField(help_text="Takes new instances.")
    disabled_reason = serializers.CharField()
    hypervisor = serializers.CharField()
    hypervisor_ok = serializers.BooleanField()
    hypervisor_error = serializers.CharField()
    load_percent = serializers.IntegerField(help_text="Of all its processors, over the last minute; in steps of about 5.")
    agent_version = serializers.CharField()
    speaks = serializers.ListField(child=serializers.CharField(), help_text="Commands that its agent understands.")
    traits = serializers.ListField(child=serializers.CharField())
    last_seen_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()


def host(row: Host) -> dict[str, Any]:
    return {
        "id": row.pk, "name": row.name, "zone": row.zone, "state": row.state, "enabled": row.enabled,
        "disabled_reason": row.disabled_reason, "hypervisor": row.hypervisor, "hypervisor_ok": row.hypervisor_ok,
        "hypervisor_error": row.hypervisor_error, "load_percent": row.load_percent, "agent_version": row.agent_version,
        "speaks": row.speaks, "traits": row.traits, "last_seen_at": row.last_seen_at, "created_at": row.created_at,
    }


def zone(row: Zone) -> dict[str, Any]:
    return {
        "id": row.pk, "name": row.name, "description": row.description, "enabled": row.enabled, "created_at": row.created_at,
    }


def aggregate(row: Aggregate) -> dict[str, Any]:
    return {
        "id": row.pk, "name": row.name, "metadata": row.metadata, "project_ids": row.project_ids,
        "host_ids": sorted(member.host_id for member in row.members.all()), "created_at": row.created_at,
    }
