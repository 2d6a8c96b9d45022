"""Admin pages of aggregates."""

import uuid
from collections.abc import Collection, Mapping
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString

from apps.common.admin import access, drawing, pages, references
from apps.common.admin.buttons import Button, Creation
from apps.common.admin.inputs import Ids, Pairs
from apps.common.admin.pages import RecordAdmin
from apps.common.context import Actor
from apps.hosts.models import Aggregate, Host
from apps.hosts.services import aggregates

# So many hosts of one are listed on its page.
_MOST = 200


def _names(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    return dict(Aggregate.objects.filter(pk__in=ids).values_list("pk", "name"))


references.register("aggregate", model="hosts_aggregate", names=_names)


class AggregateForm(forms.Form):
    """What an aggregate is."""

    name = forms.CharField(max_length=255)
    metadata = Pairs(help_text="What its hosts have in common, a line name=value each; flavors may ask for it.")
    project_ids = Ids(label="Projects", help_text="Their ids, one per line. If there are any, its hosts are for these projects only.")


class HostForm(forms.Form):
    """One more host in it."""

    host = forms.ModelChoiceField(queryset=Host.objects.order_by("name"))


class WhichForm(forms.Form):
    """One of its hosts."""

    host = forms.UUIDField(widget=forms.TextInput, help_text="The host's id.")


def _create(actor: Actor, values: Mapping[str, Any]) -> Aggregate:
    return aggregates.create(actor=actor, **values)


def _update(actor: Actor, aggregate: Aggregate, values: Mapping[str, Any]) -> str:
    changed = aggregates.update(actor=actor, aggregate_id=aggregate.pk, **values)
    return f"The aggregate {changed} is changed."


def _add(actor: Actor, aggregate: Aggregate, values: Mapping[str, Any]) -> str:
    aggregates.add_host(actor=actor, aggregate_id=aggregate.pk, host_id=values["host"].pk)
    return f"{values['host']} is in the aggregate {aggregate}."


def _remove(actor: Actor, aggregate: Aggregate, values: Mapping[str, Any]) -> str:
    aggregates.remove_host(actor=actor, aggregate_id=aggregate.pk, host_id=values["host"])
    return f"The host is not in the aggregate {aggregate} any more."


def _delete(actor: Actor, aggregate: Aggregate, values: Mapping[str, Any]) -> str:
    aggregates.delete(actor=actor, aggregate_id=aggregate.pk)
    return f"The aggregate {aggregate} is deleted."


def _as_it_is(aggregate: Aggregate) -> dict[str, Any]:
    return {"name": aggregate.name, "metadata": aggregate.metadata, "project_ids": aggregate.project_ids}


@admin.register(Aggregate)
class AggregateAdmin(RecordAdmin):
    """Hosts that have something in common."""

    permission = "hosts.aggregate.list"
    list_display = ("name", "host_count", "metadata_shown", "for_whom")
    search_fields = ("name",)
    ordering = ("name",)
    facts = (("Facts", ("metadata_shown", "projects_shown", "host_count", "created", "id_shown")),)
    creation = Creation(permission="hosts.aggregate.create", form=AggregateForm, run=_create)
    buttons = (
        Button(
            name="add_host", label="Add a host", question="Add a host to {rows}", permission="hosts.aggregate.update", run=_add,
            form=HostForm, bulk=False, warning="What is said of the aggregate holds for the host from the next decision on.",
        ),
        Button(
            name="change", label="Change", question="Change {rows}", permission="hosts.aggregate.update", run=_update,
            form=AggregateForm, initial=_as_it_is, bulk=False, warning="It holds from the next decision on; what runs stays.",
        ),
        Button(
            name="remove_host", label="Take out", question="Take a host out of {rows}?", permission="hosts.aggregate.update",
            run=_remove, form=WhichForm, bulk=False, in_table=True, dangerous=True,
            warning="Where the aggregate is for some projects only, the host is open to all then.",
        ),
        Button(
            name="delete", label="Delete", permission="hosts.aggregate.delete", run=_delete, dangerous=True, gone=True,
            warning="Refused while hosts are in it.",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Aggregate]":
        found: QuerySet[Aggregate] = super().get_queryset(request).annotate(hosts_there=Count("members"))
        return found

    @admin.display(description="hosts")
    def host_count(self, aggregate: Aggregate) -> int:
        count: int = aggregate.hosts_there  # type: ignore[attr-defined]
        return count

    @admin.display(description="metadata")
    def metadata_shown(self, aggregate: Aggregate) -> SafeString:
        return drawing.tags(f"{name}={value}" for name, value in sorted(aggregate.metadata.items()))

    @admin.display(description="for")
    def for_whom(self, aggregate: Aggregate) -> str:
        count = len(aggregate.project_ids)
        return f"{count} project{'s' if count > 1 else ''} only" if count else "everybody"

    @admin.display(description="projects")
    def projects_shown(self, aggregate: Aggregate) -> SafeString:
        ids = [uuid.UUID(text) for text in aggregate.project_ids]
        names = references.names("project", set(ids))
        return drawing.words(references.link("project", each, names.get(each, "")) for each in ids) or drawing.quiet("everybody")

    @admin.display(description="made")
    def created(self, aggregate: Aggregate) -> SafeString:
        return drawing.ago(aggregate.created_at)

    @admin.display(description="id")
    def id_shown(self, aggregate: Aggregate) -> SafeString:
        return drawing.code(aggregate.pk)


def _hosts(request: HttpRequest, aggregate: Aggregate) -> SafeString:
    ids = aggregate.members.values_list("host_id", flat=True)
    rows = list(Host.objects.filter(pk__in=ids).order_by("name")[:_MOST])
    if not rows:
        return drawing.quiet("None.")
    may = access.may(request, "hosts.aggregate.update")
    page = reverse("admin:hosts_aggregate_do", args=[aggregate.pk, "remove_host"])
    return drawing.table(
        ("host", "zone", "state", ""),
        (
            (
                references.link("host", row.pk, row.name), row.zone, row.state if row.enabled else f"{row.state}, disabled",
                drawing.action("Take out…", f"{page}?host={row.pk}") if may else drawing.EMPTY,
            )
            for row in rows
        ),
    )


pages.add_section(Aggregate, "Hosts", _hosts, permission="hosts.host.list")
