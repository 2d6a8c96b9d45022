"""Query parameters."""

from rest_framework import serializers

from apps.common.api.inputs import PageQuery


class NetworkQuery(PageQuery):
    name = serializers.CharField(max_length=64, required=False)
    is_default = serializers.BooleanField(required=False)


class PortQuery(PageQuery):
    network_id = serializers.UUIDField(required=False)
    device_id = serializers.UUIDField(required=False)
    mac = serializers.CharField(max_length=17, required=False)
