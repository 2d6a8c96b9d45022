"""Query parameters."""

from rest_framework import serializers

from apps.common.api.inputs import PageQuery


class ProviderQuery(PageQuery):
    name = serializers.CharField(max_length=200, required=False)
    in_tree = serializers.UUIDField(required=False, help_text="All of the tree that this provider is in.")
    trait = serializers.CharField(max_length=255, required=False, help_text="Those that have it.")
    resource_class = serializers.CharField(max_length=255, required=False, help_text="Those with an inventory of it.")
    aggregate_id = serializers.UUIDField(required=False, help_text="Those in this aggregate.")


class HeldQuery(PageQuery):
    resource_class = serializers.CharField(max_length=255, required=False)
    project_id = serializers.CharField(max_length=255, required=False)


class NamesQuery(PageQuery):
    after = serializers.CharField(max_length=255, required=False, help_text="Name of the last item of the page before; taken from `next`.")
    standard = serializers.BooleanField(required=False, help_text="Those of OpenStack's own list only, or only the others.")
    prefix = serializers.CharField(max_length=255, required=False)
