"""The instance's page: its error in words, the timelines of all its operations, and why it is where it is."""

from uuid import UUID

from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.common.admin import drawing
from apps.common.admin.pages import add_section
from apps.compute.models import Instance
from apps.scheduler import selectors as scheduler
from apps.scheduler.admin import picture
from apps.scheduler.explain import words as words_of
from dashboard import words
from dashboard.pages import work


def register() -> None:
    """Called once by dashboard/admin.py."""
    add_section(Instance, "What went wrong", _error, place=10)
    add_section(Instance, "Timeline", _timelines, place=15, permission="operations.operation.list")
    add_section(Instance, "Scheduling", _scheduling, place=30, permission="compute.instance.explain")


def _error(request: HttpRequest, instance: Instance) -> SafeString:
    return words.error_panel(instance.error)


def _timelines(request: HttpRequest, instance: Instance) -> SafeString:
    chosen: dict[UUID | None, list[str]] = {}
    for decision in reversed(scheduler.decisions(instance.pk)):
        if decision.host_name:
            chosen.setdefault(decision.operation_id, []).append(words_of.chosen(decision))
    return work.timelines(instance.pk, chosen=chosen)


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
