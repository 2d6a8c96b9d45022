"""Groups, and who is in them."""

import uuid
from typing import ClassVar

from django.http import HttpResponse
from django.urls import path

from apis.openstack.common.paging import Filter, Id, Text, page
from apis.openstack.common.schema import UNSET, Name255, Struct, UnsetType, for_services, given
from apis.openstack.common.schema import Text as Words
from apis.openstack.common.views import Call, nothing, reply
from apis.openstack.identity import fixed, rendering, users
from apis.openstack.identity.service import View
from apps.common.errors import NotFound
from apps.identity import selectors
from apps.identity.services import groups


class Change(Struct):
    name: Name255 | UnsetType = UNSET
    domain_id: str | UnsetType | None = UNSET
    description: Words | UnsetType | None = UNSET


class Create(Change, kw_only=True):
    name: Name255


FILTERS: dict[str, Filter] = {"name": Text("name"), "domain_id": Id("domain_id")}


class GroupList(View):
    """All groups that one may see."""

    permissions: ClassVar = {"GET": "identity.group.list", "POST": "identity.group.create"}

    def get(self, call: Call) -> HttpResponse:
        return page(call, "groups", selectors.groups(actor=call.actor), rendering.group, FILTERS)

    def post(self, call: Call) -> HttpResponse:
        wanted = for_services(given(call.read(Create, "group")), domain_id="domain")
        return reply({"group": rendering.group(groups.create_group(actor=call.actor, **wanted))}, 201)


class GroupDetail(View):
    """One group."""

    permissions: ClassVar = {"GET": "identity.group.get", "PATCH": "identity.group.update", "DELETE": "identity.group.delete"}

    def get(self, call: Call, group_id: uuid.UUID) -> HttpResponse:
        return reply({"group": rendering.group(selectors.group(actor=call.actor, group_id=group_id))})

    def patch(self, call: Call, group_id: uuid.UUID) -> HttpResponse:
        wanted = for_services(call.changes(Change, "group", group_id))
        if "domain_id" in wanted:
            fixed.keeps_domain(wanted, selectors.group(actor=call.actor, group_id=group_id).domain_id)
        return reply({"group": rendering.group(groups.update_group(actor=call.actor, group_id=group_id, **wanted))})

    def delete(self, call: Call, group_id: uuid.UUID) -> HttpResponse:
        groups.delete_group(actor=call.actor, group_id=group_id)
        return nothing()


class MemberList(View):
    """Who is in a group."""

    permissions: ClassVar = {"GET": "identity.group.get"}

    def get(self, call: Call, group_id: uuid.UUID) -> HttpResponse:
        return page(call, "users", selectors.members(actor=call.actor, group_id=group_id), rendering.user, users.IN_GROUP)


class MemberDetail(View):
    """One user in a group: there or not."""

    permissions: ClassVar = {"GET": "identity.group.get", "PUT": "identity.group.members", "DELETE": "identity.group.members"}

    def get(self, call: Call, group_id: uuid.UUID, user_id: uuid.UUID) -> HttpResponse:
        if not selectors.is_member(actor=call.actor, group_id=group_id, user_id=user_id):
            raise NotFound("group.no_member", f"User {user_id} is not in this group.", field="user_id")
        return nothing()

    def put(self, call: Call, group_id: uuid.UUID, user_id: uuid.UUID) -> HttpResponse:
        groups.add_member(actor=call.actor, group_id=group_id, user_id=user_id)
        return nothing()

    def delete(self, call: Call, group_id: uuid.UUID, user_id: uuid.UUID) -> HttpResponse:
        groups.remove_member(actor=call.actor, group_id=group_id, user_id=user_id)
        return nothing()


urlpatterns = [
    path("groups", GroupList.as_view()),
    path("groups/<id:group_id>", GroupDetail.as_view()),
    path("groups/<id:group_id>/users", MemberList.as_view()),
    path("groups/<id:group_id>/users/<id:user_id>", MemberDetail.as_view()),
]
