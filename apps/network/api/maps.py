"""Views of how networks hang together: whether two ports can talk, and the picture of all."""

from typing import ClassVar
from urllib.parse import urlencode

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from apps.common.api.views import View
from apps.identity.api.authentication import actor_of
from apps.network.api import map_shapes as shapes
from apps.network.selectors import topology, trace


class NetworkTrace(View):
    """Whether two ports can talk."""

    permissions: ClassVar = {"GET": "network.port.explain"}

    @extend_schema(operation_id="network_trace", parameters=[shapes.TraceQuery], responses=shapes.TraceSerializer, tags=["network"])
    def get(self, request: Request) -> Response:
        """Say hop by hop whether and why a port can, or cannot, talk to another one or to the outside."""
        wanted = shapes.TraceQuery.read(request)
        return Response(shapes.trace(trace.trace(actor=actor_of(request), **wanted)))


class NetworkTopology(View):
    """The picture of a project's networks."""

    permissions: ClassVar = {"GET": "network.network.list"}

    @extend_schema(
        operation_id="network_topology", parameters=[shapes.TopologyQuery], responses=shapes.TopologySerializer, tags=["network"]
    )
    def get(self, request: Request) -> Response:
        """Show networks, routers, instances and what is plugged into what, as nodes and links."""
        wanted = shapes.TopologyQuery.read(request)
        most = wanted.pop("limit")
        found = topology.topology(actor=actor_of(request), most=most, **wanted)
        following = None
        if found.after is not None:
            query = {**request.query_params.dict(), "after": str(found.after)}
            following = request.build_absolute_uri(f"{request.path}?{urlencode(query)}")
        return Response({"nodes": found.nodes, "links": found.links, "notes": found.notes, "next": following})
