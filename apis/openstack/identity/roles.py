"""Roles: built-in ones, the operator's own, and those that are of one domain."""

import uuid
from typing import ClassVar

from django.http import HttpResponse
from django.urls import path

from apis.openstack.common.paging import Filter, Id, Text, page
from apis.openstack.common.schema import UNSET, Name255, Options, Struct, UnsetType, for_services, given
from apis.openstack.common.schema import Text as Words
from apis.openstack.common.views import Call, nothing, reply
from apis.openstack.identity import fixed, rendering
from apis.openstack.identity.service import View
from apps.identity import selectors
from apps.identity.services import roles


class Change(Struct):
    name: Name255 | UnsetType = UNSET
    domain_id: str | UnsetType | None = UNSET
    description: Words | UnsetType | None = UNSET
    options: Options | UnsetType = UNSET


class Create(Change, kw_only=True):
    name: Name255


FILTERS: dict[str, Filter] = {"name": Text("name"), "domain_id": Id("domain_id")}


class RoleList(View):
    """Roles that are given everywhere; with `?domain_id=` those of one domain."""

    permissions: ClassVar = {"GET": "identity.role.list", "POST": "identity.role.create"}

    def get(self, call: Call) -> HttpResponse:
        rows = selectors.roles(actor=call.actor)
        if not call.query.get("domain_id"):
            rows = rows.filter(domain=None)
        return page(call, "roles", rows, rendering.role, FILTERS)

    def post(self, call: Call) -> HttpResponse:
        wanted = for_services(given(call.read(Create, "role")), domain_id="domain")
        return reply({"role": rendering.role(roles.create_role(actor=call.actor, **wanted))}, 201)


class RoleDetail(View):
    """One role."""

    permissions: ClassVar = {"GET": "identity.role.get", "PATCH": "identity.role.update", "DELETE": "identity.role.delete"}

    def get(self, call: Call, role_id: uuid.UUID) -> HttpResponse:
        return reply({"role": rendering.role(selectors.role(actor=call.actor, role_id=role_id))})

    def patch(self, call: Call, role_id: uuid.UUID) -> HttpResponse:
        wanted = for_services(call.changes(Change, "role", role_id))
        if "domain_id" in wanted:
            fixed.keeps_domain(wanted, selectors.role(actor=call.actor, role_id=role_id).domain_id)
        return reply({"role": rendering.role(roles.update_role(actor=call.actor, role_id=role_id, **wanted))})

    def delete(self, call: Call, role_id: uuid.UUID) -> HttpResponse:
        roles.delete_role(actor=call.actor, role_id=role_id)
        return nothing()


urlpatterns = [
    path("roles", RoleList.as_view()),
    path("roles/<id:role_id>", RoleDetail.as_view()),
]
