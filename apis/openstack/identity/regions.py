"""Regions: named places of endpoints."""

from typing import TYPE_CHECKING, Any, ClassVar

from django.http import HttpResponse
from django.urls import path

from apis.openstack.common.paging import Text, page
from apis.openstack.common.schema import UNSET, Name255, Struct, UnsetType, for_services, given
from apis.openstack.common.views import Call, nothing, reply
from apis.openstack.identity.service import API, View
from apps.common.errors import Invalid
from apps.identity import selectors
from apps.identity.services import catalog

if TYPE_CHECKING:
    from apps.identity.models import Region


class Change(Struct, rename={"parent_id": "parent_region_id"}):
    description: str | UnsetType | None = UNSET
    parent_id: str | UnsetType | None = UNSET


class Create(Change, rename={"region_id": "id", "parent_id": "parent_region_id"}):
    region_id: Name255 | UnsetType | None = UNSET


class RegionList(View):
    """All regions."""

    permissions: ClassVar = {"GET": "identity.catalog.list", "POST": "identity.catalog.update"}

    def get(self, call: Call) -> HttpResponse:
        return page(call, "regions", selectors.regions(actor=call.actor), render, {"parent_region_id": Text("parent_id")})

    def post(self, call: Call) -> HttpResponse:
        wanted = for_services(given(call.read(Create, "region")))
        return reply({"region": render(catalog.create_region(actor=call.actor, **wanted))}, 201)


class RegionDetail(View):
    """One region, by its name."""

    permissions: ClassVar = {
        "GET": "identity.catalog.list", "PUT": "identity.catalog.update", "PATCH": "identity.catalog.update",
        "DELETE": "identity.catalog.update",
    }

    def get(self, call: Call, region_id: str) -> HttpResponse:
        return reply({"region": render(selectors.region(actor=call.actor, region_id=region_id))})

    def put(self, call: Call, region_id: str) -> HttpResponse:
        wanted = for_services(given(call.read(Create, "region")))
        if wanted.get("region_id") not in (None, region_id):
            raise Invalid("region.id", "The id in the body is another one than that in the address.", field="id")
        made = catalog.create_region(actor=call.actor, **{**wanted, "region_id": region_id})
        return reply({"region": render(made)}, 201)

    def patch(self, call: Call, region_id: str) -> HttpResponse:
        wanted = for_services(call.changes(Change, "region", region_id))
        return reply({"region": render(catalog.update_region(actor=call.actor, region_id=region_id, **wanted))})

    def delete(self, call: Call, region_id: str) -> HttpResponse:
        catalog.delete_region(actor=call.actor, region_id=region_id)
        return nothing()


def render(row: "Region") -> dict[str, Any]:
    """A region."""
    return {
        "id": row.pk, "description": row.description, "parent_region_id": row.parent_id, "links": API.links("regions", row.pk),
    }


urlpatterns = [path("regions", RegionList.as_view()), path("regions/<str:region_id>", RegionDetail.as_view())]
