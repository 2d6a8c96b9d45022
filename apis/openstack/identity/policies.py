"""Policies: documents that programs keep here. They decide nothing in Cloudsite, and are bound to no endpoints."""

import uuid
from typing import TYPE_CHECKING, Any, ClassVar

from django.http import HttpResponse
from django.urls import path

from apis.openstack.common.paging import Text, page
from apis.openstack.common.schema import UNSET, Name255, Struct, UnsetType, given
from apis.openstack.common.views import Call, nothing, reply
from apis.openstack.identity.service import API, View
from apps.identity import selectors
from apps.identity.services import catalog

if TYPE_CHECKING:
    from apps.identity.models import StoredPolicy


class Change(Struct):
    blob: str | UnsetType = UNSET
    type: Name255 | UnsetType = UNSET


class Create(Struct):
    blob: str
    type: Name255


class PolicyList(View):
    """All policies."""

    permissions: ClassVar = {"GET": "identity.catalog.list", "POST": "identity.catalog.update"}

    def get(self, call: Call) -> HttpResponse:
        return page(call, "policies", selectors.stored_policies(actor=call.actor), render, {"type": Text("type")})

    def post(self, call: Call) -> HttpResponse:
        made = catalog.create_policy(actor=call.actor, **given(call.read(Create, "policy")))
        return reply({"policy": render(made)}, 201)


class PolicyDetail(View):
    """One policy."""

    permissions: ClassVar = {
        "GET": "identity.catalog.list", "PATCH": "identity.catalog.update", "DELETE": "identity.catalog.update",
    }

    def get(self, call: Call, policy_id: uuid.UUID) -> HttpResponse:
        return reply({"policy": render(selectors.stored_policy(actor=call.actor, policy_id=policy_id))})

    def patch(self, call: Call, policy_id: uuid.UUID) -> HttpResponse:
        wanted = call.changes(Change, "policy", policy_id)
        return reply({"policy": render(catalog.update_policy(actor=call.actor, policy_id=policy_id, **wanted))})

    def delete(self, call: Call, policy_id: uuid.UUID) -> HttpResponse:
        catalog.delete_policy(actor=call.actor, policy_id=policy_id)
        return nothing()


def render(row: "StoredPolicy") -> dict[str, Any]:
    """A policy."""
    return {"id": row.pk, "blob": row.blob, "type": row.type, "links": API.links("policies", row.pk)}


urlpatterns = [path("policies", PolicyList.as_view()), path("policies/<id:policy_id>", PolicyDetail.as_view())]
