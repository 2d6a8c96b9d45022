"""The host's list and page, with what upper contexts have on it: capacity, instances, open operations."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.common.admin import drawing, references
from apps.common.admin.pages import add_section
from apps.common.context import SYSTEM
from apps.compute import selectors as compute
from apps.compute.admin.instances import state_badge
from apps.hosts.admin.hosts import HostAdmin
from apps.hosts.models import Host
from apps.operations import selectors as operations
from apps.operations.admin import progress
from apps.operations.admin import state_badge as operation_badge
from apps.operations.states import OPEN_VALUES
from apps.placement import selectors as placement
from apps.placement.admin import meter, meters

_MOST = 50


class HostPage(HostAdmin):
    """HostAdmin with bars of capacity in its list."""

    list_display = (*HostAdmin.list_display, "capacity")

    def prepare(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        super().prepare(request, rows)
        wanted: dict[UUID, list[SafeString]] = {row.pk: [] for row in rows}
        for provider_id, name, capacity, used in sorted(placement.free(), key=lambda each: each[1]):
            if provider_id in wanted:
                wanted[provider_id].append(meter(name, used, capacity))
        for row in rows:
            row.meters = wanted[row.pk]

    def is_live(self, host: Host) -> bool:
        return bool(_open(host).exists())

    @admin.display(description="claimed / capacity")
    def capacity(self, host: Any) -> SafeString:
        return drawing.stack(host.meters) or drawing.NOTHING


def register() -> None:
    """Called once by dashboard/admin.py."""
    admin.site.register(Host, HostPage)
    add_section(Host, "The hypervisor does not answer its agent", _trouble, place=5)
    add_section(Host, "Capacity", _capacity, place=10, permission="placement.provider.list")
    add_section(Host, "Open operations", _operations, place=12, permission="operations.operation.list")
    add_section(Host, "Instances", _instances, place=15, permission="compute.instance.list")


def _trouble(request: HttpRequest, host: Host) -> SafeString:
    if host.hypervisor_ok:
        return drawing.EMPTY
    return drawing.panel(
        "bad", host.hypervisor_error or "No reason was given.", "No new instance is placed here until it does."
    )


def _capacity(request: HttpRequest, host: Host) -> SafeString:
    rows = placement.inventories(host.pk)
    if not rows:
        return drawing.quiet("It has not yet said what it has.")
    pages = reverse("admin:placement_inventory_changelist") + f"?q={host.pk}"
    return format_html(
        '<div class="cs-meters">{}</div><p><a href="{}">Adjust ratios and reserves</a></p>', meters(rows), pages
    )


def _open(host: Host) -> Any:
    return (
        operations.operations(actor=SYSTEM, all_projects=True)
        .filter(host_id=host.pk, state__in=OPEN_VALUES)
        .order_by("-pk")
    )


def _operations(request: HttpRequest, host: Host) -> SafeString:
    rows = list(_open(host)[: _MOST + 1])
    if not rows:
        return drawing.quiet("None.")
    names = references.names("instance", {row.resource_id for row in rows})
    table = drawing.table(
        ("operation", "state", "progress", "resource"),
        (
            (
                references.link("operation", row.pk, row.kind),
                operation_badge(row.state),
                progress(row),
                references.link("instance", row.resource_id, names.get(row.resource_id, "")),
            )
            for row in rows[:_MOST]
        ),
    )
    return _with_rest(
        table, len(rows) > _MOST, f"{reverse('admin:operations_operation_changelist')}?state=open&q={host.pk}"
    )


def _instances(request: HttpRequest, host: Host) -> SafeString:
    rows = list(compute.instances(actor=SYSTEM, all_projects=True).filter(host_id=host.pk).order_by("-pk")[: _MOST + 1])
    projects = references.names("project", {row.project_id for row in rows})
    table = drawing.table(
        ("instance", "state", "project", "addresses", "size", "made"),
        (
            (
                references.link("instance", row.pk, row.name),
                state_badge(row.state),
                references.link("project", row.project_id, projects.get(row.project_id, "")),
                ", ".join(address["address"] for address in row.addresses),
                f"{row.vcpus} vCPU, {drawing.number(row.memory_mb)} MiB",
                drawing.ago(row.created_at),
            )
            for row in rows[:_MOST]
        ),
    )
    return _with_rest(table, len(rows) > _MOST, f"{reverse('admin:compute_instance_changelist')}?q={host.pk}")


def _with_rest(table: SafeString, more: bool, address: str) -> SafeString:
    return format_html('{}<p><a href="{}">All of them</a></p>', table, address) if more else table
