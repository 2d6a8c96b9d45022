"""Query parameters."""

from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers

from apps.common.api import fields
from apps.common.api.inputs import PageQuery, Query
from apps.common.context import Actor
from apps.compute import selectors
from apps.compute.models import Instance
from apps.compute.states import InstanceState
from apps.identity import policy

_STATES = [state.value for state in InstanceState if state is not InstanceState.DELETED]
_SAME = ("state", "name", "image_id", "flavor_id", "network_id")


class InstanceQuery(PageQuery):
    state = fields.Choice(choices=_STATES, required=False)
    name = serializers.CharField(max_length=255, required=False)
    name__contains = serializers.CharField(max_length=255, required=False)
    image_id = serializers.UUIDField(required=False)
    flavor_id = serializers.UUIDField(required=False)
    network_id = serializers.UUIDField(required=False)
    host = serializers.CharField(max_length=63, required=False, help_text="The host's name. For operators.")
    all_projects = serializers.BooleanField(default=False, help_text="For operators.")


class FlavorQuery(PageQuery):
    name = serializers.CharField(max_length=64, required=False)


class ConsoleQuery(Query):
    max_bytes = serializers.IntegerField(min_value=1, max_value=1024 * 1024, default=65536, help_text="Of the end of the log.")


def instances(actor: Actor, query: dict[str, Any]) -> "QuerySet[Instance]":
    """What a checked InstanceQuery asks for. Raises Forbidden for what only operators may ask."""
    if query["all_projects"] or "host" in query:
        policy.require_everywhere(actor, "compute.instance.list")
    rows = selectors.instances(actor=actor, all_projects=query["all_projects"])
    rows = rows.filter(**{name: query[name] for name in _SAME if name in query})
    if "name__contains" in query:
        rows = rows.filter(name__contains=query["name__contains"])
    return rows.filter(host_name=query["host"]) if "host" in query else rows
