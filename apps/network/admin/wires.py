"""Admin pages of wires and pools of segments."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from apps.common.admin import drawing
from apps.common.admin.buttons import Button, Creation
from apps.common.admin.pages import RecordAdmin
from apps.common.context import Actor
from apps.network.models import PhysicalNetwork, SegmentPool
from apps.network.selectors.networks import with_usage
from apps.network.services import pools
from apps.network.states import NetworkKind

_KINDS = [(kind.value, kind.value) for kind in (NetworkKind.VLAN, NetworkKind.VXLAN)]


class WireForm(forms.Form):
    """A wire."""

    name = forms.CharField(max_length=64, help_text="As agents' configurations call it.")
    mtu = forms.IntegerField(initial=1500, label="MTU")


class PoolForm(forms.Form):
    """Segments that networks may take."""

    kind = forms.ChoiceField(choices=_KINDS)
    physical_network = forms.ModelChoiceField(
        queryset=PhysicalNetwork.objects.order_by("name"), required=False, label="Wire", help_text="For VLAN ids."
    )
    first = forms.IntegerField(min_value=1)
    last = forms.IntegerField(min_value=1)
    position = forms.IntegerField(initial=100, min_value=0, help_text="Tenants' networks take from the lowest first.")
    for_tenants = forms.BooleanField(required=False, initial=True, help_text="Off: only for operators who name a segment.")


def _add_wire(actor: Actor, values: Mapping[str, Any]) -> PhysicalNetwork:
    return pools.add_wire(actor=actor, name=values["name"], mtu=values["mtu"])


def _add_pool(actor: Actor, values: Mapping[str, Any]) -> SegmentPool:
    wire = values["physical_network"]
    return pools.add(actor=actor, **{**values, "physical_network": wire.name if wire else ""})


def _remove_wire(actor: Actor, wire: PhysicalNetwork, values: Mapping[str, Any]) -> str:
    pools.remove_wire(actor=actor, wire_id=wire.pk)
    return f"The wire {wire} is taken away."


def _remove_pool(actor: Actor, pool: SegmentPool, values: Mapping[str, Any]) -> str:
    pools.remove(actor=actor, pool_id=pool.pk)
    return f"The pool {pool} is taken away."


@admin.register(PhysicalNetwork)
class PhysicalNetworkAdmin(RecordAdmin):
    """Wires that hosts are plugged into."""

    permission = "network.pool.list"
    list_display = ("name", "mtu", "network_count")
    search_fields = ("name",)
    ordering = ("name",)
    facts = (("Facts", ("mtu", "network_count", "created", "id_shown")),)
    creation = Creation(
        permission="network.pool.create", form=WireForm, run=_add_wire, warning="Hosts use it whose agents are configured with this name."
    )
    buttons = (
        Button(
            name="delete", label="Take away", permission="network.pool.delete", run=_remove_wire, dangerous=True, gone=True,
            warning="Refused while networks or pools are on it.",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[PhysicalNetwork]":
        counted: QuerySet[PhysicalNetwork] = super().get_queryset(request).annotate(networks_there=Count("networks"))
        return counted

    @admin.display(description="networks")
    def network_count(self, wire: PhysicalNetwork) -> int:
        count: int = wire.networks_there  # type: ignore[attr-defined]
        return count

    @admin.display(description="made")
    def created(self, wire: PhysicalNetwork) -> SafeString:
        return drawing.ago(wire.created_at)

    @admin.display(description="id")
    def id_shown(self, wire: PhysicalNetwork) -> SafeString:
        return drawing.code(wire.pk)


@admin.register(SegmentPool)
class SegmentPoolAdmin(RecordAdmin):
    """VLAN ids and VNIs that networks take."""

    permission = "network.pool.list"
    list_display = ("pool", "physical_network", "used_shown", "position", "for_tenants")
    list_filter = ("kind", "for_tenants")
    list_select_related = ("physical_network",)
    search_fields = ("physical_network__name", "=kind")
    ordering = ("position", "pk")
    facts = (("Facts", ("kind", "physical_network", "used_shown", "position", "for_tenants", "id_shown")),)
    creation = Creation(
        permission="network.pool.create", form=PoolForm, run=_add_pool, warning="What carries VLANs between hosts must carry these."
    )
    buttons = (
        Button(
            name="delete", label="Take away", permission="network.pool.delete", run=_remove_pool, dangerous=True, gone=True,
            warning="Refused while networks have segments of it.",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[SegmentPool]":
        return with_usage(super().get_queryset(request).select_related("physical_network"))

    @admin.display(description="pool")
    def pool(self, row: SegmentPool) -> str:
        return str(row)

    @admin.display(description="taken")
    def used_shown(self, row: SegmentPool) -> SafeString:
        used: int = row.used  # type: ignore[attr-defined]
        return drawing.meter("", used, row.last - row.first + 1)

    @admin.display(description="id")
    def id_shown(self, row: SegmentPool) -> SafeString:
        return drawing.code(row.pk)
