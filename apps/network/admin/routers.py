"""Admin pages of routers and floating IPs."""

import uuid
from collections.abc import Collection, Mapping
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from apps.common.admin import drawing, references
from apps.common.admin.buttons import Button
from apps.common.admin.lists import reference
from apps.common.admin.pages import RecordAdmin
from apps.common.context import Actor
from apps.network.admin.working import working_in
from apps.network.models import FloatingIP, Router
from apps.network.services import floating, routers


def _names(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    return dict(Router.objects.filter(pk__in=ids).values_list("pk", "name"))


references.register("router", model="network_router", names=_names)


def _delete_router(actor: Actor, router: Router, values: Mapping[str, Any]) -> str:
    routers.delete(actor=working_in(actor, router.project_id), router_id=router.pk)
    return f"The router {router} is deleted."


def _release(actor: Actor, row: FloatingIP, values: Mapping[str, Any]) -> str:
    floating.disassociate(actor=working_in(actor, row.project_id), floating_ip_id=row.pk)
    return f"{row} stands for nothing now."


def _delete_floating(actor: Actor, row: FloatingIP, values: Mapping[str, Any]) -> str:
    floating.delete(actor=working_in(actor, row.project_id), floating_ip_id=row.pk)
    return f"{row} is given back."


def _stands(row: FloatingIP) -> bool:
    return row.fixed_ip_id is not None


@admin.register(Router)
class RouterAdmin(RecordAdmin):
    """What joins subnets of a project and leads out of them; every host routes for its own guests."""

    permission = "network.router.list"
    list_display = ("name", "project", "way_out", "snat", "ranges", "admin_up", "is_default")
    list_filter = ("snat", "admin_up", "is_default")
    list_select_related = ("external_network",)
    search_fields = ("name", "=interfaces__subnet__cidr")
    search_ids = ("pk", "project_id", "external_network_id")
    references = {"project_id": "project"}
    project = reference("project_id", "project", "project")
    facts = (("Facts", ("project", "way_out", "snat", "admin_up", "is_default", "created", "id_shown")),)
    pictures = (("Subnets", "subnets_shown"), ("Floating IPs", "floating_shown"))
    buttons = (
        Button(
            name="delete", label="Delete", permission="network.router.delete", run=_delete_router, dangerous=True, gone=True,
            warning="Refused while it serves subnets or floating IPs come through it.",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Router]":
        return super().get_queryset(request).select_related("external_network").prefetch_related("interfaces__subnet")

    @admin.display(description="way out")
    def way_out(self, router: Router) -> SafeString:
        outside = router.external_network
        return references.link("network", router.external_network_id, outside.name if outside else None)

    @admin.display(description="subnets")
    def ranges(self, router: Router) -> str:
        return ", ".join(each.subnet.cidr for each in router.interfaces.all())

    def subnets_shown(self, router: Router) -> SafeString:
        found = router.interfaces.select_related("subnet__network").order_by("pk")
        return drawing.table(
            ("range", "network", "the router's address"),
            (
                (
                    references.link("subnet", each.subnet_id, each.subnet.cidr),
                    references.link("network", each.subnet.network_id, each.subnet.network.name), each.subnet.gateway,
                )
                for each in found
            ),
        )

    def floating_shown(self, router: Router) -> SafeString:
        found = router.floating_ips.select_related("fixed_ip").order_by("pk")[:200]
        return drawing.table(
            ("address", "stands for"),
            (
                (references.link("floating_ip", each.pk, str(each.address)), each.fixed_ip.address if each.fixed_ip else drawing.NOTHING)
                for each in found
            ),
        )

    @admin.display(description="made")
    def created(self, router: Router) -> SafeString:
        return drawing.ago(router.created_at)

    @admin.display(description="id")
    def id_shown(self, router: Router) -> SafeString:
        return drawing.code(router.pk)


def _addresses(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    return {pk: str(address) for pk, address in FloatingIP.objects.filter(pk__in=ids).values_list("pk", "address")}


references.register("floating_ip", model="network_floatingip", names=_addresses)


@admin.register(FloatingIP)
class FloatingIPAdmin(RecordAdmin):
    """Addresses of external networks that stand for fixed ones."""

    permission = "network.floating_ip.list"
    list_display = ("address", "project", "network", "stands_for", "router", "description")
    list_select_related = ("network", "router", "fixed_ip")
    search_fields = ("=address", "=fixed_ip__address")
    search_ids = ("pk", "project_id", "network_id", "router_id", "fixed_ip__port_id")
    references = {"project_id": "project"}
    project = reference("project_id", "project", "project")
    facts = (("Facts", ("project", "network_link", "stands_for", "port_link", "router_link", "description", "created", "id_shown")),)
    buttons = (
        Button(
            name="release", label="Disassociate", permission="network.floating_ip.update", run=_release, offered=_stands,
            warning="It stays the project's and stands for nothing; connections through it end.",
        ),
        Button(
            name="delete", label="Give back", permission="network.floating_ip.delete", run=_delete_floating, dangerous=True, gone=True,
            warning="The project loses the address. Somebody else may get it after a while.",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[FloatingIP]":
        return super().get_queryset(request).select_related("network", "router", "fixed_ip")

    @admin.display(description="stands for")
    def stands_for(self, row: FloatingIP) -> Any:
        return row.fixed_ip.address if row.fixed_ip else drawing.NOTHING

    @admin.display(description="port")
    def port_link(self, row: FloatingIP) -> SafeString:
        return references.link("port", row.fixed_ip.port_id if row.fixed_ip else None)

    @admin.display(description="network")
    def network_link(self, row: FloatingIP) -> SafeString:
        return references.link("network", row.network_id, row.network.name)

    @admin.display(description="router")
    def router_link(self, row: FloatingIP) -> SafeString:
        return references.link("router", row.router_id, row.router.name if row.router else None)

    @admin.display(description="made")
    def created(self, row: FloatingIP) -> SafeString:
        return drawing.ago(row.created_at)

    @admin.display(description="id")
    def id_shown(self, row: FloatingIP) -> SafeString:
        return drawing.code(row.pk)
