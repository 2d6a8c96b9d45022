"""Registered limits: what a project may have that has no limit of its own. Those of our own resources are in force."""

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
from apps.quotas.services.registered import NewRegistered

if TYPE_CHECKING:
    from apps.quotas.models import RegisteredLimit

FILTERS: dict[str, Filter] = {"service_id": Id("service_id"), "region_id": Text("region_id"), "resource_name": Text("resource_name")}
# What a body refers to is input, not what was asked for.
_STATUSES = {"service.not_found": 400, "region.not_found": 400}
_TEXTS = ("description", "region_id")  # no region: an empty text


class Change(Struct, forbid_unknown_fields=True):
    service_id: str | UnsetType = UNSET
    resource_name: Name255 | UnsetType = UNSET
    default_limit: int | UnsetType = UNSET
    region_id: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET


class Each(Change, kw_only=True, forbid_unknown_fields=True):
    service_id: str
    resource_name: Name255
    default_limit: int


class Create(Struct, forbid_unknown_fields=True):
    registered_limits: Annotated[list[Each], Meta(min_length=1, max_length=1000)]


class RegisteredLimitList(View):
    """All of them; several are made at once, or none."""

    permissions: ClassVar = {"GET": "quotas.limit.list", "POST": "quotas.default.set"}
    statuses: ClassVar = _STATUSES

    def get(self, call: Call) -> HttpResponse:
        return page(call, "registered_limits", selectors.registered_limits(actor=call.actor), render, FILTERS)

    def post(self, call: Call) -> HttpResponse:
        rows = [NewRegistered(**_wanted(given(each))) for each in call.read(Create).registered_limits]
        made = registered.register(actor=call.actor, rows=rows)
        return reply({"registered_limits": [render(row) for row in made]}, 201)


class RegisteredLimitDetail(View):
    """One of them. As long as there are limits that refer to it, it stays, and stays what it is for."""

    permissions: ClassVar = {"GET": "quotas.limit.list", "PATCH": "quotas.default.set", "DELETE": "quotas.default.set"}
    statuses: ClassVar = _STATUSES

    def get(self, call: Call, registered_limit_id: uuid.UUID) -> HttpResponse:
        row = selectors.registered_limit(actor=call.actor, registered_id=registered_limit_id)
        return reply({"registered_limit": render(row)})

    def patch(self, call: Call, registered_limit_id: uuid.UUID) -> HttpResponse:
        wanted = _wanted(call.changes(Change, "registered_limit", registered_limit_id))
        row = registered.change_registered(actor=call.actor, registered_id=registered_limit_id, **wanted)
        return reply({"registered_limit": render(row)})

    def delete(self, call: Call, registered_limit_id: uuid.UUID) -> HttpResponse:
        registered.unregister(actor=call.actor, registered_id=registered_limit_id)
        return nothing()


def render(row: "RegisteredLimit") -> dict[str, Any]:
    """A registered limit."""
    return {
        "id": row.pk, "service_id": row.service_id, "region_id": row.region_id or None, "resource_name": row.resource_name,
        "default_limit": row.default_limit, "description": row.description, "links": API.links("registered_limits", row.pk),
    }


def _wanted(given: dict[str, Any]) -> dict[str, Any]:
    return for_services(given, texts=_TEXTS, service_id="service")


urlpatterns = [
    path("registered_limits", RegisteredLimitList.as_view()),
    path("registered_limits/<id:registered_limit_id>", RegisteredLimitDetail.as_view()),
]
