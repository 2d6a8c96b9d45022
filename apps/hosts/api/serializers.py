"""Shapes of hosts."""

from typing import Any

from rest_framework import serializers

from apps.common.api import fields
from apps.common.api.inputs import Input
from apps.hosts.models import Host
from apps.hosts.states import HostState

ACTIONS = ("enable", "disable")
STATES = [state.value for state in HostState]


class HostAction(Input):
    action = fields.Choice(choices=ACTIONS)
    reason = fields.Line(max_length=255, default="", allow_blank=True, help_text="Why it is disabled.")


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
    agent_version = serializers.CharField()
    speaks = serializers.ListField(child=serializers.CharField(), help_text="Commands that its agent understands.")
    traits = serializers.ListField(child=serializers.CharField())
    last_seen_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()


def host(row: Host) -> dict[str, Any]:
    return {
        "id": row.pk, "name": row.name, "zone": row.zone, "state": row.state, "enabled": row.enabled,
        "disabled_reason": row.disabled_reason, "hypervisor": row.hypervisor, "hypervisor_ok": row.hypervisor_ok,
        "hypervisor_error": row.hypervisor_error, "agent_version": row.agent_version, "speaks": row.speaks,
        "traits": row.traits, "last_seen_at": row.last_seen_at, "created_at": row.created_at,
    }
