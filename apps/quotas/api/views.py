"""Limits and usage."""

import uuid
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.api.inputs import NoQuery
from apps.common.api.views import View
from apps.common.context import Actor
from apps.identity import policy
from apps.identity.api.authentication import actor_of
from apps.quotas import selectors
from apps.quotas.api import filters, serializers
from apps.quotas.services import limits


class Quotas(View):
    """What a project or a domain may have, and has."""

    permissions: ClassVar = {"GET": "quotas.usage.get"}

    @extend_schema(operation_id="quotas_get", parameters=[filters.QuotaQuery], responses=serializers.QuotasSerializer, tags=["quotas"])
    def get(self, request: Request) -> Response:
        """Show limits and usage of the project or domain that you work in, or of another one that you may see."""
        actor, query = actor_of(request), filters.QuotaQuery.read(request)
        if (domain_id := query.get("domain_id", None if query else actor.domain_id)) is not None:
            return Response(_of_domain(actor, domain_id))
        return Response(_of_project(actor, query.get("project_id") or policy.in_project(actor)))


class QuotasOfOne(View):
    """Limits of one project, or of all projects of one domain together."""

    bodies: ClassVar = {"PUT": serializers.SetLimits}
    permissions: ClassVar = {"PUT": "quotas.limit.set"}

    @extend_schema(operation_id="quotas_set", request=serializers.SetLimits, responses=serializers.QuotasSerializer, tags=["quotas"])
    def put(self, request: Request, owner_id: uuid.UUID) -> Response:
        """Set limits of a project; of a domain, which needs `quotas.default.set`. What is used already stays."""
        NoQuery.read(request)
        actor, wanted = actor_of(request), serializers.SetLimits.read(request)
        owner = limits.set_limits(actor=actor, owner_id=owner_id, limits=wanted)
        return Response(_of_domain(actor, owner_id) if owner.is_domain else _of_project(actor, owner_id))


class Defaults(View):
    """What a project may have that has no limits of its own."""

    bodies: ClassVar = {"PUT": serializers.SetLimits}
    permissions: ClassVar = {"GET": "quotas.limit.list", "PUT": "quotas.default.set"}

    @extend_schema(operation_id="quotas_defaults_get", responses=serializers.DefaultsSerializer, tags=["quotas"])
    def get(self, request: Request) -> Response:
        """Show the default limits."""
        NoQuery.read(request)
        return Response(serializers.defaults(selectors.defaults(actor=actor_of(request))))

    @extend_schema(
        operation_id="quotas_defaults_set", request=serializers.SetLimits, responses=serializers.DefaultsSerializer, tags=["quotas"]
    )
    def put(self, request: Request) -> Response:
        """Set default limits; null goes back to what is built in."""
        NoQuery.read(request)
        actor, wanted = actor_of(request), serializers.SetLimits.read(request)
        limits.set_defaults(actor=actor, limits=wanted)
        return Response(serializers.defaults(selectors.defaults(actor=actor)))


def _of_project(actor: Actor, project_id: uuid.UUID) -> dict[str, Any]:
    return serializers.quotas(selectors.quotas_of_project(actor=actor, project_id=project_id), project_id=project_id)


def _of_domain(actor: Actor, domain_id: uuid.UUID) -> dict[str, Any]:
    return serializers.quotas(selectors.quotas_of_domain(actor=actor, domain_id=domain_id), domain_id=domain_id)
