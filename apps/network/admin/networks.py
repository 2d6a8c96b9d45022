"""Admin pages of networks."""

import uuid
from collections.abc import Collection, Mapping
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils.safestring import SafeString

from apps.common.admin import drawing, references
from apps.common.admin.buttons import Button, Creation
from apps.common.admin.lists import reference
from apps.common.admin.pages import RecordAdmin
from apps.common.context import Actor
from apps.identity.admin.forms import ProjectChoice
from apps.network.admin.subnets import table_of
from apps.network.admin.working import working_in
from apps.network.models import Network, PhysicalNetwork, Port
from apps.network.services import networks, subnets
from apps.network.states import NetworkKind

_KINDS = [("", "of the first pool that has a segment"), *((kind.value, kind.value) for kind in NetworkKind)]


def _names(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    return dict(Network.objects.filter(pk__in=ids).values_list("pk", "name"))


references.register("network", model="network_network", names=_names)


class NewNetworkForm(forms.Form):
    """A network of a project, or the operators' own."""

    name = forms.CharField(max_length=64)
    project = ProjectChoice(required=False, help_text="Empty: the operators' own, shared or external.")
    whole = forms.BooleanField(
        required=False, label="With subnets and router", help_text="Works at once; the fields below `range` are left as they are."
    )
    cidr = forms.CharField(max_length=49, required=False, label="Range", help_text="Of a first subnet, such as 10.7.0.0/24.")
    kind = forms.ChoiceField(choices=_KINDS, required=False)
    physical_network = forms.ModelChoiceField(
        queryset=PhysicalNetwork.objects.order_by("name"), to_field_name="name", required=False, label="Wire", help_text="For vlan and flat."
    )
    segment = forms.IntegerField(min_value=1, required=False, help_text="VLAN id or VNI; empty: one of a pool.")
    shared = forms.BooleanField(required=False, help_text="Every project may plug in.")
    external = forms.BooleanField(required=False, help_text="A way out for routers.")
    is_default = forms.BooleanField(
        required=False, label="Default", help_text="What instances get that name none; of external ones: every router's way out."
    )


class NetworkForm(forms.Form):
    """What may be changed."""

    name = forms.CharField(max_length=64)
    mtu = forms.IntegerField(label="MTU")
    dns_domain = forms.CharField(max_length=128, required=False, label="DNS domain")
    shared = forms.BooleanField(required=False)
    external = forms.BooleanField(required=False)
    is_default = forms.BooleanField(required=False, label="Default")
    port_security = forms.BooleanField(required=False, help_text="What new ports get.")


class SubnetForm(forms.Form):
    """One more range."""

    cidr = forms.CharField(max_length=49, label="Range")
    name = forms.CharField(max_length=64, required=False)
    gateway = forms.CharField(max_length=45, required=False, help_text="Empty: the first address; `none`: none.")


def _create(actor: Actor, values: Mapping[str, Any]) -> Network:
    project = values["project"]
    actor = working_in(actor, project.pk if project else None)
    if values["whole"]:
        made, _, _ = networks.create_whole(actor=actor, name=values["name"], cidr=values["cidr"], is_default=values["is_default"])
        return made
    wire = values["physical_network"]
    return networks.create(
        actor=actor, physical_network=wire.name if wire else "",
        **{name: values[name] for name in ("name", "cidr", "kind", "segment", "shared", "external", "is_default")},
    )


def _change(actor: Actor, network: Network, values: Mapping[str, Any]) -> str:
    changed = networks.update(actor=working_in(actor, network.project_id), network_id=network.pk, **values)
    return f"The network {changed} is changed."


def _delete(actor: Actor, network: Network, values: Mapping[str, Any]) -> str:
    networks.delete(actor=working_in(actor, network.project_id), network_id=network.pk)
    return f"The network {network} is deleted."


def _add_subnet(actor: Actor, network: Network, values: Mapping[str, Any]) -> str:
    gateway = None if values["gateway"] == "none" else values["gateway"]
    made = subnets.create(
        actor=working_in(actor, network.project_id), network_id=network.pk, cidr=values["cidr"], name=values["name"], gateway=gateway
    )
    return f"The subnet {made} is there."


def _initial(network: Network) -> dict[str, Any]:
    return {name: getattr(network, name) for name in NetworkForm.base_fields}


@admin.register(Network)
class NetworkAdmin(RecordAdmin):
    """Layer-2 domains of projects, and those of operators that are for all."""

    permission = "network.network.list"
    list_display = ("name", "project", "kind", "segment_shown", "cidrs", "mtu", "flags", "router", "ports_used")
    list_filter = ("kind", "external", "shared", "is_default")
    list_select_related = ("physical_network", "router")
    search_fields = ("name", "subnets__cidr")
    search_ids = ("pk", "project_id")
    references = {"project_id": "project"}
    project = reference("project_id", "project", "project")
    facts = (
        (
            "Facts", ("project", "kind", "segment_shown", "mtu", "flags", "router_link", "ports_used", "dns_domain", "port_security", "created", "id_shown"),
        ),
    )
    pictures = (("Subnets", "subnets_shown"),)
    creation = Creation(
        permission="network.network.create", form=NewNetworkForm, run=_create, warning="Guests can use it when it has a subnet."
    )
    buttons = (
        Button(
            name="change", label="Change", permission="network.network.update", run=_change, form=NetworkForm, initial=_initial, bulk=False,
            warning="Kind, wire and segment stay. Guests learn a new MTU when they next ask for their addresses.",
        ),
        Button(
            name="add_subnet", label="Add a subnet", question="Add a subnet to {rows}", permission="network.subnet.create", run=_add_subnet,
            form=SubnetForm, bulk=False, warning="Ports that there are keep their addresses; new ones get one of each family.",
        ),
        Button(
            name="delete", label="Delete", permission="network.network.delete", run=_delete, dangerous=True, gone=True,
            warning="The network and its subnets are deleted. Refused while ports, routers or floating IPs use it.",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Network]":
        ports = Port.objects.filter(network=OuterRef("pk")).order_by().values("network").annotate(count=Count("pk")).values("count")
        rows = super().get_queryset(request).select_related("physical_network", "router").prefetch_related("subnets")
        counted: QuerySet[Network] = rows.annotate(port_count=Coalesce(Subquery(ports, output_field=IntegerField()), 0))
        return counted

    @admin.display(description="segment")
    def segment_shown(self, network: Network) -> str:
        words = (network.physical_network, f"VLAN {network.segment}" if network.kind == "vlan" else network.segment)
        return " ".join(str(word) for word in words if word) or "–"

    @admin.display(description="ranges")
    def cidrs(self, network: Network) -> str:
        return ", ".join(subnet.cidr for subnet in network.subnets.all())

    @admin.display(description="is")
    def flags(self, network: Network) -> SafeString:
        told = (("shared", network.shared), ("external", network.external), ("default", network.is_default))
        return drawing.tags(word for word, holds in told if holds)

    @admin.display(description="router")
    def router_link(self, network: Network) -> SafeString:
        return references.link("router", network.router_id, network.router.name if network.router else None)

    @admin.display(description="ports")
    def ports_used(self, network: Network) -> int:
        count: int = network.port_count  # type: ignore[attr-defined]
        return count

    def subnets_shown(self, network: Network) -> SafeString:
        return table_of(network)

    @admin.display(description="made")
    def created(self, network: Network) -> SafeString:
        return drawing.ago(network.created_at)

    @admin.display(description="id")
    def id_shown(self, network: Network) -> SafeString:
        return drawing.code(network.pk)
