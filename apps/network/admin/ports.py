"""Admin pages of ports and their addresses."""

import uuid
from collections.abc import Collection, Mapping
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils.safestring import SafeString

from apps.common.admin import access, drawing, references
from apps.common.admin.buttons import Button
from apps.common.admin.lists import ReadOnlyAdmin, reference
from apps.common.admin.pages import RecordAdmin
from apps.common.context import Actor
from apps.network.admin import talk
from apps.network.admin.working import working_in
from apps.network.models import FixedIP, Port
from apps.network.selectors import trace
from apps.network.services import ports
from apps.network.states import DeviceKind


def _names(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    return {pk: name or mac for pk, name, mac in Port.objects.filter(pk__in=ids).values_list("pk", "name", "mac")}


references.register("port", model="network_port", names=_names)


def _delete(actor: Actor, port: Port, values: Mapping[str, Any]) -> str:
    ports.delete(actor=working_in(actor, port.project_id), port_id=port.pk)
    return f"The port {port} is deleted."


def _is_free(port: Port) -> bool:
    return port.device_kind == DeviceKind.NONE


@admin.register(Port)
class PortAdmin(RecordAdmin):
    """Plugs in networks: cards of instances, and what stands for floating IPs and hosts' ways out."""

    permission = "network.port.list"
    list_display = ("mac", "name", "device", "addresses", "network", "host", "project", "guarded")
    list_filter = ("device_kind", "port_security", "admin_up")
    list_select_related = ("network",)
    search_fields = ("=mac", "=name", "=fixed_ips__address")
    search_ids = ("pk", "device_id", "network_id", "project_id", "host_id")
    search_help_text = "an id, a MAC, a name or an address"
    references = {"device_id": "instance", "project_id": "project", "host_id": "host"}
    instance = reference("device_id", "instance", "instance")
    project = reference("project_id", "project", "project")
    host = reference("host_id", "host", "host")
    facts = (
        ("Facts", ("name", "device", "network_link", "addresses", "project", "host", "guarded", "groups", "pairs_shown", "admin_up", "dns_name", "created", "id_shown")),
    )
    buttons = (
        Button(
            name="delete", label="Delete", permission="network.port.delete", run=_delete, offered=_is_free, dangerous=True, gone=True,
            warning="Its addresses rest a while before others get them. Refused while an instance has it: detach it there.",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Port]":
        return super().get_queryset(request).select_related("network").prefetch_related("fixed_ips")

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.talk_view)
        return [path("<uuid:object_id>/talk/", view, name="network_port_talk"), *super().get_urls()]

    def talk_view(self, request: HttpRequest, object_id: uuid.UUID) -> HttpResponse:
        """Can it talk to another port, or to an address, and if not: why?"""
        port = self._found(request, str(object_id))
        if port is None:
            return self._missing(request, str(object_id))
        return talk.answer(request, port, {**self.context(request), "page": self.page_of(port), "original": port})

    def links(self, request: HttpRequest, port: Port) -> list[tuple[str, str]]:
        if not access.may(request, trace.PERMISSION):
            return []
        return [("Can it talk to …?", reverse("admin:network_port_talk", args=[port.pk]))]

    @admin.display(description="held by")
    def device(self, port: Port) -> SafeString:
        if port.device_kind == DeviceKind.INSTANCE:
            return self.instance(port)
        return drawing.quiet(port.device_kind.replace("_", " ") or "nothing")

    @admin.display(description="addresses")
    def addresses(self, port: Port) -> str:
        return ", ".join(str(ip.address) for ip in port.fixed_ips.all())

    @admin.display(description="security")
    def guarded(self, port: Port) -> SafeString:
        return drawing.badge("on", "good") if port.port_security else drawing.badge("off", "warn", title="Nothing is filtered.")

    @admin.display(description="network")
    def network_link(self, port: Port) -> SafeString:
        return references.link("network", port.network_id, port.network.name)

    @admin.display(description="security groups")
    def groups(self, port: Port) -> SafeString:
        found = port.memberships.select_related("group").order_by("pk")
        return drawing.words(references.link("security_group", each.group_id, each.group.name) for each in found)

    @admin.display(description="may also use")
    def pairs_shown(self, port: Port) -> str:
        return ", ".join(" ".join(filter(None, (pair["cidr"], pair.get("mac", "")))) for pair in port.pairs)

    @admin.display(description="made")
    def created(self, port: Port) -> SafeString:
        return drawing.ago(port.created_at)

    @admin.display(description="id")
    def id_shown(self, port: Port) -> SafeString:
        return drawing.code(port.pk)


@admin.register(FixedIP)
class FixedIPAdmin(ReadOnlyAdmin):
    """Addresses that are taken."""

    permission = "network.port.list"
    list_display = ("address", "port_link", "subnet")
    list_select_related = ("subnet", "port")
    search_fields = ("=address", "=port__mac")
    search_ids = ("port_id", "port__device_id", "subnet_id")

    @admin.display(description="port")
    def port_link(self, ip: FixedIP) -> SafeString:
        return references.link("port", ip.port_id, ip.port.name or ip.port.mac)
