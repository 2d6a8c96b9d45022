"""Query parameters."""

from rest_framework import serializers

from apps.common.api import fields
from apps.common.api.inputs import PageQuery
from apps.hosts.states import HostState


class HostQuery(PageQuery):
    name = serializers.CharField(max_length=63, required=False)
    zone = serializers.CharField(max_length=64, required=False)
    state = fields.Choice(choices=[state.value for state in HostState], required=False)
    enabled = serializers.BooleanField(required=False)


class ZoneQuery(PageQuery):
    name = serializers.CharField(max_length=64, required=False)
    enabled = serializers.BooleanField(required=False)


class AggregateQuery(PageQuery):
    name = serializers.CharField(max_length=255, required=False)
    host_id = serializers.UUIDField(required=False, help_text="Those that this host is in.")
