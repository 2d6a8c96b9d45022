"""The operation's page: its error in words, and its timeline."""

from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.common.admin.pages import add_section
from apps.operations import selectors
from apps.operations.models import Operation
from apps.scheduler import selectors as scheduler
from dashboard import timeline, words


def register() -> None:
    """Called once by dashboard/admin.py."""
    add_section(Operation, "What went wrong", _error, place=10)
    add_section(Operation, "Timeline", _timeline, place=15)


def _error(request: HttpRequest, operation: Operation) -> SafeString:
    return words.error_panel(operation.error)


def _timeline(request: HttpRequest, operation: Operation) -> SafeString:
    decisions = [each for each in scheduler.decisions(operation.resource_id) if each.operation_id == operation.pk]
    chosen = [each.host_name for each in reversed(decisions) if each.host_name]
    drawn = timeline.draw(operation, list(selectors.events(operation_id=operation.pk)), chosen)
    return format_html("{}{}", timeline.legend(), drawn)
