"""The operations on one thing, newest first, each with its timeline: a section of its page."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.common.admin import drawing
from apps.operations import selectors as operations
from apps.operations.admin import progress, state_badge
from apps.operations.models import Operation
from dashboard import timeline

# Timelines of so many operations, the newest; each is also on a page of its own.
_OPERATIONS = 20


def timelines(resource_id: UUID, *, chosen: Mapping[UUID | None, Sequence[str]] | None = None) -> SafeString:
    """`chosen`: by operation, what the scheduler chose."""
    rows = list(operations.of_resource(resource_id).prefetch_related("events")[: _OPERATIONS + 1])
    if not rows:
        return drawing.quiet("No operation is kept any more.")
    drawn = format_html_join("", "{}", ((_operation(row, (chosen or {}).get(row.pk, ())),) for row in rows[:_OPERATIONS]))
    more = f"{reverse('admin:operations_operation_changelist')}?q={resource_id}"
    rest = format_html('<p><a href="{}">Older operations</a></p>', more) if len(rows) > _OPERATIONS else drawing.EMPTY
    return format_html("{}{}{}", timeline.legend(), drawn, rest)


def _operation(operation: Operation, chosen: Sequence[str]) -> SafeString:
    page = reverse("admin:operations_operation_change", args=[operation.pk])
    took = ""
    if operation.finished_at is not None:
        took = f"in {drawing.duration((operation.finished_at - operation.created_at).total_seconds())}"
    who = f"by {operation.user_name}" if operation.user_name else ""
    return format_html(
        '<article class="cs-operation"><header><a href="{}">{}</a> {} {} <span class="cs-quiet">{} {}</span> {}'
        "</header>{}{}</article>",
        page,
        operation.kind.rpartition(".")[2].replace("_", " "),
        state_badge(operation.state),
        drawing.ago(operation.created_at),
        took,
        who,
        progress(operation),
        _why(operation),
        timeline.draw(operation, list(operation.events.all()), chosen),
    )


def _why(operation: Operation) -> SafeString:
    if not operation.error:
        return drawing.EMPTY
    return format_html('<p class="cs-bad-text">{}</p>', operation.error.get("message", ""))
