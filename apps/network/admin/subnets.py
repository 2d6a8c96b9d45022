"""Admin pages of subnets, with how full they are."""

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
from apps.common.admin.buttons import Button
from apps.common.admin.pages import RecordAdmin
from apps.common.context import Actor
from apps.network import ranges
from apps.network.admin.working import working_in
from apps.network.models import FixedIP, Network, Subnet
from apps.network.services import subnets


def _names(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    return dict(Subnet.objects.filter(pk__in=ids).values_list("pk", "cidr"))


references.register("subnet", model="network_subnet", names=_names)


def with_taken(rows: "QuerySet[Subnet]") -> "QuerySet[Subnet]":
    """Each with `taken`: how many of its addresses ports have."""
    taken = FixedIP.objects.filter(subnet=OuterRef("pk")).order_by().values("subnet").annotate(count=Count("pk")).values("count")
    counted: QuerySet[Subnet] = rows.annotate(taken=Coalesce(Subquery(taken, output_field=IntegerField()), 0))
    return counted


def bar(subnet: Subnet) -> SafeString:
    """How many addresses of a subnet (read `with_taken`) are taken, of those that its pools have."""
    taken: int = subnet.taken  # type: ignore[attr-defined]
    spans = (ranges.span(subnet.cidr, first, last) for first, last in subnet.pools)
    there = sum(last - first + 1 for first, last in spans)
    text = "" if subnet.family == 4 else f"{drawing.number(taken)} taken"
    return drawing.meter("", taken, there, text=text) if there else drawing.quiet(f"{drawing.number(taken)} taken")


def table_of(network: Network) -> SafeString:
    """The subnets of one network."""
    rows = with_taken(network.subnets.select_related("interface").order_by("family", "pk"))
    return drawing.table(
        ("range", "name", "gateway", "given from", "DHCP", "addresses taken"),
        (
            (references.link("subnet", row.pk, row.cidr), row.name, row.gateway or drawing.NOTHING, _pools(row), _served(row), bar(row))
            for row in rows
        ),
    )


def _pools(subnet: Subnet) -> str:
    return ", ".join(f"{first} – {last}" for first, last in subnet.pools)


def _served(subnet: Subnet) -> SafeString:
    return drawing.yes_no(subnet.dhcp, yes=subnet.ipv6_mode or "yes")


class SubnetForm(forms.Form):
    """What may be changed; lists are separated by commas."""

    name = forms.CharField(max_length=64, required=False)
    gateway = forms.CharField(max_length=45, required=False, help_text="Empty: none. Stays while a router has it.")
    pools = forms.CharField(required=False, label="Given from", help_text="Ranges FIRST-LAST, separated by commas.")
    dns = forms.CharField(required=False, label="DNS", help_text="Addresses, separated by commas; empty: guests ask their host.")
    dhcp = forms.BooleanField(required=False, label="DHCP")


def _initial(subnet: Subnet) -> dict[str, Any]:
    pools = ", ".join("-".join(pool) for pool in subnet.pools)
    return {"name": subnet.name, "gateway": subnet.gateway, "pools": pools, "dns": ", ".join(subnet.dns), "dhcp": subnet.dhcp}


def _change(actor: Actor, subnet: Subnet, values: Mapping[str, Any]) -> str:
    wanted: dict[str, Any] = {
        "name": values["name"], "gateway": values["gateway"] or None, "dns": _words(values["dns"]), "dhcp": values["dhcp"],
    }
    pools = [[end.strip() for end in span.split("-")] for span in _words(values["pools"])]
    if pools != subnet.pools:
        wanted["pools"] = pools
    subnets.update(actor=working_in(actor, subnet.project_id), subnet_id=subnet.pk, **wanted)
    return f"The subnet {subnet} is changed."


def _delete(actor: Actor, subnet: Subnet, values: Mapping[str, Any]) -> str:
    subnets.delete(actor=working_in(actor, subnet.project_id), subnet_id=subnet.pk)
    return f"The subnet {subnet} is deleted."


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


@admin.register(Subnet)
class SubnetAdmin(RecordAdmin):
    """Address ranges of networks."""

    permission = "network.subnet.list"
    list_display = ("cidr", "network", "name", "gateway", "given_from", "served", "taken_shown")
    list_filter = ("family", "dhcp")
    list_select_related = ("network",)
    search_fields = ("cidr", "name", "network__name")
    search_ids = ("pk", "network_id", "project_id")
    facts = (
        ("Facts", ("network_link", "gateway", "router", "given_from", "dns_shown", "routes_shown", "served", "taken_shown", "id_shown")),
    )
    buttons = (
        Button(
            name="change", label="Change", permission="network.subnet.update", run=_change, form=SubnetForm, initial=_initial, bulk=False,
            warning="The range stays, and addresses that are in use stay, also outside of new pools.",
        ),
        Button(
            name="delete", label="Delete", permission="network.subnet.delete", run=_delete, dangerous=True, gone=True,
            warning="Refused while addresses of it are taken or a router serves it.",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Subnet]":
        return with_taken(super().get_queryset(request).select_related("network"))

    @admin.display(description="network")
    def network_link(self, subnet: Subnet) -> SafeString:
        return references.link("network", subnet.network_id, subnet.network.name)

    @admin.display(description="router")
    def router(self, subnet: Subnet) -> SafeString:
        interface = getattr(subnet, "interface", None)
        return references.link("router", interface.router_id if interface else None)

    @admin.display(description="given from")
    def given_from(self, subnet: Subnet) -> str:
        return _pools(subnet)

    @admin.display(description="DHCP")
    def served(self, subnet: Subnet) -> SafeString:
        return _served(subnet)

    @admin.display(description="DNS")
    def dns_shown(self, subnet: Subnet) -> str:
        return ", ".join(subnet.dns) or "the guest's host"

    @admin.display(description="routes")
    def routes_shown(self, subnet: Subnet) -> str:
        return ", ".join(f"{route['destination']} via {route['nexthop']}" for route in subnet.routes)

    @admin.display(description="addresses taken")
    def taken_shown(self, subnet: Subnet) -> SafeString:
        return bar(subnet)

    @admin.display(description="id")
    def id_shown(self, subnet: Subnet) -> SafeString:
        return drawing.code(subnet.pk)
