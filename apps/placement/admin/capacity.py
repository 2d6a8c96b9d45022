"""Admin pages of capacity: what hosts have, what they are, and who has claimed it."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from apps.common.admin import drawing, references
from apps.common.admin.buttons import Button
from apps.common.admin.inputs import Lines
from apps.common.admin.lists import ReadOnlyAdmin, reference
from apps.common.admin.pages import RecordAdmin
from apps.common.context import Actor
from apps.common.ids import parse
from apps.placement.models import Allocation, Inventory, ResourceProvider
from apps.placement.names import DISK_GB, MEMORY_MB, VCPU
from apps.placement.services import inventories, traits
from apps.placement.services.inventories import MOST

# How people call the classes, their unit, and how many of the class's own unit that is.
_SHOWN = {VCPU: ("vCPU", "", 1), MEMORY_MB: ("memory", "GiB", 1024), DISK_GB: ("disk", "GiB", 1)}


class AdjustForm(forms.Form):
    """What an operator sets of an inventory."""

    allocation_ratio = forms.FloatField(
        min_value=0.01, max_value=64, help_text="How many times over it may be promised; 1 promises what is there."
    )
    reserved = forms.IntegerField(min_value=0, help_text="Kept back for the host itself, in the unit of the class.")
    min_unit = forms.IntegerField(required=False, min_value=1, max_value=MOST, help_text="The least that one consumer can have.")
    max_unit = forms.IntegerField(required=False, min_value=1, max_value=MOST, help_text="The most that one consumer can have.")
    step_size = forms.IntegerField(required=False, min_value=1, max_value=MOST, help_text="One consumer has multiples of it.")


class TraitsForm(forms.Form):
    """What a provider is, besides what its host says."""

    traits = Lines(help_text="Names, one per line; those of your own are made first. What the host reports stays.")


def _adjust(actor: Actor, inventory: Inventory, values: Mapping[str, Any]) -> str:
    changed = inventories.adjust(
        actor=actor,
        provider_id=inventory.provider_id,
        resource_class=inventory.resource_class,
        **values,
    )
    return f"The capacity of {changed} is now {drawing.number(changed.capacity)}."


def _initial(inventory: Inventory) -> dict[str, Any]:
    return {field: getattr(inventory, field) for field in AdjustForm.base_fields}


def _set_traits(actor: Actor, provider: ResourceProvider, values: Mapping[str, Any]) -> str:
    traits.set_of(actor=actor, provider_id=provider.pk, names=values["traits"])
    return f"The traits of {provider} are set."


def _own_traits(provider: ResourceProvider) -> dict[str, Any]:
    return {"traits": sorted(each.name for each in provider.traits.all() if not each.reported)}


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
    """Things with inventory: hosts, and what clients of the Placement API have made, below them or beside."""

    permission = "placement.provider.list"
    list_display = ("name", "parent", "capacity", "own_traits", "generation")
    list_select_related = ("parent",)
    search_fields = ("name", "=traits__name")
    search_ids = ("pk", "root_id", "aggregates__aggregate_id")
    ordering = ("name",)
    facts = (("Facts", ("host", "parent", "generation", "own_traits", "reported_traits", "aggregates")),)
    pictures = (("Capacity", "capacity"),)
    buttons = (
        Button(
            name="traits", label="Set traits", question="Set traits of {rows}", permission="placement.trait.update", run=_set_traits,
            form=TraitsForm, initial=_own_traits, bulk=False, warning="They hold from the next decision on; what runs stays.",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[ResourceProvider]":
        return super().get_queryset(request).prefetch_related("inventories", "traits", "aggregates")

    @admin.display(description="traits set here")
    def own_traits(self, provider: ResourceProvider) -> SafeString:
        return drawing.tags(sorted(each.name for each in provider.traits.all() if not each.reported))

    @admin.display(description="traits that it reports")
    def reported_traits(self, provider: ResourceProvider) -> SafeString:
        return drawing.tags(sorted(each.name for each in provider.traits.all() if each.reported))

    @admin.display(description="aggregates")
    def aggregates(self, provider: ResourceProvider) -> SafeString:
        ids = sorted(each.aggregate_id for each in provider.aggregates.all())
        names = references.names("aggregate", set(ids))
        return drawing.words(references.link("aggregate", each, names.get(each, "")) for each in ids)

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
    facts = (
        ("Facts", ("claimed", "host", "total", "reserved", "allocation_ratio", "capacity", "ceiling")),
        ("At once", ("min_unit", "max_unit", "step_size")),
    )
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
    """Who has claimed what. Made when an instance is placed, freed when it is gone; clients of the Placement API claim as well."""

    permission = "placement.provider.list"
    list_display = ("holder", "amount_shown", "provider", "project", "kind")
    list_display_links = None
    list_select_related = ("provider", "consumer")
    list_filter = ("resource_class",)
    search_fields = ("=provider__name", "=resource_class")
    search_ids = ("consumer_id", "provider_id", "consumer__project_id")
    references = {"consumer_id": "instance", "project_id": "project"}
    holder = reference("consumer_id", "instance", "consumer")
    project = reference("project_id", "project", "project")

    def prepare(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        """Projects are opaque here; those that are ours have a page."""
        for row in rows:
            row.project_id = parse(row.consumer.project_id)
        super().prepare(request, rows)

    @admin.display(description="type")
    def kind(self, row: Allocation) -> str:
        return row.consumer.type

    @admin.display(description="amount")
    def amount_shown(self, row: Allocation) -> str:
        return f"{drawing.number(row.amount)} {row.resource_class}"
