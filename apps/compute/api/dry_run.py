"""Asking the scheduler without deciding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.api import fields
from apps.common.api.inputs import Input, NoQuery
from apps.common.api.views import View
from apps.common.context import Actor
from apps.compute.services import cards, dry_run, needs
from apps.identity import policy
from apps.identity.api.authentication import actor_of
from apps.placement.names import MAX_INT
from apps.scheduler.api import decision_shapes as shapes

if TYPE_CHECKING:
    from apps.scheduler.models import Decision


class DryRun(Input):
    flavor_id = fields.Id(required=False)
    flavor = fields.Name(max_length=64, required=False, help_text="Its name, instead of `flavor_id`.")
    resources = serializers.DictField(
        child=fields.Whole(min_value=1, max_value=MAX_INT), required=False,
        help_text="Resource class → amount, instead of a flavor. For operators.",
    )
    image_id = fields.Id(required=False, help_text="Its properties say what hosts it runs on.")
    image = fields.Name(required=False, help_text="Its name, instead of `image_id`.")
    network_ids = serializers.ListField(
        child=fields.Id(), max_length=cards.MOST, required=False, help_text="Hosts must be plugged into what these run on."
    )
    zone = fields.Line(max_length=64, required=False, allow_blank=True)
    required_traits = serializers.ListField(child=fields.Line(max_length=255), max_length=needs.MOST_TRAITS, required=False)
    forbidden_traits = serializers.ListField(child=fields.Line(max_length=255), max_length=needs.MOST_TRAITS, required=False)
    server_group_id = fields.Id(required=False, help_text="As if it became a member.")
    hosts = serializers.ListField(
        child=fields.Line(max_length=63), max_length=needs.MOST_HOSTS, required=False,
        help_text="On one of these only: names or ids. For operators.",
    )
    avoided_hosts = serializers.ListField(
        child=fields.Line(max_length=63), max_length=needs.MOST_HOSTS, required=False, help_text="On none of these. For operators."
    )
    project_id = fields.Id(required=False, help_text="In whose name, instead of one's own project. For operators.")


    count = fields.Whole(
        min_value=1, max_value=dry_run.MOST_AT_ONCE, required=False, help_text="So many equal instances, each of which counts for the next."
    )


class TriedSerializer(serializers.Serializer[Any]):
    placed = serializers.IntegerField(help_text="So many of them would get a host.")
    count = serializers.IntegerField()
    host_names = serializers.ListField(
        child=serializers.CharField(), required=False, help_text="Where each would be, as far as they would be anywhere. For operators."
    )
    decisions = shapes.ExplanationSerializer(many=True, help_text="Of the first instance, and of the first that would get no host.")


class SchedulingDryRun(View):
    """Which host would be chosen."""

    permissions: ClassVar = {"POST": "compute.instance.dry_run"}
    bodies: ClassVar = {"POST": DryRun}

    @extend_schema(operation_id="scheduling_dry_run", request=DryRun, responses=TriedSerializer, tags=["scheduling"])
    def post(self, request: Request) -> Response:
        """Ask which host an instance would get at this moment, and why. Nothing is claimed; the next moment may be another."""
        NoQuery.read(request)
        actor = actor_of(request)
        return Response(answer(actor, dry_run.dry_run(actor=actor, tried=dry_run.Tried(**DryRun.read(request)))))


def answer(actor: Actor, decisions: Sequence[Decision]) -> dict[str, Any]:
    """What would become of all, and the explanation of those that are told."""
    names = [decision.host_name for decision in decisions if decision.host_id is not None]
    shown = {
        "placed": len(names), "count": len(decisions), "decisions": [shapes.explanation(actor, row) for row in told(decisions)]
    }
    return {**shown, "host_names": names} if policy.everywhere(actor, "hosts.host.list") else shown


def told(decisions: Sequence[Decision]) -> list[Decision]:
    """The first, and the first that found no host."""
    refused = [decision for decision in decisions[1:] if decision.host_id is None]
    return [decisions[0], *(refused[:1] if decisions[0].host_id is not None else ())]
