"""The audit trail over HTTP: pages, newest first, and an export, oldest first."""

from typing import ClassVar

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from apps.audit import selectors
from apps.audit.api import filters, serializers
from apps.audit.api.lines import MEDIA_TYPE, JSONLines, encoded
from apps.common.api.pagination import page
from apps.common.api.renderers import JSON, Browsable
from apps.common.api.schema import paged
from apps.common.api.views import View
from apps.identity import trail
from apps.identity.api.authentication import actor_of


class RecordList(View):
    """The audit trail: what was done and what was refused."""

    permissions: ClassVar[dict[str, str]] = {"GET": trail.PERMISSION}
    renderer_classes = [JSON, Browsable, JSONLines]

    @extend_schema(
        operation_id="audit_records_list", parameters=[filters.RecordQuery], tags=["audit"],
        responses={
            (200, "application/json"): paged(serializers.RecordSerializer), (200, MEDIA_TYPE): OpenApiTypes.STR,
        },
    )
    def get(self, request: Request) -> HttpResponseBase:
        """Search the audit trail of one's project, of the projects of one's domain, or of all.

        As `application/x-ndjson` (or with `format=jsonl`) it is an export: all that match, or the first `limit`, one a
        line, oldest first, going on behind the record `after`.
        """
        query = filters.RecordQuery.read(request)
        part = trail.records(actor=actor_of(request), search=filters.search(query))
        shape = serializers.whole if part.everywhere else serializers.within(part.scope)
        if getattr(request.accepted_renderer, "format", "") != JSONLines.format:
            return page(request, part.rows, shape, *selectors.COLUMNS)
        if request.method == "HEAD":
            response: HttpResponseBase = HttpResponse(content_type=MEDIA_TYPE)
        else:
            pieces = selectors.oldest_first(part.rows, after=filters.after(query), most=query.get("limit"))
            response = StreamingHttpResponse(encoded(pieces, shape), content_type=MEDIA_TYPE)
        response["Content-Disposition"] = 'attachment; filename="audit.jsonl"'
        return response
