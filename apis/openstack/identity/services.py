"""Services: kinds of API, which the catalog lists once they have endpoints."""

import uuid
from typing import TYPE_CHECKING, Any, ClassVar

from django.http import HttpResponse
from django.urls import path

from apis.openstack.common.paging import Text, page
from apis.openstack.common.schema import UNSET, Name255, Struct, UnsetType, for_services, given
from apis.openstack.common.views import Call, nothing, reply
from apis.openstack.identity.service import API, View
from apps.identity import selectors
from apps.identity.services import catalog

if TYPE_CHECKING:
    from apps.identity.models import Service

_TEXTS = ("name", "description")


class Change(Struct):
    type: Name255 | UnsetType = UNSET
    name: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET


class Create(Change, kw_only=True):
    type: Name255


class ServiceList(View):
    """All services."""

    permissions: ClassVar = {"GET": "identity.catalog.list", "POST": "identity.catalog.update"}

    def get(self, call: Call) -> HttpResponse:
        filters = {"type": Text("type"), "name": Text("name")}
        return page(call, "services", selectors.services(actor=call.actor), render, filters)

    def post(self, call: Call) -> HttpResponse:
        wanted = for_services(given(call.read(Create, "service")), texts=_TEXTS)
        return reply({"service": render(catalog.create_service(actor=call.actor, **wanted))}, 201)


class ServiceDetail(View):
    """One service."""

    permissions: ClassVar = {
        "GET": "identity.catalog.list", "PATCH": "identity.catalog.update", "DELETE": "identity.catalog.update",
    }

    def get(self, call: Call, service_id: uuid.UUID) -> HttpResponse:
        return reply({"service": render(selectors.service(actor=call.actor, service_id=service_id))})

    def patch(self, call: Call, service_id: uuid.UUID) -> HttpResponse:
        wanted = for_services(call.changes(Change, "service", service_id), texts=_TEXTS)
        return reply({"service": render(catalog.update_service(actor=call.actor, service_id=service_id, **wanted))})

    def delete(self, call: Call, service_id: uuid.UUID) -> HttpResponse:
        catalog.delete_service(actor=call.actor, service_id=service_id)
        return nothing()


def render(row: "Service") -> dict[str, Any]:
    """A service."""
    return {
        "id": row.pk, "type": row.type, "name": row.name, "description": row.description, "enabled": row.enabled,
        "links": API.links("services", row.pk),
    }


urlpatterns = [path("services", ServiceList.as_view()), path("services/<id:service_id>", ServiceDetail.as_view())]
