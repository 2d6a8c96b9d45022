"""Query parameters."""

from rest_framework import serializers

from apps.common.api.inputs import PageQuery, Query


class ProviderQuery(PageQuery):
    name = serializers.CharField(max_length=200, required=False)
    in_tree = serializers.UUIDField(required=False, help_text="All of the tree that this provider is in.")


class NamesQuery(Query):
    standard = serializers.BooleanField(required=False, help_text="Those of OpenStack's own list only, or only the others.")
    prefix = serializers.CharField(max_length=255, required=False)
