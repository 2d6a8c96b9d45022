"""Limits of projects, and of all projects of a domain together. Those of our own resources are the quotas that are in force."""

import uuid
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from django.http import HttpResponse
from django.urls import path
from msgspec import Meta

from apis.openstack.common.paging import Filter, Id, Text, page
from apis.openstack.common.schema import UNSET, Name255, Struct, UnsetType, for_services, given
from apis.openstack.common.views import Call, nothing, reply
from apis.openstack.identity.service import API, View
from apps.quotas import selectors
from apps.quotas.services import registered
from apps.quotas.services.registered import NewLimit

if TYPE_CHECKING:
    from apps.quotas.models import Limit

FILTERS: dict[str, Filter] = {
    "service_id": Id("registered__service_id"), "region_id": Text("registered__region_id"),
    "resource_name": Text("registered__resource_name"), "project_id": Id("project_id"), "domain_id": Id("domain_id"),
}
MODEL = {
    "name": "flat",
    "description": "A project's limit is its own, whatever stands above it. A limit of a domain is for all its projects together.",
}


class Each(Struct, forbid_unknown_fields=True, kw_only=True):
    service_id: str
    resource_name: Name255
    resource_limit: int
    project_id: str | UnsetType | None = UNSET
    domain_id: str | UnsetType | None = UNSET
    region_id: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET


class Create(Struct, forbid_unknown_fields=True):
    limits: Annotated[list[Each], Meta(min_length=1, max_length=1000)]


class Change(Struct, forbid_unknown_fields=True):
    resource_limit: int | UnsetType = UNSET
    description: str | UnsetType | None = UNSET


class LimitList(View):
    """Those that concern where one works; several are made at once, or none."""

    permissions: ClassVar = {"GET": "quotas.limit.list", "POST": "quotas.limit.set"}
    statuses: ClassVar = {"service.not_found": 400}

    def get(self, call: Call) -> HttpResponse:
        return page(call, "limits", selectors.limits(actor=call.actor), render, FILTERS)

    def post(self, call: Call) -> HttpResponse:
        rows = [_new(each) for each in call.read(Create).limits]
        return reply({"limits": [render(row) for row in registered.create_limits(actor=call.actor, rows=rows)]}, 201)


class LimitDetail(View):
    """One of them."""

    permissions: ClassVar = {"GET": "quotas.limit.list", "PATCH": "quotas.limit.set", "DELETE": "quotas.limit.set"}

    def get(self, call: Call, limit_id: uuid.UUID) -> HttpResponse:
        return reply({"limit": render(selectors.limit(actor=call.actor, limit_id=limit_id))})

    def patch(self, call: Call, limit_id: uuid.UUID) -> HttpResponse:
        wanted = for_services(call.changes(Change, "limit", limit_id))
        return reply({"limit": render(registered.change_limit(actor=call.actor, limit_id=limit_id, **wanted))})

    def delete(self, call: Call, limit_id: uuid.UUID) -> HttpResponse:
        registered.delete_limit(actor=call.actor, limit_id=limit_id)
        return nothing()


class Model(View):
    """How limits of projects, and of what stands above them, go together."""

    permissions: ClassVar = {"GET": ""}

    def get(self, call: Call) -> HttpResponse:
        return reply({"model": MODEL})


def render(row: "Limit") -> dict[str, Any]:
    """A limit."""
    about = row.registered
    return {
        "id": row.pk, "project_id": row.project_id, "domain_id": row.domain_id, "service_id": about.service_id,
        "region_id": about.region_id or None, "resource_name": about.resource_name, "resource_limit": row.resource_limit,
        "description": row.description, "links": API.links("limits", row.pk),
    }


def _new(each: Each) -> NewLimit:
    texts = ("description", "region_id")  # no region: an empty text
    return NewLimit(**for_services(given(each), texts=texts, service_id="service", project_id="project", domain_id="domain"))


urlpatterns = [
    path("limits", LimitList.as_view()),
    path("limits/model", Model.as_view()),
    path("limits/<id:limit_id>", LimitDetail.as_view()),
]
