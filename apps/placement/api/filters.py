"""Query parameters."""

from rest_framework import serializers

from apps.common.api.inputs import PageQuery


class ProviderQuery(PageQuery):
    name = serializers.CharField(max_length=200, required=False)
