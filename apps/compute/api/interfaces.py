"""Views of the network cards of instances."""

import uuid
from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.api.views import View
from apps.compute.api import serializers
from apps.compute.api.instances import accepted
from apps.compute.services import interfaces
from apps.compute.services.cards import WantedCard
from apps.identity.api.authentication import actor_of
from apps.operations.api.filters import WaitQuery
from apps.operations.api.keys import IDEMPOTENCY_KEY, idempotency_key


class InterfaceList(View):
    """Cards of one instance; what it has stands in its addresses."""

    permissions: ClassVar = {"POST": "compute.instance.attach"}
    bodies: ClassVar = {"POST": serializers.WantedCard}

    @extend_schema(
        operation_id="instances_interfaces_attach", parameters=[WaitQuery, IDEMPOTENCY_KEY], request=serializers.WantedCard,
        responses={202: serializers.AttachedSerializer}, tags=["compute"],
    )
    def post(self, request: Request, instance_id: uuid.UUID) -> Response:
        """Attach a card to an instance, running or stopped: a new port in a network, or a port that is there."""
        actor, wait = actor_of(request), WaitQuery.read(request)["wait"]
        card = WantedCard(**serializers.WantedCard.read(request))
        made = interfaces.attach(actor=actor, instance_id=instance_id, card=card, client_token=idempotency_key(request))
        return accepted(actor, made.operation, wait, port_id=made.port_id, addresses=made.addresses)


class InterfaceDetail(View):
    """One card, by its port."""

    permissions: ClassVar = {"DELETE": "compute.instance.attach"}

    @extend_schema(
        operation_id="instances_interfaces_detach", parameters=[WaitQuery], responses={202: serializers.AcceptedSerializer}, tags=["compute"]
    )
    def delete(self, request: Request, instance_id: uuid.UUID, port_id: uuid.UUID) -> Response:
        """Take a card out. A port that was made by itself is kept; one that was made for the instance is deleted."""
        actor, wait = actor_of(request), WaitQuery.read(request)["wait"]
        return accepted(actor, interfaces.detach(actor=actor, instance_id=instance_id, port_id=port_id), wait)
