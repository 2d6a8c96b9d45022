"""Endpoints: addresses of services."""

import uuid
from typing import TYPE_CHECKING, Any, ClassVar

from django.http import HttpResponse
from django.urls import path

from apis.openstack.common.paging import Filter, Id, Text, page
from apis.openstack.common.schema import UNSET, Struct, UnsetType, for_services, given
from apis.openstack.common.views import Call, nothing, reply
from apis.openstack.identity.service import API, View
from apps.identity import selectors
from apps.identity.services import catalog

if TYPE_CHECKING:
    from apps.identity.models import Endpoint

FILTERS: dict[str, Filter] = {"interface": Text("interface"), "service_id": Id("service_id"), "region_id": Text("region_id")}
# What a body refers to is input, not what was asked for.
_STATUSES = {"service.not_found": 400, "region.not_found": 400}


class Change(Struct):
    """`region` is the older name of `region_id`, and makes a region that there is not."""

    service_id: str | UnsetType = UNSET
    interface: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    region_id: str | UnsetType | None = UNSET
    region: str | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    name: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET


class Create(Change, kw_only=True):
    service_id: str
    interface: str
    url: str


class EndpointList(View):
    """All endpoints."""

    permissions: ClassVar = {"GET": "identity.catalog.list", "POST": "identity.catalog.update"}
    statuses: ClassVar = _STATUSES

    def get(self, call: Call) -> HttpResponse:
        return page(call, "endpoints", selectors.endpoints(actor=call.actor), render, FILTERS)

    def post(self, call: Call) -> HttpResponse:
        wanted = _wanted(given(call.read(Create, "endpoint")))
        return reply({"endpoint": render(catalog.create_endpoint(actor=call.actor, **wanted))}, 201)


class EndpointDetail(View):
    """One endpoint."""

    permissions: ClassVar = {
        "GET": "identity.catalog.list", "PATCH": "identity.catalog.update", "DELETE": "identity.catalog.update",
    }
    statuses: ClassVar = _STATUSES

    def get(self, call: Call, endpoint_id: uuid.UUID) -> HttpResponse:
        return reply({"endpoint": render(selectors.endpoint(actor=call.actor, endpoint_id=endpoint_id))})

    def patch(self, call: Call, endpoint_id: uuid.UUID) -> HttpResponse:
        wanted = _wanted(call.changes(Change, "endpoint", endpoint_id))
        return reply({"endpoint": render(catalog.update_endpoint(actor=call.actor, endpoint_id=endpoint_id, **wanted))})

    def delete(self, call: Call, endpoint_id: uuid.UUID) -> HttpResponse:
        catalog.delete_endpoint(actor=call.actor, endpoint_id=endpoint_id)
        return nothing()


def render(row: "Endpoint") -> dict[str, Any]:
    """An endpoint; its address as it was written, with the names that are filled in for each token."""
    return {
        "id": row.pk, "service_id": row.service_id, "interface": row.interface, "url": row.url, "region": row.region_id,
        "region_id": row.region_id, "enabled": row.enabled, "name": row.name, "description": row.description,
        "links": API.links("endpoints", row.pk),
    }


def _wanted(given: dict[str, Any]) -> dict[str, Any]:
    wanted = for_services(given, texts=("name", "description"), service_id="service")
    older = wanted.pop("region", None)
    if older and wanted.get("region_id") is None:
        wanted |= {"region_id": older, "make_region": True}
    return wanted


urlpatterns = [path("endpoints", EndpointList.as_view()), path("endpoints/<id:endpoint_id>", EndpointDetail.as_view())]
