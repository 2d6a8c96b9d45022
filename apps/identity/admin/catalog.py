"""Admin pages of services, endpoints and regions: what OpenStack clients find the services by."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.common.admin import drawing, pages
from apps.common.admin.buttons import Button, Creation
from apps.common.admin.pages import RecordAdmin
from apps.common.context import Actor
from apps.identity import builtin
from apps.identity.admin.forms import DESCRIPTION
from apps.identity.admin.names import WithId
from apps.identity.models import Endpoint, Region, Service
from apps.identity.services import catalog

_BUILTIN = {builtin.REGION_ID, *builtin.ENDPOINT_IDS.values(), *builtin.SERVICE_IDS.values()}
_UPDATE = "identity.catalog.update"


class ServiceForm(forms.Form):
    """A kind of API."""

    type = forms.CharField(max_length=255, help_text="As clients ask for it, such as compute.")
    name = forms.CharField(max_length=255, required=False)
    description = forms.CharField(max_length=DESCRIPTION, required=False)
    enabled = forms.BooleanField(required=False, initial=True, help_text="Disabled: clients are not told of it.")


class EndpointForm(forms.Form):
    """An address of a service."""

    service = forms.ModelChoiceField(queryset=Service.objects.order_by("type"))
    interface = forms.ChoiceField(choices=[(each, each) for each in catalog.INTERFACES])
    url = forms.CharField(
        max_length=catalog.MOST_URL, label="URL", help_text="May hold %(public_url)s, %(project_id)s and %(user_id)s."
    )
    region = forms.ModelChoiceField(queryset=Region.objects.order_by("pk"), required=False)
    name = forms.CharField(max_length=255, required=False)
    enabled = forms.BooleanField(required=False, initial=True, help_text="Disabled: clients are not told of it.")


class RegionForm(forms.Form):
    """What may be changed of a region."""

    description = forms.CharField(max_length=DESCRIPTION, required=False)
    parent = forms.ModelChoiceField(queryset=Region.objects.order_by("pk"), required=False)


class NewRegionForm(RegionForm):
    """And its name, for life."""

    id = forms.CharField(max_length=255, label="Name")
    field_order = ("id",)


def _create_service(actor: Actor, values: Mapping[str, Any]) -> Service:
    return catalog.create_service(actor=actor, **values)


def _change_service(actor: Actor, service: Service, values: Mapping[str, Any]) -> str:
    catalog.update_service(actor=actor, service_id=service.pk, **values)
    return f"The service {values['type']} is changed."


def _delete_service(actor: Actor, service: Service, values: Mapping[str, Any]) -> str:
    catalog.delete_service(actor=actor, service_id=service.pk)
    return f"The service {service} is deleted."


def _of_endpoint(values: Mapping[str, Any]) -> dict[str, Any]:
    region = values["region"]
    return {
        "service_id": values["service"].pk, "region_id": region.pk if region else None,
        **{name: values[name] for name in ("interface", "url", "name", "enabled")},
    }


def _create_endpoint(actor: Actor, values: Mapping[str, Any]) -> Endpoint:
    return catalog.create_endpoint(actor=actor, **_of_endpoint(values))


def _change_endpoint(actor: Actor, endpoint: Endpoint, values: Mapping[str, Any]) -> str:
    catalog.update_endpoint(actor=actor, endpoint_id=endpoint.pk, **_of_endpoint(values))
    return f"The endpoint {values['url']} is changed."


def _delete_endpoint(actor: Actor, endpoint: Endpoint, values: Mapping[str, Any]) -> str:
    catalog.delete_endpoint(actor=actor, endpoint_id=endpoint.pk)
    return f"The endpoint {endpoint} is deleted."


def _create_region(actor: Actor, values: Mapping[str, Any]) -> Region:
    parent = values["parent"]
    return catalog.create_region(
        actor=actor, region_id=values["id"], description=values["description"], parent_id=parent.pk if parent else None
    )


def _change_region(actor: Actor, region: Region, values: Mapping[str, Any]) -> str:
    parent = values["parent"]
    catalog.update_region(
        actor=actor, region_id=region.pk, description=values["description"], parent_id=parent.pk if parent else None
    )
    return f"The region {region} is changed."


def _delete_region(actor: Actor, region: Region, values: Mapping[str, Any]) -> str:
    catalog.delete_region(actor=actor, region_id=region.pk)
    return f"The region {region} is deleted."


def _not_builtin(row: Any) -> bool:
    return row.pk not in _BUILTIN


def _buttons(form: Any, change: Any, delete: Any, initial: Any, warning: str) -> tuple[Button, ...]:
    return (
        Button(
            name="change", label="Change", permission=_UPDATE, run=change, form=form, initial=initial, bulk=False,
            warning="Clients see it with their next look into the catalog.",
        ),
        Button(
            name="delete", label="Delete", permission=_UPDATE, run=delete, offered=_not_builtin, bulk=False, dangerous=True,
            gone=True, warning=warning,
        ),
    )


@admin.register(Service)
class ServiceAdmin(WithId, RecordAdmin):
    """Kinds of APIs; clients are told of those that have an endpoint."""

    permission = "identity.catalog.list"
    list_display = ("type", "name", "state", "endpoints_counted", "description")
    list_filter = ("enabled",)
    search_fields = ("type", "name")
    ordering = ("type", "pk")
    facts = (("Facts", ("name", "description", "id_shown")),)
    creation = Creation(permission=_UPDATE, form=ServiceForm, run=_create_service)
    buttons = _buttons(
        ServiceForm, _change_service, _delete_service,
        lambda row: {"type": row.type, "name": row.name, "description": row.description, "enabled": row.enabled},
        "Its endpoints go with it, and clients do not find it any more.",
    )

    def prepare(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        super().prepare(request, rows)
        counted = Service.objects.filter(pk__in=[row.pk for row in rows]).order_by().annotate(n=Count("endpoints"))
        known = dict(counted.values_list("pk", "n"))
        for row in rows:
            row.endpoint_count = known.get(row.pk, 0)

    def headline(self, service: Service) -> SafeString:
        return self.state(service)

    @admin.display(description="state")
    def state(self, service: Service) -> SafeString:
        return drawing.yes_no(service.enabled, "enabled", "disabled")

    @admin.display(description="endpoints")
    def endpoints_counted(self, service: Any) -> str:
        return drawing.number(service.endpoint_count)


@admin.register(Endpoint)
class EndpointAdmin(WithId, RecordAdmin):
    """Addresses of services."""

    permission = "identity.catalog.list"
    list_display = ("url", "interface", "service", "region", "state")
    list_filter = ("interface", "enabled")
    list_select_related = ("service", "region")
    search_fields = ("url", "service__type", "region__id")
    search_ids = ("pk", "service_id")
    ordering = ("service__type", "interface", "pk")
    facts = (("Facts", ("url", "interface", "service_link", "region", "name", "description", "id_shown")),)
    creation = Creation(permission=_UPDATE, form=EndpointForm, run=_create_endpoint)
    buttons = _buttons(
        EndpointForm, _change_endpoint, _delete_endpoint,
        lambda row: {
            "service": row.service_id, "interface": row.interface, "url": row.url, "region": row.region_id, "name": row.name,
            "enabled": row.enabled,
        },
        "Clients that ask for this interface do not find it any more.",
    )

    def headline(self, endpoint: Endpoint) -> SafeString:
        return self.state(endpoint)

    @admin.display(description="state")
    def state(self, endpoint: Endpoint) -> SafeString:
        return drawing.yes_no(endpoint.enabled, "enabled", "disabled")

    @admin.display(description="service")
    def service_link(self, endpoint: Endpoint) -> SafeString:
        page = reverse("admin:identity_service_change", args=[endpoint.service_id])
        return format_html('<a href="{}">{}</a>', page, endpoint.service.type)


@admin.register(Region)
class RegionAdmin(RecordAdmin):
    """Named places of endpoints."""

    permission = "identity.catalog.list"
    list_display = ("id", "parent", "description")
    list_select_related = ("parent",)
    search_fields = ("id", "description")
    search_ids = ()
    ordering = ("id",)
    facts = (("Facts", ("parent", "description")),)
    creation = Creation(permission=_UPDATE, form=NewRegionForm, run=_create_region)
    buttons = _buttons(
        RegionForm, _change_region, _delete_region, lambda row: {"description": row.description, "parent": row.parent_id},
        "Regions below it go with it. Refused while an endpoint is in one of them.",
    )


def _endpoints(request: HttpRequest, service: Service) -> SafeString:
    return _endpoint_table(service.endpoints.select_related("region").order_by("interface", "pk"))


def _in_region(request: HttpRequest, region: Region) -> SafeString:
    return _endpoint_table(region.endpoints.select_related("region").order_by("interface", "pk"))


def _endpoint_table(rows: "QuerySet[Endpoint]") -> SafeString:
    return drawing.table(
        ("interface", "URL", "region", "state"),
        (
            (
                row.interface,
                format_html('<a href="{}">{}</a>', reverse("admin:identity_endpoint_change", args=[row.pk]), row.url),
                row.region_id or drawing.NOTHING, drawing.yes_no(row.enabled, "enabled", "disabled"),
            )
            for row in rows[:100]
        ),
    )


pages.add_section(Service, "Endpoints", _endpoints, place=22)
pages.add_section(Region, "Endpoints", _in_region, place=22)
