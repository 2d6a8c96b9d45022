"""Admin pages of networks, subnets, ports and addresses."""

import dataclasses
import ipaddress
import uuid
from collections.abc import Collection, Mapping
from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from apps.common.admin import drawing, references
from apps.common.admin.buttons import Button
from apps.common.admin.lists import ReadOnlyAdmin, reference
from apps.common.admin.pages import RecordAdmin
from apps.common.context import Actor
from apps.network.models import FixedIP, Network, Port, Subnet
from apps.network.services import networks


def _names(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    return dict(Network.objects.filter(pk__in=ids).values_list("pk", "name"))


references.register("network", model="network_network", names=_names)


def _delete(actor: Actor, network: Network, values: Mapping[str, Any]) -> str:
    networks.delete(actor=dataclasses.replace(actor, project_id=network.project_id), network_id=network.pk)
    return f"The network {network} is deleted."


@admin.register(Network)
class NetworkAdmin(RecordAdmin):
    """Layer-2 domains of projects."""

    permission = "network.network.list"
    list_display = ("name", "project", "kind", "cidrs", "segment", "mtu", "is_default", "ports_used")
    list_filter = ("is_default",)
    search_fields = ("name", "subnets__cidr")
    search_ids = ("pk", "project_id")
    references = {"project_id": "project"}
    project = reference("project_id", "project", "project")
    facts = (
        ("Facts", ("project", "kind", "cidrs", "segment", "mtu", "is_default", "ports_used", "created", "id_shown")),
    )
    buttons = (
        Button(
            name="delete",
            label="Delete",
            permission="network.network.delete",
            run=_delete,
            dangerous=True,
            gone=True,
            warning="The network and its subnets are deleted. Refused while an instance has a port in it.",
        ),
    )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Network]":
        rows = super().get_queryset(request).prefetch_related("subnets")
        counted: QuerySet[Network] = rows.annotate(port_count=Count("ports", distinct=True))
        return counted

    @admin.display(description="ranges")
    def cidrs(self, network: Network) -> str:
        return ", ".join(subnet.cidr for subnet in network.subnets.all())

    @admin.display(description="ports in use")
    def ports_used(self, network: Network) -> int:
        count: int = network.port_count  # type: ignore[attr-defined]
        return count

    @admin.display(description="made")
    def created(self, network: Network) -> SafeString:
        return drawing.ago(network.created_at)

    @admin.display(description="id")
    def id_shown(self, network: Network) -> SafeString:
        return drawing.code(network.pk)


@admin.register(Subnet)
class SubnetAdmin(ReadOnlyAdmin):
    """IPv4 ranges."""

    permission = "network.network.list"
    list_display = ("cidr", "network", "gateway", "pool", "dns", "taken")
    list_select_related = ("network",)
    search_fields = ("cidr", "network__name")
    search_ids = ("pk", "network_id")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Subnet]":
        counted: QuerySet[Subnet] = super().get_queryset(request).annotate(address_count=Count("fixed_ips"))
        return counted

    @admin.display(description="given from")
    def pool(self, subnet: Subnet) -> str:
        return f"{subnet.pool_start} – {subnet.pool_end}"

    @admin.display(description="addresses taken")
    def taken(self, subnet: Subnet) -> SafeString:
        first, last = (int(ipaddress.ip_address(text)) for text in (subnet.pool_start, subnet.pool_end))
        taken: int = subnet.address_count  # type: ignore[attr-defined]
        return drawing.meter("", taken, last - first + 1)


@admin.register(Port)
class PortAdmin(ReadOnlyAdmin):
    """Network cards of instances."""

    permission = "network.network.list"
    list_display = ("mac", "device", "addresses", "network", "project")
    list_select_related = ("network",)
    search_fields = ("=mac", "=fixed_ips__address")
    search_ids = ("pk", "device_id", "network_id", "project_id")
    search_help_text = "an id, a MAC or an address"
    references = {"device_id": "instance", "project_id": "project"}
    device = reference("device_id", "instance", "instance")
    project = reference("project_id", "project", "project")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Port]":
        return super().get_queryset(request).prefetch_related("fixed_ips")

    @admin.display(description="addresses")
    def addresses(self, port: Port) -> str:
        return ", ".join(str(ip.address) for ip in port.fixed_ips.all())


@admin.register(FixedIP)
class FixedIPAdmin(ReadOnlyAdmin):
    """Addresses that are taken."""

    permission = "network.network.list"
    list_display = ("address", "device", "mac", "subnet")
    list_select_related = ("subnet", "port")
    search_fields = ("=address", "=port__mac")
    search_ids = ("port_id", "port__device_id", "subnet_id")

    def prepare(self, request: HttpRequest, rows: Any) -> None:
        super().prepare(request, rows)
        names = references.names("instance", {row.port.device_id for row in rows})
        for row in rows:
            row.reference_names = {"device": names.get(row.port.device_id, "")}

    @admin.display(description="instance")
    def device(self, ip: FixedIP) -> SafeString:
        return references.link("instance", ip.port.device_id, getattr(ip, "reference_names", {}).get("device"))

    @admin.display(description="MAC")
    def mac(self, ip: FixedIP) -> str:
        return ip.port.mac
