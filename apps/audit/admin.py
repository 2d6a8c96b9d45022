"""Admin page of the audit trail: only to look at, as everywhere."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.audit.models import Record
from apps.audit.states import Decision
from apps.common import clock, ids
from apps.common.admin import drawing, references
from apps.common.admin.lists import reference
from apps.common.admin.pages import RecordAdmin, add_link

# So many fields are named in the list; all of them are on the record's page.
_MOST_FIELDS = 3
_SPANS = {"1": "last hour", "24": "last 24 hours", "168": "last 7 days", "720": "last 30 days"}
_PERMISSION = "audit.record.list"
_CONTEXTS = ("compute", "network", "images", "identity", "quotas", "hosts", "placement", "http")


add_link("Audit trail", lambda row: f"{reverse('admin:audit_record_changelist')}?q={row.pk}", permission=_PERMISSION)


class WhenFilter(admin.SimpleListFilter):
    """By time: the key rises with it, so the rest of the table is not looked at."""

    title = "time"
    parameter_name = "hours"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(_SPANS.items())

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        if (hours := self.value()) not in _SPANS:
            return queryset
        return queryset.filter(pk__gte=ids.first_at(clock.now() - timedelta(hours=int(str(hours)))))


class ContextFilter(admin.SimpleListFilter):
    """By what the action is about: its beginning."""

    title = "about"
    parameter_name = "about"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in _CONTEXTS]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        return queryset.filter(action__startswith=f"{value}.") if (value := self.value()) else queryset


@admin.register(Record)
class AuditRecordAdmin(RecordAdmin):
    """Who did what to what, from where; what was refused, and why."""

    permission = _PERMISSION
    list_display = ("time", "decision_shown", "action", "resource", "user", "project", "address", "gist")
    list_filter = ("decision", WhenFilter, ContextFilter)
    search_fields = (
        "user_name__exact", "request_id__exact", "resource_id__exact", "address__exact", "code__exact", "action__startswith",
    )
    search_ids = ("pk", "user_id", "project_id", "resource_id")
    search_help_text = (
        "an id (record, user, project, resource), or exactly: user, request id, address, code; or how the action begins"
    )
    references = {"user_id": "user", "project_id": "project"}
    facts = (
        ("Facts", ("time", "action", "resource", "user", "worked_in", "project", "address_shown", "request", "id_shown")),
    )
    pictures = (("Refused", "refusal"), ("Changes", "changes_drawn"))
    project = reference("project_id", "project", "project")

    def headline(self, record: Record) -> SafeString:
        return self.decision_shown(record)

    @admin.display(description="at")
    def time(self, record: Record) -> str:
        return f"{record.at:%Y-%m-%d %H:%M:%S}"

    @admin.display(description="decision")
    def decision_shown(self, record: Record) -> SafeString:
        return drawing.badge(record.decision, "good" if record.decision == Decision.ALLOWED else "bad", title=record.reason)

    @admin.display(description="what")
    def resource(self, record: Record) -> SafeString:
        """With the name that it had then: no look into any table, and it stays when the thing is gone."""
        if not record.resource_type:
            return drawing.NOTHING
        found = ids.parse(record.resource_id)
        shown = references.link(record.resource_type, found, record.name) if found else record.name or record.resource_id
        return format_html("{} {}", drawing.quiet(record.resource_type.replace("_", " ")), shown)

    @admin.display(description="who")
    def user(self, record: Record) -> Any:
        known: dict[str, str] = getattr(record, "reference_names", {})
        if record.user_id is None or known.get("user_id") == "":
            return record.user_name or drawing.NOTHING
        return references.link("user", record.user_id, record.user_name)

    @admin.display(description="worked in")
    def worked_in(self, record: Record) -> SafeString:
        return references.link("project", record.actor_project_id)

    @admin.display(description="from")
    def address_shown(self, record: Record) -> str:
        return record.address

    @admin.display(description="request")
    def request(self, record: Record) -> SafeString:
        return format_html("{} {}", drawing.code(record.request_id), f"{record.method} {record.path}".strip())

    @admin.display(description="id")
    def id_shown(self, record: Record) -> SafeString:
        return drawing.code(record.pk)

    @admin.display(description="how")
    def gist(self, record: Record) -> SafeString:
        if record.decision == Decision.REFUSED:
            return drawing.quiet(record.code)
        names = list(record.changes)
        more = " …" if len(names) > _MOST_FIELDS else ""
        return drawing.quiet(", ".join(names[:_MOST_FIELDS]) + more)

    def refusal(self, record: Record) -> SafeString:
        if record.decision != Decision.REFUSED:
            return drawing.EMPTY
        return drawing.panel("bad", record.reason, drawing.code(record.code))

    def changes_drawn(self, record: Record) -> SafeString:
        if not record.changes:
            return drawing.EMPTY
        return drawing.table(
            ("field", "before", "", "after"),
            (
                (field, _value(before), drawing.quiet("→"), _value(after))
                for field, (before, after) in record.changes.items()
            ),
        )


def _value(value: Any) -> Any:
    if value is None or value == "":
        return drawing.NOTHING
    if isinstance(value, dict):
        return drawing.stack(f"{name}: {each}" for name, each in value.items()) or drawing.NOTHING
    if isinstance(value, list):
        return drawing.stack(value) or drawing.NOTHING
    return str(value)
