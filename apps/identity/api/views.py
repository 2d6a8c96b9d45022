"""The caller."""

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.api.inputs import NoQuery
from apps.common.api.views import View
from apps.identity import selectors
from apps.identity.api import serializers
from apps.identity.api.authentication import actor_of, token_of


class WhoAmI(View):
    """The caller."""

    permissions: ClassVar = {"GET": ""}

    @extend_schema(operation_id="whoami", responses=serializers.WhoAmISerializer, tags=["identity"])
    def get(self, request: Request) -> Response:
        """Who is asking, where, with which roles, and what one may do."""
        NoQuery.read(request)
        actor, token = actor_of(request), token_of(request)
        found = token.standing if token is not None else selectors.standing_of(actor=actor)
        return Response(serializers.whoami(actor, token, found))
