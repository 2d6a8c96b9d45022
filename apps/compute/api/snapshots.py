"""Images made of instances."""

import uuid
from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.api import fields
from apps.common.api.inputs import Input
from apps.common.api.views import View
from apps.compute.api.instances import accepted
from apps.compute.api.serializers import AcceptedSerializer
from apps.compute.services import snapshot
from apps.identity.api.authentication import actor_of
from apps.operations.api.filters import WaitQuery
from apps.operations.api.keys import IDEMPOTENCY_KEY, idempotency_key


class CreateSnapshot(Input):
    """An image of what is on the instance's disk."""

    name = fields.Name(help_text="The image's.")
    properties = fields.TextMap(required=False, help_text="Of the image, beside those of the instance's own image.")


class SnapshotSerializer(AcceptedSerializer):
    """`image_id`: of the image, which is there at once and active when the operation has succeeded."""

    image_id = serializers.UUIDField()


class InstanceSnapshots(View):
    """Images made of it."""

    permissions: ClassVar = {"POST": "compute.instance.snapshot"}
    bodies: ClassVar = {"POST": CreateSnapshot}

    @extend_schema(
        operation_id="instances_snapshot", parameters=[WaitQuery, IDEMPOTENCY_KEY], request=CreateSnapshot,
        responses={202: SnapshotSerializer}, tags=["compute"],
    )
    def post(self, request: Request, instance_id: uuid.UUID) -> Response:
        """Make an image of an instance, running or stopped; its file systems rest for a moment if its guest agent answers."""
        actor, wait = actor_of(request), WaitQuery.read(request)["wait"]
        wanted = CreateSnapshot.read(request)
        begun = snapshot.snapshot(actor=actor, instance_id=instance_id, client_token=idempotency_key(request), **wanted)
        return accepted(actor, begun.operation, wait, image_id=begun.image.pk)
