"""Admin pages of operations, events, client tokens, leases and refused reports: all of it only to look at.

An operation's stored message is never shown: it holds signed addresses and user data.
"""

import uuid
from collections.abc import Collection
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.common import clock
from apps.common.admin import drawing, references
from apps.common.admin.lists import ReadOnlyAdmin, reference
from apps.common.admin.pages import RecordAdmin
from apps.operations.kinds import Kind, all_kinds
from apps.operations.models import ClientToken, Lease, Operation, OperationEvent, Rejection
from apps.operations.states import OPEN_VALUES, OpState

TONES = {
    OpState.QUEUED: "busy",
    OpState.SENT: "busy",
    OpState.RUNNING: "busy",
    OpState.OVERDUE: "warn",
    OpState.SUCCEEDED: "good",
    OpState.FAILED: "bad",
    OpState.CANCELLED: "off",
}
# Steps that only run when something went wrong: not counted among those of the ordinary way.
_COMPENSATION = ("undo",)


def _names(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    return {pk: f"{kind} {str(pk)[-6:]}" for pk, kind in Operation.objects.filter(pk__in=ids).values_list("pk", "kind")}


references.register("operation", model="operations_operation", names=_names)


def state_badge(state: str) -> SafeString:
    """A state of an operation."""
    return drawing.badge(state, TONES[OpState(state)], busy=state in OPEN_VALUES)


def progress(operation: Operation) -> SafeString:
    """For an open operation: step k of n, and a bar of the time that this step has used up."""
    if operation.state not in OPEN_VALUES:
        return drawing.EMPTY
    kind = _kind(operation.kind)
    names = [s.name for s in kind.steps if s.name not in _COMPENSATION or s.name == operation.step] if kind else []
    step = operation.step
    if step in names:
        step = f"{step} · step {names.index(step) + 1} of {len(names)}"
    allowed = _allowed_s(operation, kind)
    left = (operation.deadline - clock.now()).total_seconds()
    used = allowed - left
    overdue = operation.state == OpState.OVERDUE or left < 0
    text = (
        f"{drawing.duration(max(0.0, used))} of {drawing.duration(allowed)}"
        if left > 0
        else f"late by {drawing.duration(-left)}"
    )
    share = used / allowed if allowed else 1.0
    return drawing.beside(step, drawing.bar(share, "warn" if overdue else "busy", label=text), text, kind="cs-progress")


def _kind(name: str) -> Kind | None:
    return next((kind for kind in all_kinds() if kind.name == name), None)


def _allowed_s(operation: Operation, kind: Kind | None) -> float:
    """How long the present wait may take, from its start to its deadline."""
    if operation.state == OpState.OVERDUE:
        return float(settings.ENV.observe_timeout_s)
    step = next((s for s in kind.steps if s.name == operation.step), None) if kind else None
    return (
        float(getattr(settings.ENV, step.timeout))
        if step
        else (operation.deadline - operation.created_at).total_seconds()
    )


class OpenFilter(admin.SimpleListFilter):
    """By state, and by whether it is still open."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "open (any)"), *((state.value, state.value) for state in OpState)]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        if self.value() is None:
            return queryset
        return queryset.filter(state__in=OPEN_VALUES if self.value() == "open" else [self.value()])


class KindFilter(admin.SimpleListFilter):
    """By kind, out of those that are declared: no look into the table is needed to list them."""

    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind.name, kind.name) for kind in all_kinds()]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        return queryset.filter(kind=self.value()) if self.value() else queryset


@admin.register(Operation)
class OperationAdmin(RecordAdmin):
    """Pieces of work on resources, and where they stand."""

    permission = "operations.operation.list"
    list_display = ("kind", "state_shown", "resource", "host", "by", "created", "took")
    list_filter = (OpenFilter, KindFilter)
    search_fields = ("=host_name", "=user_name", "=request_id", "=kind")
    search_ids = ("pk", "resource_id", "host_id", "project_id")
    search_help_text = "an id (operation, resource, host, project), or exactly: host name, user, request id, kind"
    references = {"resource_id": "instance", "host_id": "host", "project_id": "project"}
    facts = (
        ("Facts", ("resource", "project", "user_name", "created", "started", "took", "request")),
        (
            "Command",
            ("host", "step", "attempt", "resends", "generation", "due", "task", "queue", "tried_before", "id_shown"),
        ),
    )
    resource = reference("resource_id", "instance", "resource")
    host = reference("host_id", "host", "command host")
    project = reference("project_id", "project", "project")

    def headline(self, operation: Operation) -> SafeString:
        return format_html("{} {}", state_badge(operation.state), progress(operation))

    def is_live(self, operation: Operation) -> bool:
        return operation.state in OPEN_VALUES

    @admin.display(description="state")
    def state_shown(self, operation: Operation) -> SafeString:
        said = state_badge(operation.state)
        more = drawing.quiet(operation.error.get("code", "")) if operation.error else progress(operation)
        return format_html("{} {}", said, more) if more else said

    @admin.display(description="by")
    def by(self, operation: Operation) -> str:
        return operation.user_name

    @admin.display(description="accepted")
    def created(self, operation: Operation) -> SafeString:
        return drawing.ago(operation.created_at)

    @admin.display(description="first worked on")
    def started(self, operation: Operation) -> SafeString:
        return drawing.ago(operation.started_at, never="not yet")

    @admin.display(description="took")
    def took(self, operation: Operation) -> SafeString:
        if operation.finished_at is None:
            return drawing.quiet("still open")
        return drawing.quiet(drawing.duration((operation.finished_at - operation.created_at).total_seconds()))

    @admin.display(description="deadline")
    def due(self, operation: Operation) -> SafeString:
        return drawing.ago(operation.deadline)

    @admin.display(description="failed before on")
    def tried_before(self, operation: Operation) -> SafeString:
        return drawing.stack(references.link("host", uuid.UUID(host)) for host in operation.excluded_hosts)

    @admin.display(description="request")
    def request(self, operation: Operation) -> SafeString:
        return drawing.code(operation.request_id)

    @admin.display(description="id")
    def id_shown(self, operation: Operation) -> SafeString:
        return drawing.code(operation.pk)


@admin.register(OperationEvent)
class OperationEventAdmin(ReadOnlyAdmin):
    """Lines of timelines, newest first."""

    permission = "operations.operation.list"
    list_display = ("time", "operation_link", "source_shown", "name", "detail", "took")
    list_display_links = None
    list_select_related = ("operation",)
    list_filter = ()
    search_fields = ("=name", "=source")
    search_ids = ("operation_id",)
    search_help_text = "an operation's id, or exactly: event, source"

    @admin.display(description="at")
    def time(self, event: OperationEvent) -> str:
        return f"{event.at:%Y-%m-%d %H:%M:%S.%f}"[:-3]

    @admin.display(description="source")
    def source_shown(self, event: OperationEvent) -> SafeString:
        return format_html('<span class="cs-dot cs-src-{}"></span>{}', event.source, event.source)

    @admin.display(description="operation")
    def operation_link(self, event: OperationEvent) -> SafeString:
        page = reverse("admin:operations_operation_change", args=[event.operation_id])
        return format_html('<a href="{}">{} {}</a>', page, event.operation.kind, str(event.operation_id)[-6:])

    @admin.display(description="took")
    def took(self, event: OperationEvent) -> str:
        return "" if event.took_ms is None else drawing.duration(event.took_ms / 1000)


@admin.register(ClientToken)
class ClientTokenAdmin(ReadOnlyAdmin):
    """Idempotency keys of the last day."""

    permission = "operations.operation.list"
    list_display = ("token", "project", "count", "created_at")
    search_fields = ("=token",)
    search_ids = ("project_id",)
    references = {"project_id": "project"}
    project = reference("project_id", "project", "project")

    @admin.display(description="made")
    def count(self, token: ClientToken) -> str:
        return f"{len(token.resource_ids)} resource(s)"


@admin.register(Lease)
class LeaseAdmin(ReadOnlyAdmin):
    """Who does which periodic duty."""

    permission = "operations.queue.get"
    list_display = ("name", "state", "holder", "until")
    search_fields = ("name", "holder")
    search_ids = ()
    ordering = ("name",)

    @admin.display(description="state")
    def state(self, lease: Lease) -> SafeString:
        return drawing.badge("held", "good") if lease.until > clock.now() else drawing.badge("nobody does this", "bad")


@admin.register(Rejection)
class RejectionAdmin(ReadOnlyAdmin):
    """Reports that were refused: forged, replayed, or from a host that they do not concern."""

    permission = "operations.queue.get"
    list_display = ("at", "code", "host_name", "detail")
    search_fields = ("=code", "=host_name", "detail")
    search_ids = ()
