"""The instance's page: its error in words, the timelines of all its operations, and why it is where it is."""

from collections.abc import Sequence
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.common.admin import drawing
from apps.common.admin.pages import add_section
from apps.compute.models import Instance
from apps.operations import selectors as operations
from apps.operations.admin import progress, state_badge
from apps.operations.models import Operation
from apps.scheduler import selectors as scheduler
from apps.scheduler.admin import picture
from apps.scheduler.explain import words as words_of
from dashboard import timeline, words

# Timelines of so many operations, the newest; each is also on a page of its own.
_OPERATIONS = 20


def register() -> None:
    """Called once by dashboard/admin.py."""
    add_section(Instance, "What went wrong", _error, place=10)
    add_section(Instance, "Timeline", _timelines, place=15, permission="operations.operation.list")
    add_section(Instance, "Scheduling", _scheduling, place=30, permission="compute.instance.explain")


def _error(request: HttpRequest, instance: Instance) -> SafeString:
    return words.error_panel(instance.error)


def _timelines(request: HttpRequest, instance: Instance) -> SafeString:
    rows = list(operations.of_resource(instance.pk).prefetch_related("events")[: _OPERATIONS + 1])
    chosen: dict[UUID | None, list[str]] = {}
    for decision in reversed(scheduler.decisions(instance.pk)):
        if decision.host_name:
            chosen.setdefault(decision.operation_id, []).append(words_of.chosen(decision))
    drawn = format_html_join("", "{}", ((_operation(row, chosen.get(row.pk, ())),) for row in rows[:_OPERATIONS]))
    more = f"{reverse('admin:operations_operation_changelist')}?q={instance.pk}"
    rest = format_html('<p><a href="{}">Older operations</a></p>', more) if len(rows) > _OPERATIONS else drawing.EMPTY
    return (
        format_html("{}{}{}", timeline.legend(), drawn, rest)
        if rows
        else drawing.quiet("No operation is kept any more.")
    )


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
        operation.kind.removeprefix("instance.").replace("_", " "),
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


def _scheduling(request: HttpRequest, instance: Instance) -> SafeString:
    decisions = scheduler.decisions(instance.pk)
    if not decisions:
        return drawing.quiet("No scheduler has looked at it.")
    older = format_html_join(
        "",
        '<details class="cs-details" id="decision-{}"><summary>An earlier decision, {}</summary>{}</details>',
        ((each.pk, drawing.ago(each.at), picture.draw(each)) for each in decisions[1:]),
    )
    return format_html("{}{}", picture.draw(decisions[0]), older)
