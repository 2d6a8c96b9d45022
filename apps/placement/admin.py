"""Admin pages of capacity: what hosts have, and who has claimed it. Operators set ratios and reserves, nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from apps.common.admin import drawing, references
from apps.common.admin.buttons import Button
from apps.common.admin.lists import ReadOnlyAdmin, reference
from apps.common.admin.pages import RecordAdmin
from apps.common.context import Actor
from apps.placement.models import Allocation, Inventory, ResourceProvider
from apps.placement.names import DISK_GB, MEMORY_MB, VCPU
from apps.placement.services import inventories

# How people call the classes, their unit, and how many of the class's own unit that is.
_SHOWN = {VCPU: ("vCPU", "", 1), MEMORY_MB: ("memory", "GiB", 1024), DISK_GB: ("disk", "GiB", 1)}


class AdjustForm(forms.Form):
    """What an operator sets of an inventory."""

    allocation_ratio = forms.FloatField(
        min_value=0.01, max_value=64, help_text="How many times over it may be promised; 1 promises what is there."
    )
    reserved = forms.IntegerField(min_value=0, help_text="Kept back for the host itself, in the unit of the class.")


def _adjust(actor: Actor, inventory: Inventory, values: Mapping[str, Any]) -> str:
    changed = inventories.adjust(
        actor=actor,
        provider_id=inventory.provider_id,
        resource_class=inventory.resource_class,
        allocation_ratio=values["allocation_ratio"],
        reserved=values["reserved"],
    )
    return f"The capacity of {changed} is now {drawing.number(changed.capacity)}."


def _initial(inventory: Inventory) -> dict[str, Any]:
    return {"allocation_ratio": inventory.allocation_ratio, "reserved": inventory.reserved}


def meter(resource_class: str, used: int, capacity: int) -> SafeString:
    """A bar for one resource class: claimed / capacity, in units that people use."""
    name, unit, size = _SHOWN.get(resource_class, (resource_class, "", 1))
    text = f"{drawing.number(round(used / size))} / {drawing.number(round(capacity / size))} {unit}".rstrip()
    return drawing.meter(name, used, capacity, text=text)


def meters(rows: Sequence[Inventory]) -> SafeString:
    """A bar per resource class."""
    return drawing.stack(meter(row.resource_class, row.used, row.capacity) for row in rows)


@admin.register(ResourceProvider)
class ResourceProviderAdmin(RecordAdmin):
    """Things with inventory; today these are hosts."""

    permission = "placement.provider.list"
    list_display = ("name", "capacity", "generation")
    search_fields = ("name",)
    ordering = ("name",)
    facts = (("Facts", ("host", "generation")),)
    pictures = (("Capacity", "capacity"),)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[ResourceProvider]":
        return super().get_queryset(request).prefetch_related("inventories")

    @admin.display(description="claimed / capacity")
    def capacity(self, provider: ResourceProvider) -> SafeString:
        return meters(list(provider.inventories.all()))

    @admin.display(description="host")
    def host(self, provider: ResourceProvider) -> SafeString:
        return references.link("host", provider.pk)


@admin.register(Inventory)
class InventoryAdmin(RecordAdmin):
    """How much of a resource class a host has, how much of it may be claimed, and how much is."""

    permission = "placement.provider.list"
    list_display = ("inventory", "claimed", "total", "reserved", "allocation_ratio")
    list_select_related = ("provider",)
    list_filter = ("resource_class",)
    search_fields = ("provider__name", "=resource_class")
    search_ids = ("provider_id",)
    ordering = ("provider__name", "resource_class")
    facts = (("Facts", ("claimed", "host", "total", "reserved", "allocation_ratio", "capacity", "ceiling")),)
    buttons = (
        Button(
            name="adjust",
            label="Adjust",
            permission="placement.inventory.update",
            run=_adjust,
            form=AdjustForm,
            initial=_initial,
            bulk=False,
            warning="Capacity = (total - reserved) x ratio. What is claimed already stays, even if it is more.",
        ),
    )

    @admin.display(description="inventory")
    def inventory(self, row: Inventory) -> str:
        return str(row)

    @admin.display(description="claimed / capacity")
    def claimed(self, row: Inventory) -> SafeString:
        return meters([row])

    @admin.display(description="host")
    def host(self, row: Inventory) -> SafeString:
        return references.link("host", row.provider_id, row.provider.name)


@admin.register(Allocation)
class AllocationAdmin(ReadOnlyAdmin):
    """Who has claimed what. Made when an instance is placed, freed when it is gone."""

    permission = "placement.provider.list"
    list_display = ("consumer", "amount_shown", "provider", "project")
    list_display_links = None
    list_select_related = ("provider",)
    list_filter = ("resource_class",)
    search_fields = ("=provider__name", "=resource_class")
    search_ids = ("consumer_id", "provider_id", "project_id")
    references = {"consumer_id": "instance", "project_id": "project"}
    consumer = reference("consumer_id", "instance", "consumer")
    project = reference("project_id", "project", "project")

    @admin.display(description="amount")
    def amount_shown(self, row: Allocation) -> str:
        return f"{drawing.number(row.amount)} {row.resource_class}"
