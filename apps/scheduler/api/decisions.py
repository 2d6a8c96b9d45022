"""Views of scheduling decisions. Those of one instance are at its own address, and so is asking without deciding: compute's."""

import uuid
from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.api.inputs import NoQuery
from apps.common.api.pagination import page
from apps.common.api.schema import paged
from apps.common.api.views import View
from apps.identity.api.authentication import actor_of
from apps.scheduler import selectors
from apps.scheduler.api import decision_shapes as shapes


class DecisionList(View):
    """What schedulers have decided."""

    permissions: ClassVar = {"GET": "scheduler.decision.list"}

    @extend_schema(
        operation_id="scheduling_decisions_list", parameters=[shapes.DecisionQuery], responses=paged(shapes.BriefDecisionSerializer),
        tags=["scheduling"],
    )
    def get(self, request: Request) -> Response:
        """List scheduling decisions of all projects, newest first. For operators."""
        asked = shapes.DecisionQuery.read(request)
        filters = {name: value for name, value in asked.items() if name not in ("limit", "after")}
        rows = selectors.every_decision(actor=actor_of(request), **filters)
        return page(request, rows, shapes.brief, *shapes.BRIEF)


class DecisionDetail(View):
    """Why an instance is on its host, or on none."""

    permissions: ClassVar = {"GET": "compute.instance.explain"}

    @extend_schema(operation_id="scheduling_decisions_get", responses=shapes.DecisionSerializer, tags=["scheduling"])
    def get(self, request: Request, decision_id: uuid.UUID) -> Response:
        """Show a scheduling decision: to operators with the verdict on every host, to others with the kinds of the reasons."""
        NoQuery.read(request)
        actor = actor_of(request)
        return Response(shapes.decision(actor, selectors.decision(actor=actor, decision_id=decision_id)))
